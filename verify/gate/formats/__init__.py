"""What came of a gate, as each place where people look wants it: one file a format; :mod:`.table` lists them."""
