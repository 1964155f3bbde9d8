"""Resource estimate; see README for what it was fitted to."""

from __future__ import annotations

from hwgen.core import Resources
from hwgen.cores.dsp_gemm.config import DspGemmConfig

__all__ = ["estimate"]


def estimate(config: DspGemmConfig) -> Resources:
    """LUT, flip-flops, DSP blocks and block RAMs of one configuration."""
    return Resources(lut=0, ff=0, dsp=config.dsps, bram36=0)
