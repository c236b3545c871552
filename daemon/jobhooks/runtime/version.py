"""The version of this program."""

from importlib.metadata import version

PROGRAM_VERSION = version("jobhooks")
