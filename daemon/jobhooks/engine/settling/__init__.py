"""Recording results and backlog entries, and the queries of the engine."""
