"""Fault lab: sites of a netlist, hooks, engines, campaigns, safety figures, protection."""
