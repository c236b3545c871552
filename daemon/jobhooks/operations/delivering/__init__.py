"""Deliveries and their results: list, show, retry, discard, replay, run, try."""
