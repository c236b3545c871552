"""Reading the log: waiting for changes, and the snapshot cursor."""
