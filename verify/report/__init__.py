"""The HTML report of runs and gates: one self-contained file; the room is called by its verb, ``verify.report(...)``."""

from verify._callable import callable_package

callable_package(__name__, "verify.report.api:report")
