"""The engine in the test's own process."""
