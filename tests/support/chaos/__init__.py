"""Random work, random faults, and the oracle that judges what came of them."""
