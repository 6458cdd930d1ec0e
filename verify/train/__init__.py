"""Training networks for which attacks fail, or for which the proof succeeds."""
