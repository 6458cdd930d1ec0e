"""Linear and mixed-integer programs behind one interface; this package has never heard of a network."""
