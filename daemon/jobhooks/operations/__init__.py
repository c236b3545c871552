"""Everything an operator can do, as functions that take and return data. They raise our errors and never print."""
