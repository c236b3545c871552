"""Recording results and backlog, and what the engine asks the database."""
