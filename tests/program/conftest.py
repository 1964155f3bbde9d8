"""Legal instructions for property tests: ``st.from_type(Instr)``."""

from __future__ import annotations

from hypothesis import strategies as st

from hwgen.program import ENGINES, INSTRUCTIONS, Instr, Instruction


def _instrs(kind: Instruction) -> st.SearchStrategy[Instr]:
    partners = [name for name in ENGINES if name != kind.engine] if kind.engine != "control" else []
    masks = st.sets(st.sampled_from(partners)).map(tuple) if partners else st.just(())
    values = st.tuples(*(st.integers(f.low, f.high) for f in kind.fields))
    return st.builds(Instr, st.just(kind), values, masks, masks)


st.register_type_strategy(Instr, st.sampled_from(INSTRUCTIONS).flatmap(_instrs))
