"""Shared code of the tests: servers, databases, the daemon as a process, and the generated files."""
