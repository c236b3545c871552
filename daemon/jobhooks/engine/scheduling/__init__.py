"""Scheduling deliveries: order per key, concurrency per hook, and the backlog."""
