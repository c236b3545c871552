"""Running async def receivers, in the daemon's event loop."""
