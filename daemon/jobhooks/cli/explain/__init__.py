"""``jobhooks explain``."""
