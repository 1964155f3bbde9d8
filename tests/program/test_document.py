"""The documentation page is what the table gives."""

from __future__ import annotations

from hwgen.program import ENGINES, INSTRUCTIONS
from hwgen.program.document import PAGE, markdown
from hwgen.program.layout import layout


def test_the_committed_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == markdown(), "run `python -m hwgen.program.document`"


def test_the_page_has_everything() -> None:
    text = markdown()
    for engine in ENGINES:
        assert f"\n## `{engine}` " in text
    for kind in INSTRUCTIONS:
        section = text.split(f"\n### `{kind.mnemonic}` ")[1].split("\n## ")[0].split("\n### ")[0]
        assert kind.meaning in section
        for field in kind.fields:
            low, bits, _ = layout(kind.mnemonic)[field.name]
            place = f"{low + bits - 1}:{low}" if bits > 1 else f"{low}"
            assert f"| {place} | `{field.name}` |" in section
            assert field.meaning in section
        assert all(name in section for field in kind.fields for name in field.names)
