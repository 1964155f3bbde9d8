"""The accelerator: instruction fetch, engines, buffers, AXI."""
