"""What the performance claims rest on: each module measures one thing, and README.md says how and what it means."""
