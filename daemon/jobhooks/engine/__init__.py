"""The delivery engine: wakes up, reads the log, matches changes with hooks, runs receivers and settles their results.

``engine.py`` puts the parts together. A change passes them in this order: reading, scheduling (with matching), running,
settling. ``delivery`` defines a delivery. ``session`` and ``supervisor`` keep the engine alive in the daemon.
"""
