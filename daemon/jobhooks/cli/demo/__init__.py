"""The demo: a throw-away server, the daemon, and a short story that is checked against the database."""
