"""Protection of emitted Verilog, by a plan that names blocks and schemes."""
