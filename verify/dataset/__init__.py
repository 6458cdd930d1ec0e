"""Whole data sets: every input through the stages from cheap to complete, journalled so that no crash loses an answer."""
