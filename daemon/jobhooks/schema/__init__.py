"""Installing sql/ in a database, removing it, and printing it as a script."""
