"""Deliveries: data and pure decisions, no I/O."""
