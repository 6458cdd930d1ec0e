"""The gate: do the robustness certificates that a policy asks for still stand?"""

from verify._callable import callable_package

callable_package(__name__, "verify.gate.api:gate")
