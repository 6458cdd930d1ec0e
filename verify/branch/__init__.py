"""Branch and bound: from a clause of a property to a decision."""
