"""Small accelerators that differ in everything that can differ: what checks and benchmarks go through."""

from __future__ import annotations

from typing import Any

from hwgen.system.config import SystemConfig

__all__ = ["CI", "SWEEP"]

_SMALL = {"act_words": 256, "acc_words": 128, "weight_words": 256, "dsp_tile": 32, "parameter_words": 16}
_PLANES = {"lut": True, "plane_words": 128, "plane_weight_words": 128}

_SPARSE = {
    "sparse": True, "dsp": False, "lanes": 16, "acc_words": 256, "sparse_code_words": 128, "sparse_value_words": 512,
    "sparse_index_words": 512,
}  # fmt: skip


def _config(**fields: Any) -> SystemConfig:
    return SystemConfig(**{"lanes": 4, **_SMALL, **fields})


CI: dict[str, SystemConfig] = {
    "dsp": _config(),
    "both": _config(
        **_PLANES,
        lut_units=2,
        lut_width=16,
        bus_bytes=16,
        queue_depth=2,
        outstanding=2,
        buffer_latency=4,
        requantise_cycles=2,
    ),
    "lut": _config(
        **_PLANES,
        dsp=False,
        lut_units=3,
        lut_width=32,
        lanes=8,
        bus_bytes=32,
        act_banks=1,
        buffer_latency=3,
        requantise_cycles=8,
    ),
    "softmax": _config(
        softmax_words=6,
        softmax_bits=8,
        bus_bytes=16,
        dsp_tile=16,
        buffer_latency=5,
        scale_bits=17,
        parameter_words=32,
    ),
    "wide bus": _config(bus_bytes=64, burst_beats=4, act_words=2048, requantiser="ort"),
}
"""Accelerators that CI builds."""

SWEEP: dict[str, SystemConfig] = CI | {
    "no core": _config(dsp=False, lanes=8, bus_bytes=16),
    "no core, 16 lanes": _config(dsp=False, lanes=16, bus_bytes=64, queue_depth=4),
    "no core, 32 lanes": _config(dsp=False, lanes=32),
    "one bank": _config(**_PLANES, lut_units=2, lut_width=8, act_banks=1, acc_banks=1),
    "two banks": _config(
        **_PLANES, lut_units=4, lut_width=32, act_banks=2, acc_banks=2, scale_bits=17, buffer_latency=3
    ),
    "sixteen banks": _config(act_words=1024, acc_words=1024, act_banks=16, acc_banks=16, buffer_latency=4),
    "ultrascale+": _config(**_PLANES, lut_units=2, lut_width=32, target="ultrascale+"),
    "ultrascale+, 8 lanes": _config(lanes=8, bus_bytes=16, target="ultrascale+"),
    "ultrascale+, wide bus": _config(
        **_PLANES, lut_units=3, lut_width=32, lanes=8, bus_bytes=64, target="ultrascale+"
    ),
    "one unit": _config(**_PLANES, lut_units=1, lut_width=8, lanes=8, bus_bytes=64),
    "long plane words": _config(**_PLANES, dsp=False, lut_units=1, lut_width=256, bus_bytes=32),
    "five units": _config(
        **_PLANES, dsp=False, lut_units=5, lut_width=64, lanes=8, queue_depth=16, requantise_cycles=2
    ),
    "16 lanes": _config(lanes=16, weight_words=512),
    "16 lanes, lut": _config(
        **_PLANES, dsp=False, lanes=16, lut_units=2, lut_width=16, bus_bytes=32, requantise_cycles=2
    ),
    "32 lanes": _config(lanes=32, weight_words=512, bus_bytes=32, buffer_latency=4),
    "32 lanes, lut": _config(**_PLANES, dsp=False, lanes=32, lut_units=1, lut_width=64, bus_bytes=64),
    "short bursts": _config(bus_bytes=32, burst_beats=4, outstanding=2, queue_depth=2),
    "long bursts": _config(burst_beats=256, outstanding=32, queue_depth=32),
    "bursts of a page": _config(bus_bytes=64, burst_beats=64, outstanding=4),
    "softmax, 16 bits": _config(**_PLANES, lut_units=2, lut_width=16, softmax_words=5, parameter_words=32),
    "softmax, 16 lanes": _config(
        lanes=16, weight_words=512, softmax_words=12, bus_bytes=32, parameter_words=64
    ),
    "softmax, one word": _config(
        dsp=False, **_PLANES, lut_units=1, lut_width=8, softmax_words=1, softmax_bits=8
    ),
    "onnxruntime's requantiser": _config(
        **_PLANES, lut_units=2, lut_width=16, requantiser="ort", requantise_cycles=2, buffer_latency=3
    ),
    "half up": _config(
        lanes=8, bus_bytes=16, requantiser="single", scale_bits=17, buffer_latency=4, requantise_cycles=4
    ),
    "sparse": _config(**_SPARSE),
    "sparse, one of two cores": _config(**_SPARSE | {"dsp": True, "sparse_ways": 4}, bus_bytes=32),
    "sparse, eight ways": _config(
        **_SPARSE, sparse_ways=8, bus_bytes=64, act_words=512, sparse_depth=1024, buffer_latency=3
    ),
    "sparse, few rows": _config(**_SPARSE, sparse_rows=4, sparse_narrow=False, bus_bytes=16, queue_depth=2),
    "sparse, few rows, two ways": _config(
        **_SPARSE | _PLANES, sparse_rows=4, sparse_ways=2, lut_units=2, lut_width=16, sparse_depth=64
    ),
    "sparse, all of it": _config(
        **_SPARSE | _PLANES | {"dsp": True},
        sparse_ways=2,
        lut_units=2,
        lut_width=16,
        softmax_words=3,
        buffer_latency=4,
        parameter_words=32,
        weight_words=512,
        target="ultrascale+",
    ),
    "xilinx7": _config(**_PLANES, lut_units=2, lut_width=32, bus_bytes=16, target="xilinx7"),
    "ecp5": _config(
        lanes=8,
        bus_bytes=16,
        softmax_words=4,
        parameter_words=32,
        buffer_latency=4,
        scale_luts=True,
        target="ecp5",
    ),
    "ice40": _config(dsp_tile=16, requantiser="ort", scale_luts=True, target="ice40"),
    "nexus": _config(
        **_PLANES,
        lut_units=1,
        lut_width=16,
        requantiser="single",
        scale_luts=True,
        requantise_cycles=4,
        target="nexus",
    ),
    "gowin": _config(
        lanes=8,
        bus_bytes=32,
        buffer_latency=4,
        scale_bits=8,
        scale_luts=True,
        requantise_cycles=8,
        target="gowin",
    ),
    "few bits": _config(scale_bits=8, address_bits=20, dsp_tile=16, bus_bytes=16, outstanding=2),
}
"""More than twenty accelerators, those of CI among them."""
