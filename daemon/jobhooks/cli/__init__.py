"""The command ``jobhooks``: it puts settings, store and engine together, without further logic."""

from jobhooks.cli.app import main

__all__ = ["main"]
