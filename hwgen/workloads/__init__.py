"""Real work for the cores: GEMM shapes of known networks and operands of a real transformer."""

from __future__ import annotations

from hwgen.workloads.layers import Layer, Workload
from hwgen.workloads.minilm import FloatError, GemmProblem, load_layer
from hwgen.workloads.onnx_reference import ort_matmul_integer
from hwgen.workloads.shapes import GemmShape, gemms, minilm_gemms, resnet18_gemms
from hwgen.workloads.tables import load

__all__ = [
    "FloatError",
    "GemmProblem",
    "GemmShape",
    "Layer",
    "Workload",
    "gemms",
    "load",
    "load_layer",
    "minilm_gemms",
    "ort_matmul_integer",
    "resnet18_gemms",
]
