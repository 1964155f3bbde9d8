"""One folder per core."""
