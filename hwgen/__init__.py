"""Neural-network accelerator generator."""
