"""The cycle-level simulator. It knows no core by name."""

from sim.engine import CycleModel, Result, simulate
from sim.streams import OPEN, Consumer, Gate, Producer

__all__ = ["OPEN", "Consumer", "CycleModel", "Gate", "Producer", "Result", "simulate"]
