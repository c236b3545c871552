"""Random histories for the fuzz test of the capture."""
