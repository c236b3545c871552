"""The interface for authors of receivers: the base class, the change, the changed object. No I/O."""
