"""Real work for the cores: GEMM shapes of known networks and operands of a real transformer."""

from __future__ import annotations

from hwgen.workloads.minilm import FloatError, GemmProblem, load_layer
from hwgen.workloads.onnx_reference import ort_matmul_integer
from hwgen.workloads.shapes import GemmShape, minilm_gemms, resnet18_gemms

__all__ = [
    "FloatError",
    "GemmProblem",
    "GemmShape",
    "load_layer",
    "minilm_gemms",
    "ort_matmul_integer",
    "resnet18_gemms",
]
