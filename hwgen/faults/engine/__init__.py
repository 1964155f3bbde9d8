"""The lane engine: many faulty copies of a design beside its fault-free run."""
