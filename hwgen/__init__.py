"""Generator of neural-network hardware: Verilog, golden models and cycle models from one configuration."""
