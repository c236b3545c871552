"""The commands: each module parses flags, calls an operation and renders its result."""
