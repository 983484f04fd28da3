"""Several tensors on one side that are one on the other."""
