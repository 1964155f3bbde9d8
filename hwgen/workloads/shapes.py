"""GEMM shapes of whole networks: what an accelerator has to multiply, without the numbers.

Every shape is ``(m, k) @ (k, n)``: ``m`` rows of activations, ``k`` products per sum, ``n`` output
channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import BadInput

__all__ = ["GemmShape", "minilm_gemms", "resnet18_gemms"]

MINILM_LAYERS = 6
MINILM_HIDDEN = 384
MINILM_HEADS = 12
MINILM_FFN = 1536
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
    Source: the configuration of sentence-transformers/all-MiniLM-L6-v2 (hidden size 384, 12 heads
    of 32, intermediate size 1536, 6 layers).
    """
    if not 1 <= sequence <= MINILM_POSITIONS:
        raise BadInput(
            f"sequence must lie in 1..{MINILM_POSITIONS}, not {sequence}; "
            "split longer text into several sequences."
        )
    return tuple(shape for layer in range(MINILM_LAYERS) for shape in _minilm_layer(layer, sequence))


def _minilm_layer(layer: int, sequence: int) -> tuple[GemmShape, ...]:
    """The eight shapes of one encoder layer."""
    head = MINILM_HIDDEN // MINILM_HEADS

    def shape(name: str, k: int, n: int, repeat: int = 1) -> GemmShape:
        return GemmShape(name=f"layer{layer}.{name}", m=sequence, k=k, n=n, repeat=repeat)

    return (
        shape("q_proj", MINILM_HIDDEN, MINILM_HIDDEN),
        shape("k_proj", MINILM_HIDDEN, MINILM_HIDDEN),
        shape("v_proj", MINILM_HIDDEN, MINILM_HIDDEN),
        shape("scores", head, sequence, MINILM_HEADS),
        shape("context", sequence, head, MINILM_HEADS),
        shape("o_proj", MINILM_HIDDEN, MINILM_HIDDEN),
        shape("ffn_up", MINILM_HIDDEN, MINILM_FFN),
        shape("ffn_down", MINILM_FFN, MINILM_HIDDEN),
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
    Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1. The
    order, with each shortcut after the two convolutions it bypasses, is that of the layer list
    N3H-Core publishes for its ResNet-18 design point.
    """
    shapes = [GemmShape(name="conv1", m=112 * 112, k=7 * 7 * 3, n=64)]
    channels_in = 64
    for stage, (side, channels) in enumerate(((56, 64), (28, 128), (14, 256), (7, 512)), start=1):
        shapes += _resnet_stage(f"layer{stage}", side * side, channels_in, channels)
        channels_in = channels
    shapes.append(GemmShape(name="fc", m=1, k=512, n=1000))
    return tuple(shapes)


def _resnet_stage(name: str, pixels: int, channels_in: int, channels: int) -> list[GemmShape]:
    """Two basic blocks; the first has a shortcut convolution if it changes the channel count."""
    wide = 9 * channels
    shapes = [
        GemmShape(name=f"{name}.0.conv1", m=pixels, k=9 * channels_in, n=channels),
        GemmShape(name=f"{name}.0.conv2", m=pixels, k=wide, n=channels),
    ]
    if channels_in != channels:
        shapes.append(GemmShape(name=f"{name}.0.downsample", m=pixels, k=channels_in, n=channels))
    return [
        *shapes,
        GemmShape(name=f"{name}.1.conv1", m=pixels, k=wide, n=channels),
        GemmShape(name=f"{name}.1.conv2", m=pixels, k=wide, n=channels),
    ]
