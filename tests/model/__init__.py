"""A model of scheduling, small enough to visit every state; README.md explains it."""
