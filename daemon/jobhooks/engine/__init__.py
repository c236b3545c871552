"""The delivery engine: wake up, read the log, match changes with hooks, run receivers, settle what they did.

A change flows through it in this order: wakeup, reader, dispatcher (with matching), runner or workers, settle; the
supervisor holds them together.
"""
