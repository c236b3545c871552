"""``jobhooks table``: the watched tables and their options."""
