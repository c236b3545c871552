"""Parts for other frameworks. Nothing of jobhooks imports them, and each imports its framework."""
