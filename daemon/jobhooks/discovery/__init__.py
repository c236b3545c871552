"""Finding, checking and importing receivers: which classes exist, where they come from, who may write them."""
