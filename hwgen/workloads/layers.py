"""Layers of a network: what tables say, what the compiler maps and what reports list, in one form.

A layer reads a tensor of ``(h, w, c)`` values, batch 1, and writes another. Every product, convolution or
matrix, has a view as ``groups`` independent GEMMs ``(m, k) @ (k, n)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import NoReturn

from hwgen.errors import BadInput
from hwgen.parts.sparse import PATTERNS

__all__ = [
    "INPUT",
    "KINDS",
    "Hwc",
    "Layer",
    "Workload",
    "gemm_view",
    "input_shapes",
    "macs",
    "output_shape",
    "shapes",
    "total_macs",
]

Hwc = tuple[int, int, int]
"""Height, width and channels of a tensor."""

INPUT = "input"
"""The name by which layers read the input of the whole network."""

KINDS = ("conv", "gemm", "maxpool", "avgpool", "add")
"""Every kind of layer."""

_PRODUCTS = ("conv", "gemm")
_LARGEST = 1 << 24
_MAX_BITS = 8

# Which fields mean something for a kind; any other must keep its default, or it would be silently ignored.
_COMMON = {"name", "kind", "inputs", "act_bits"}
_WINDOW = {"kernel", "stride", "pad"}
_PRODUCT = {"groups", "relu", "weight_bits", "lut_share", "sparse", "pattern", "input_shape"}
_FIELDS = {
    "conv": _COMMON | _WINDOW | _PRODUCT | {"out_channels"},
    "gemm": _COMMON | _PRODUCT | {"gemm"},
    "maxpool": _COMMON | _WINDOW,
    "avgpool": _COMMON | _WINDOW,
    "add": _COMMON | {"relu"},
}


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Parameters
    ----------
    name : str
        Unique in its workload; one line of printable text without spaces at its ends, not ``"input"``.
    kind : str
        ``"conv"``, ``"gemm"``, ``"maxpool"``, ``"avgpool"`` or ``"add"``.
    inputs : tuple of str
        Names of earlier layers, or ``"input"``. One name; two for an ``add``. Empty for a product that
        stands alone and gets random operands of its own, as in tables that are lists of shapes.
    out_channels : int
        Output channels of a convolution, 1..2^24.
    kernel, stride : tuple of int
        (vertical, horizontal) of a convolution or a pool, each 1..2^24.
    pad : tuple of int
        Rows and columns of padding (top, left, bottom, right), each 0..2^24; zeros for a convolution. A pool's
        padding must be smaller than its kernel, so that no window lies in padding alone.
    groups : int
        Independent groups of channels, 1..2^24: as many as input channels for a depthwise convolution. For a
        GEMM, independent products of the same shape, such as one per attention head.
    relu : bool
        Whether negative results become zero.
    act_bits, weight_bits : int
        Widths of activations and weights, 1..8.
    lut_share : float or None
        Share of the output channels that the LUT core computes, 0..1; None leaves it to the compiler.
    sparse : bool or None
        Whether the core for sparse weights computes it; None leaves it to the compiler.
    pattern : str or None
        N:M pattern that its weights have along the input channels, such as ``"2:4"``: random weights are pruned to it.
    gemm : tuple of int or None
        (m, k, n) of a GEMM ``A[m, k] @ B[k, n]`` per group, each 1..2^24; fully connected means m = 1.
    input_shape : tuple of int or None
        (h, w, c) of the input of a convolution that stands alone; may be left out for a GEMM.

    Raises
    ------
    BadInput
        If a field is missing, out of range, or has no meaning for this kind; the layer and field are named.
    """

    name: str
    kind: str
    _: KW_ONLY
    inputs: tuple[str, ...] = ()
    out_channels: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    relu: bool = False
    act_bits: int = 8
    weight_bits: int = 8
    lut_share: float | None = None
    sparse: bool | None = None
    pattern: str | None = None
    gemm: tuple[int, int, int] | None = None
    input_shape: Hwc | None = None

    def __post_init__(self) -> None:
        _check_text("name of a layer", self.name, required=True)
        if self.name == INPUT:
            raise BadInput(
                f"name of a layer must not be {INPUT!r}, which means the network's input; choose another."
            )
        if self.kind not in KINDS:
            self._refuse("kind", f"must be one of {', '.join(KINDS)}", self.kind)
        for field in fields(self):
            if field.name not in _FIELDS[self.kind] and getattr(self, field.name) != field.default:
                value = getattr(self, field.name)
                self._refuse(field.name, f"has no meaning for kind {self.kind!r} and must be left out", value)
        self._check_sizes()
        self._check_options()
        self._check_inputs()

    @property
    def product(self) -> bool:
        """Whether the layer multiplies: a convolution or a GEMM."""
        return self.kind in _PRODUCTS

    def _refuse(self, field: str, rule: str, value: object) -> NoReturn:
        raise BadInput(f"{field} of layer {self.name!r} {rule}, not {value!r}.")

    def _check_sizes(self) -> None:
        if self.kind == "conv":
            self._integers("out_channels", (self.out_channels,), 1, 1)
        self._integers("groups", (self.groups,), 1, 1)
        self._integers("kernel", self.kernel, 2, 1)
        self._integers("stride", self.stride, 2, 1)
        self._integers("pad", self.pad, 4, 0)
        if self.kind == "gemm" and self.gemm is None:
            self._refuse("gemm", "must be given as (m, k, n)", None)
        if self.gemm is not None:
            self._integers("gemm", self.gemm, 3, 1)
        if self.input_shape is not None:
            self._integers("input_shape", self.input_shape, 3, 1)
        if self.kind == "conv" and self.out_channels % self.groups:
            self._refuse("out_channels", f"must be a multiple of its {self.groups} groups", self.out_channels)
        if self.kind in ("maxpool", "avgpool"):
            for pad, kernel in zip(self.pad, self.kernel * 2, strict=True):
                if pad >= kernel:
                    self._refuse("pad", f"must be smaller than the kernel {self.kernel}", self.pad)

    def _check_options(self) -> None:
        for field in ("act_bits", "weight_bits"):
            bits = getattr(self, field)
            if not _is_int(bits) or not 1 <= bits <= _MAX_BITS:
                self._refuse(field, f"must be an integer in 1..{_MAX_BITS}", bits)
        if not _is_bool(self.relu):
            self._refuse("relu", "must be true or false", self.relu)
        if self.lut_share is not None and not (_is_real(self.lut_share) and 0 <= self.lut_share <= 1):
            self._refuse("lut_share", "must be a number in 0..1, or left out", self.lut_share)
        if self.sparse is not None and not _is_bool(self.sparse):
            self._refuse("sparse", "must be true or false, or left out", self.sparse)
        if self.pattern is not None and self.pattern not in map(str, PATTERNS):
            self._refuse(
                "pattern", f"must be one of {', '.join(map(str, PATTERNS))}, or left out", self.pattern
            )

    def _check_inputs(self) -> None:
        if not _is_names(self.inputs):
            self._refuse("inputs", "must be a list of names of earlier layers", self.inputs)
        wanted = 2 if self.kind == "add" else 1
        if self.product and not self.inputs:
            if self.kind == "conv" and self.input_shape is None:
                self._refuse("input_shape", "must be given as (h, w, c), because it has no inputs", None)
        elif len(self.inputs) != wanted:
            self._refuse("inputs", f"must be {wanted} name{'s'[: wanted - 1]}", self.inputs)
        elif self.input_shape is not None:
            rule = "must be left out, because its inputs say the shape"
            self._refuse("input_shape", rule, self.input_shape)

    def _integers(self, field: str, values: object, count: int, low: int) -> None:
        if not isinstance(values, tuple) or len(values) != count:
            self._refuse(field, f"must be {count} integers", values)
        for value in values:
            if not _is_int(value) or not low <= value <= _LARGEST:
                shown = values[0] if count == 1 else values
                rule = "must be an integer" if count == 1 else f"must be {count} integers"
                self._refuse(field, f"{rule} in {low}..2^24", shown)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _check_text(role: str, value: object, *, required: bool) -> None:
    """Refuse what would not fit on one line of a table, a listing or a report."""
    if not isinstance(value, str) or not value.isprintable() or value != value.strip():
        raise BadInput(
            f"{role} must be one line of printable text without spaces at its ends, not {value!r}."
        )
    if required and not value:
        raise BadInput(f"{role} must not be empty; give it one.")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A network, or a list of independent layers.

    Parameters
    ----------
    name : str
        One line of text.
    layers : tuple of Layer
        In the order of execution; at least one.
    input_shape : tuple of int or None
        (h, w, c) of what layers read as ``"input"``; None if none does.
    source, source_url, licence : str
        Where the shapes come from and on what terms; one line of text each, or empty.

    Raises
    ------
    BadInput
        If a name occurs twice, an input is unknown or comes later, or shapes do not fit; the layer is named.
        A workload that exists has the shapes that :func:`shapes` gives.
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: Hwc | None = None
    source: str = ""
    source_url: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        _check_text("name of a workload", self.name, required=True)
        for field in ("source", "source_url", "licence"):
            _check_text(f"{field} of workload {self.name!r}", getattr(self, field), required=False)
        if not self.layers:
            raise BadInput(f"layers of workload {self.name!r} must not be empty; give at least one.")
        self._check_input_shape()
        seen: set[str] = set()
        for layer in self.layers:
            if layer.name in seen:
                raise BadInput(f"layer {layer.name!r} occurs twice in workload {self.name!r}; rename one.")
            seen.add(layer.name)
        shapes(self)

    def _check_input_shape(self) -> None:
        used = any(INPUT in layer.inputs for layer in self.layers)
        shape: object = self.input_shape
        if shape is None:
            if used:
                raise BadInput(
                    f"input_shape of workload {self.name!r} must be given as (h, w, c), "
                    f"because layers read {INPUT!r}."
                )
            return
        sizes = shape if isinstance(shape, tuple) and len(shape) == 3 else ()
        if not sizes or not all(_is_int(size) and 1 <= size <= _LARGEST for size in sizes):
            raise BadInput(
                f"input_shape of workload {self.name!r} must be 3 integers (h, w, c) in 1..2^24, not {shape!r}."
            )
        if not used:
            raise BadInput(
                f"input_shape of workload {self.name!r} is given, but no layer reads {INPUT!r}; "
                "name it in the inputs of the first layer, or leave the shape out."
            )


