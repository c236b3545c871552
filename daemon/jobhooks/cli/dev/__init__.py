"""``jobhooks dev``: a database with everything watched and hooked, and the daemon, while receivers are written."""
