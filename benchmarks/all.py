"""All benchmarks, one after the other."""

from __future__ import annotations

import importlib

from rich.console import Console

from benchmarks.common import Figure, main

MODULES = (
    "dsp_gemm_area",
    "dsp_gemm_cycles",
    "dsp_gemm_resources",
    "dsp_gemm_ecp5",
    "generation",
    "harness_speed",
    "lut_gemm_area",
    "lut_gemm_resources",
    "lut_gemm_throughput",
    "sparse_chain_area",
    "sparse_chain_resources",
    "sparse_chain_speed",
    "requantiser",
    "resource_model",
    "activation",
    "softmax",
    "softmax_resources",
    "norm",
    "nonlinear",
    "nonlinear_fmax",
    "attention",
    "sparse_attention",
    "sparse_decode",
    "simulator_exactness",
    "mnist",
    "n3h_latency",
    "resnet18",
    "simulator_speed",
    "interval_coverage",
    "campaign_resume",
    "bit_search",
    "network_faults",
    "protection",
    "fault_rates",
    "hook_cost",
    "boards",
)


def measure(console: Console) -> list[Figure]:
    figures: list[Figure] = []
    for name in MODULES:
        console.rule(name)
        figures += importlib.import_module(f"benchmarks.{name}").measure(console)
    console.rule("all")
    return figures


if __name__ == "__main__":
    main(measure, __doc__)
