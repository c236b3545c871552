"""What a delivery is: data and pure decisions, no I/O."""
