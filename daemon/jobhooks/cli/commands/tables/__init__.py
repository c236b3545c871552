"""``jobhooks table``: what is watched, and how."""
