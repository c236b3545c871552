"""A state machine over the real scheduling classes and the real settler, with a database in memory."""
