"""What the terms in the report of a run mean."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TERMS"]

TERMS: Mapping[str, str] = {
    "window": "Cycles from the end of the layer before to the layer's own end: that of its last instruction, or of an "
    "earlier layer that ends later. The last window goes on to the end of the run.",
    "main engine": "DSP, LUT or SPARSE, whichever is busy longest with the layer's instructions; VEC if it has none of "
    "them.",
    "compute": "Products: MACs ÷ (DSP MACs per cycle + LUT core's Dm · Dk · Dn ÷ (activation bits · weight bits)). On "
    "the sparse core: MACs with weights that are not zero ÷ (16 · its rows). "
    "Pools and additions: words that VEC reads, one per cycle.",
    "in tiles": "Cycles in which operands enter the main engine: partly filled tiles and padded channels take as long "
    "as full ones. On the sparse core: steps.",
    "traffic": "Inputs, weights and results moved once at the memory's bandwidth. Activations are bytes; weights are "
    "bytes, or packed to their bits if there is a LUT core; those of the sparse core are its streams.",
    "with capacity": "The same, or 2 · M · N · K ÷ √S − 2 · S words for products whose operands do not fit into the S "
    "words on the chip (Hong and Kung 1981; Smith et al. 2017). M · N · K: less those of weights that are zero on the "
    "sparse core.",
    "roofline": "The largest of compute, traffic, and traffic with capacity.",
    "utilisation": "Compute over cycles; zero for layers without MACs.",
    "efficiency": "Roofline over cycles.",
    "split": "What the main engine's share of the MACs takes more than compute, because the other core has less to do, "
    "or nothing.",
    "edges": "From there to “in tiles”: partly filled tiles and padded channels; of sparse weights also slots that no "
    "weight needs, and what short rounds are filled up with.",
    "weight load": "Passes of the DSP core over fewer than lanes + 1 outputs wait for the next pass's weights.",
    "fill and drain": "What else the main engine's instructions take: constants of every run, setting loops.",
    "dram": "The main engine does nothing, and the chain of who waits for whom leads to a LOAD or STORE at work in "
    "that cycle.",
    "synchronisation": "The same, and it leads to another engine, or to an instruction that was not dispatched yet.",
    "overlap": "Cycles of the window in which the main engine works for other layers, less those outside of it in "
    "which it works for this one.",
    "density": "Weights that are not zero ÷ all weights of the layer, without what pads them to whole blocks.",
    "steps": "Cycles of the sparse core's array: in each one every output takes one slot, which holds a weight. A "
    "block of 16 rows of weights takes as many as its pattern has slots (16 for a dense one), a round of column tiles "
    "at least as many as its sums take to leave; in matrix-vector mode cycles between rounds are added.",
    "speed-up": "Steps of the same layer and tiles of outputs if no weight were zero ÷ steps. Ideal: all weights ÷ "
    "those that are not zero.",
    "chain": "What released an instruction is, of the engine's instruction before it and the givers of its tokens, the "
    "one that ended last; from there on backwards. It begins at the main engine's next instruction of the layer, or, "
    "after the last one, at the instruction that ends the layer.",
}
"""By term."""