def shapes(workload: Workload) -> dict[str, Hwc]:
    """The (h, w, c) of every tensor by the name of the layer that writes it, and of ``"input"`` if there is one.

    Raises
    ------
    BadInput
        If a layer reads a name that no earlier layer has, or its input does not fit it.
    """
    return _infer(workload)[1]


def input_shapes(workload: Workload) -> dict[str, Hwc]:
    """The (h, w, c) that each layer reads, by its name; both inputs of an ``add`` have it."""
    return _infer(workload)[0]


def _infer(workload: Workload) -> tuple[dict[str, Hwc], dict[str, Hwc]]:
    known: dict[str, Hwc] = {}
    reads: dict[str, Hwc] = {}
    if workload.input_shape is not None:
        known[INPUT] = workload.input_shape
    for layer in workload.layers:
        reads[layer.name] = _read_by(layer, known)
        known[layer.name] = output_shape(layer, reads[layer.name])
    return reads, known


def _read_by(layer: Layer, known: Mapping[str, Hwc]) -> Hwc:
    for name in layer.inputs:
        if name not in known:
            raise BadInput(
                f"inputs of layer {layer.name!r} name {name!r}, which is no earlier layer; "
                f"expected {INPUT!r} or the name of a layer above it."
            )
    if layer.kind == "add" and known[layer.inputs[0]] != known[layer.inputs[1]]:
        one, other = (f"{name!r} of {_text(known[name])}" for name in layer.inputs)
        raise BadInput(
            f"inputs of layer {layer.name!r} must have one shape to be added, not {one} and {other}."
        )
    if layer.inputs:
        return known[layer.inputs[0]]
    return _own_input(layer)


