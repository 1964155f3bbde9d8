"""What the terms in the report of a run mean."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TERMS"]

TERMS: Mapping[str, str] = {
    "window": "Cycles from the end of the layer before to the layer's own end: that of its last instruction, or of an "
    "earlier layer that ends later. The last window goes on to the end of the run.",
    "main engine": "DSP or LUT, whichever is busy longer with the layer's instructions; VEC if it has none of them.",
    "compute": "Products: MACs ÷ (DSP MACs per cycle + LUT core's Dm · Dk · Dn ÷ (activation bits · weight bits)). "
    "Pools and additions: words that VEC reads, one per cycle.",
    "in tiles": "Cycles in which operands enter the main engine: partly filled tiles and padded channels take as long "
    "as full ones.",
    "traffic": "Inputs, weights and results moved once at the memory's bandwidth. Activations are bytes; weights are "
    "bytes, or packed to their bits if there is a LUT core.",
    "with capacity": "The same, or 2 · M · N · K ÷ √S − 2 · S words for products whose operands do not fit into the S "
    "words on the chip (Hong and Kung 1981; Smith et al. 2017).",
    "roofline": "The largest of compute, traffic, and traffic with capacity.",
    "utilisation": "Compute over cycles; zero for layers without MACs.",
    "efficiency": "Roofline over cycles.",
    "split": "What the main engine's share of the MACs takes more than compute, because the other core has less to do, "
    "or nothing.",
    "edges": "From there to “in tiles”.",
    "weight load": "Passes of the DSP core over fewer than lanes + 1 outputs wait for the next pass's weights.",
    "fill and drain": "What else the main engine's instructions take: constants of every run, setting loops.",
    "dram": "The main engine does nothing, and the chain of who waits for whom leads to a LOAD or STORE at work in "
    "that cycle.",
    "synchronisation": "The same, and it leads to another engine, or to an instruction that was not dispatched yet.",
    "overlap": "Cycles of the window in which the main engine works for other layers, less those outside of it in "
    "which it works for this one.",
    "chain": "What released an instruction is, of the engine's instruction before it and the givers of its tokens, the "
    "one that ended last; from there on backwards. It begins at the main engine's next instruction of the layer, or, "
    "after the last one, at the instruction that ends the layer.",
}
"""By term."""
