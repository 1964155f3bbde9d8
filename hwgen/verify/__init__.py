"""Runs emitted Verilog: a compiled harness for speed, cocotb benches for protocol and other simulators."""
