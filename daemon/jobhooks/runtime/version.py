"""The version of this program, which the build reads from here: importlib.metadata would import an e-mail parser."""

PROGRAM_VERSION = "0.1.0"
