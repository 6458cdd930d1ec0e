"""Pictures of networks and attacks, PNG or SVG by the file's suffix; they need matplotlib (the extra ``plot``)."""

from verify.plot.canvas import COLOURS as COLOURS
from verify.plot.canvas import SIGNED as SIGNED
from verify.plot.canvas import check as check
from verify.plot.canvas import new_figure as new_figure
from verify.plot.canvas import save as save
