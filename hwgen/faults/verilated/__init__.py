"""The hooked Verilog in a compiled program: the slow engine that is right by construction."""
