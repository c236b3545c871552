"""The basis of the performance claims. Each module measures one thing; README.md explains how to read the figures."""
