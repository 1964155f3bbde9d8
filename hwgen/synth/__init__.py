"""From Verilog to the cells of a device: families of devices, netlists, programs that place and pack."""
