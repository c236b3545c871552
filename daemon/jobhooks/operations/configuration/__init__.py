"""Hooks, jobs and receivers: list, show, change, plan, and who changed them."""
