"""The command ``jobhooks``: it puts settings, store and engine together, without further logic."""

import signal

from jobhooks.runtime.standard_streams import open_closed


def main() -> None:
    """Run the command line."""
    open_closed()
    # Until the modules are loaded, Ctrl-C just ends the process. An exception could come out of any import.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from jobhooks.cli import app

    app.main()


__all__ = ["main"]
