"""Finds the objects that an operator names: times, hooks, jobs, tables and keys, with suggestions for unknown names."""
