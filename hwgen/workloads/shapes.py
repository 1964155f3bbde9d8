"""GEMM shapes of whole networks: what an accelerator has to multiply, without the numbers.

They come from the layer tables in ``data/``. Every shape is ``(m, k) @ (k, n)``: ``m`` rows of activations,
``k`` products per sum, ``n`` output channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.errors import BadInput
from hwgen.workloads.layers import Workload, gemm_view, input_shapes
from hwgen.workloads.tables import load

__all__ = ["GemmShape", "gemms", "minilm_gemms", "resnet18_gemms"]

MINILM_LAYERS = 6
MINILM_POSITIONS = 512


@dataclass(frozen=True, kw_only=True)
class GemmShape:
    """One matrix product of a network.

    Parameters
    ----------
    name : str
        Where in the network, dotted: ``layer0.q_proj``.
    m : int
        Rows of the activations and of the result; at least 1.
    k : int
        Columns of the activations and rows of the weights; at least 1.
    n : int
        Columns of the weights and of the result; at least 1.
    repeat : int
        How many independent products of this shape there are, such as one per attention head;
        at least 1.

    Raises
    ------
    BadInput
        If a size is below 1.
    """

    name: str
    m: int
    k: int
    n: int
    repeat: int = 1

    def __post_init__(self) -> None:
        for role in ("m", "k", "n", "repeat"):
            if getattr(self, role) < 1:
                raise BadInput(
                    f"{role} of GEMM {self.name!r} must be at least 1, not {getattr(self, role)}; "
                    "leave out a product that does not exist."
                )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all repeats: ``m * k * n * repeat``."""
        return self.m * self.k * self.n * self.repeat


def gemms(workload: Workload) -> tuple[GemmShape, ...]:
    """Every product of a workload as a GEMM, in the order of execution, convolutions unrolled by im2col.

    A layer of several groups is one shape that repeats. Pools and additions are left out.
    """
    reads = input_shapes(workload)
    views = {layer.name: gemm_view(layer, reads[layer.name]) for layer in workload.layers if layer.product}
    return tuple(
        GemmShape(name=name, m=m, k=k, n=n, repeat=groups) for name, (m, k, n, groups) in views.items()
    )


def minilm_gemms(sequence: int = 128) -> tuple[GemmShape, ...]:
    """Every GEMM of one forward pass of all-MiniLM-L6-v2, in the order of execution.

    Six layers of eight shapes: the Q, K and V projections, the scores ``Q @ K^T`` and the context
    ``P @ V`` (one per head), the output projection and the two FFN matrices. Pooling has no GEMM
    and the model's own pooler is not used, so neither is listed.

    Parameters
    ----------
    sequence : int
        Tokens in the sequence, 1..512 (the model has 512 positions).

    Returns
    -------
    tuple of GemmShape
        48 shapes, as many as the ONNX graph has ``MatMul`` nodes; 1.43 G MAC at 128 tokens.

    Raises
    ------
    BadInput
        If ``sequence`` is outside 1..512.

    Notes
    -----
    Source: the table ``minilm``, which is for 128 tokens.
    """
    if not 1 <= sequence <= MINILM_POSITIONS:
        raise BadInput(
            f"sequence must lie in 1..{MINILM_POSITIONS}, not {sequence}; "
            "split longer text into several sequences."
        )
    return tuple(_at_length(shape, sequence) for shape in gemms(load("minilm")))


def _at_length(shape: GemmShape, sequence: int) -> GemmShape:
    """The shape for another number of tokens: the rows always, and one side more in attention."""
    role = shape.name.rpartition(".")[2]
    return replace(
        shape,
        m=sequence,
        k=sequence if role == "context" else shape.k,
        n=sequence if role == "scores" else shape.n,
    )


def resnet18_gemms() -> tuple[GemmShape, ...]:
    """The 21 GEMMs of ResNet-18 at 224 x 224 pixels, batch 1, convolutions unrolled by im2col.

    ``m`` is the number of output pixels, ``k`` is kernel height x width x input channels, ``n`` the
    output channels. Names are those of torchvision's model.

    Returns
    -------
    tuple of GemmShape
        20 convolutions, three of them 1 x 1 shortcuts, and the classifier; 1.81 G MAC.

    Notes
    -----
    Source: the table ``resnet18``. The order, with each shortcut after the two convolutions it bypasses,
    is that of the layer list N3H-Core publishes for its ResNet-18 design point.
    """
    return gemms(load("resnet18"))