def _own_input(layer: Layer) -> Hwc:
    """What a layer that stands alone reads."""
    if layer.input_shape is not None:
        return layer.input_shape
    if layer.inputs or layer.gemm is None:
        raise BadInput(
            f"the input shape of layer {layer.name!r} is that of another layer; give it as (h, w, c)."
        )
    m, k, _ = layer.gemm
    return m, 1, k * layer.groups


def output_shape(layer: Layer, shape: Hwc) -> Hwc:
    """The (h, w, c) that a layer writes when it reads ``shape``.

    Windows that do not fit whole are dropped, as in PyTorch: ``(h + pads - kernel) // stride + 1``. A GEMM
    over the flattened input writes (1, 1, n); one over tokens keeps the two first sizes.

    Raises
    ------
    BadInput
        If the kernel is larger than the padded input, the channels do not divide into the groups, or a GEMM
        is of another size than its input.
    """
    if layer.kind == "add":
        return shape
    if layer.kind == "gemm":
        return _gemm_output(layer, shape)
    h, w, c = shape
    top, left, bottom, right = layer.pad
    padded = (h + top + bottom, w + left + right)
    for side, size, kernel in zip(("high", "wide"), padded, layer.kernel, strict=True):
        if kernel > size:
            raise BadInput(
                f"kernel of layer {layer.name!r} is {kernel} {side}, but its padded input is only {size}; "
                "make the kernel smaller or pad more."
            )
    if layer.kind == "conv" and c % layer.groups:
        raise BadInput(
            f"groups of layer {layer.name!r} must divide its {c} input channels, which {layer.groups} does not."
        )
    rows, columns = (
        (size - k) // s + 1 for size, k, s in zip(padded, layer.kernel, layer.stride, strict=True)
    )
    return rows, columns, layer.out_channels if layer.kind == "conv" else c


