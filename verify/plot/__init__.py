"""Pictures of networks and attacks, PNG or SVG by the file's suffix; they need matplotlib (the extra ``plot``)."""
