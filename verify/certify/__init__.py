"""One file a certifier, all of them: query in, table of margins out."""

from verify._callable import callable_package

callable_package(__name__, "verify.certify.api:certify")
