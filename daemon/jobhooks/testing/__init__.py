"""For authors of receivers: ``receive`` runs one without a database, the fixtures of the pytest plugin with one.

The plugin is loaded by pytest itself once jobhooks is installed: see ``jobhooks.pytest_plugin``.
"""

from jobhooks.testing.receiving import Received, receive, receive_async, receive_batch

__all__ = ["Received", "receive", "receive_async", "receive_batch"]