def _gemm_output(layer: Layer, shape: Hwc) -> Hwc:
    assert layer.gemm is not None  # __post_init__ refuses a GEMM without it
    m, k, n = layer.gemm
    h, w, c = shape
    wide, outputs = k * layer.groups, n * layer.groups
    if m == 1 and wide == h * w * c:
        return 1, 1, outputs
    if m == h * w and wide == c:
        return h, w, outputs
    groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
    raise BadInput(
        f"gemm of layer {layer.name!r} is ({m}, {k}, {n}){groups}, but its input is {_text(shape)}; "
        f"expected m = 1 and k = {h * w * c} for all values, or m = {h * w} and k = {c} for one row per pixel, "
        "k shared between the groups."
    )


def gemm_view(layer: Layer, shape: Hwc | None = None) -> tuple[int, int, int, int]:
    """A product as matrix products, convolutions unrolled by im2col.

    Parameters
    ----------
    layer : Layer
        A convolution or a GEMM.
    shape : tuple of int or None
        The (h, w, c) it reads; may be left out for a layer that stands alone.

    Returns
    -------
    tuple of int
        (m, k, n, groups): ``groups`` independent products ``(m, k) @ (k, n)``. For a convolution, m is the
        number of output pixels, k the kernel's area times the input channels of a group, n the output
        channels of a group.

    Raises
    ------
    BadInput
        If the layer is no product, or ``shape`` does not fit it.
    """
    if not layer.product:
        raise BadInput(
            f"layer {layer.name!r} is of kind {layer.kind!r}, which multiplies no matrices; skip it."
        )
    shape = _own_input(layer) if shape is None else shape
    rows, columns, channels = output_shape(layer, shape)
    if layer.gemm is not None:
        return *layer.gemm, layer.groups
    kernel = layer.kernel[0] * layer.kernel[1]
    return rows * columns, kernel * shape[2] // layer.groups, channels // layer.groups, layer.groups


def macs(layer: Layer, shape: Hwc | None = None) -> int:
    """Multiply-accumulates of a layer that reads ``shape``, padding included; 0 for pools and additions.

    ``shape`` may be left out for a layer that stands alone.
    """
    if not layer.product:
        return 0
    m, k, n, groups = gemm_view(layer, shape)
    return m * k * n * groups


def total_macs(workload: Workload) -> int:
    """Multiply-accumulates of all layers, padding included."""
    reads = input_shapes(workload)
    return sum(macs(layer, reads[layer.name]) for layer in workload.layers)


def _text(shape: Hwc) -> str:
    return "x".join(map(str, shape))
