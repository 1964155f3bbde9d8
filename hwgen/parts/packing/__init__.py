"""Several small products from one wide multiplier, exactly."""

from hwgen.parts.packing.arithmetic import (
    BLOCKS,
    SCHEMES,
    DspBlock,
    Field,
    Packing,
    Scheme,
    packing,
    placement,
)

__all__ = ["BLOCKS", "SCHEMES", "DspBlock", "Field", "Packing", "Scheme", "packing", "placement"]
