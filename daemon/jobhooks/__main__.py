"""``python -m jobhooks`` is the command ``jobhooks``."""

from jobhooks.cli import main

main()
