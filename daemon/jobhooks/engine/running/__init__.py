"""Running one attempt at a delivery."""
