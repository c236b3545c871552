"""The event loop of the daemon, which receivers share with it."""

import uvloop

from jobhooks.engine.running.in_loop.limits import current_step


class DaemonLoop(uvloop.Loop):
    """uvloop's, but the code of a receiver cannot stop it."""

    def stop(self) -> None:
        """Stop it.

        Raises:
            RuntimeError: a receiver asks for that.
        """
        if current_step.limited is not None:
            raise RuntimeError("a receiver cannot stop the event loop of the daemon")
        super().stop()
