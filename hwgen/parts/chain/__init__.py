"""Chains of multipliers whose partial sums travel a cascade, and the separation of packed sums."""
