"""Every method against the exact truth about small networks, on the user's own machine."""

from verify._callable import callable_package

callable_package(__name__, "verify.selftest.run:selftest")
