"""The command ``jobhooks``: it puts settings, store and engine together, and holds no logic of its own."""

from jobhooks.cli.app import main

__all__ = ["main"]
