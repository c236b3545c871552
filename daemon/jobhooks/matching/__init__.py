"""Which hooks a change is for: the hook, the table of hooks, conditions in CEL, changed columns. Pure decisions."""
