"""What the author of a receiver sees: the receiver's base class, the change, the changed object. No I/O of its own."""
