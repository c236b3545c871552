"""Running def receivers, in worker processes."""
