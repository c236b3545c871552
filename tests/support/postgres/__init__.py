"""The servers of the tests, and what can happen to them."""
