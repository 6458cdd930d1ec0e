"""Foreign files become our nouns here, and are checked against the runtime they came from."""

from verify._callable import callable_package

callable_package(__name__, "verify.load.dispatch:load")
