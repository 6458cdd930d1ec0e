"""The gate: do the robustness certificates that a policy asks for still stand?"""
