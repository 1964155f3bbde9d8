"""A core that leaves a question open does not register."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hwgen import registry
from hwgen.core import Core
from hwgen.cores.dsp_gemm import CORE
from hwgen.errors import BadInput, HwgenError

MEMBERS = sorted(Core.__abstractmethods__)


@pytest.fixture
def fresh() -> Iterator[None]:
    registry.cores.cache_clear()
    yield
    registry.cores.cache_clear()


def _refused(sentence: str):
    return pytest.raises(HwgenError, match=f"^{re.escape(sentence)}$")


def _whole(name: str = "whole") -> type[Core]:
    """A class that answers every question."""
    body = dict.fromkeys(MEMBERS, lambda self, *rest: None)
    return type("Whole", (Core,), {**body, "name": name, "summary": "", "config": object, "supported": {}})


def test_the_contract_asks_for_golden_timing_and_resources() -> None:
    assert {"golden", "timing", "resources", "values", "component", "streams"} <= set(MEMBERS)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_core_without_a_member_does_not_register(member: str) -> None:
    lacking = type("Lacking", (_whole(),), {member: getattr(Core, member)})
    with _refused(f"core 'x' does not register: it lacks {member}"):
        registry.register(lacking, "x")


@pytest.mark.parametrize("member", ["name", "summary", "config", "supported"])
def test_a_core_without_a_fact_does_not_register(member: str) -> None:
    whole = _whole()
    delattr(whole, member)
    with _refused(f"core 'whole' does not register: it lacks {member}"):
        registry.register(whole(), "whole")


def test_a_class_in_place_of_an_instance() -> None:
    with _refused("core 'whole' does not register: it lacks an instance (its entry point names the class)"):
        registry.register(_whole(), "whole")


def test_something_else_in_place_of_a_core() -> None:
    with _refused("core 'x' must be an instance of hwgen.core.Core, not 7"):
        registry.register(7, "x")


def test_a_core_under_another_name() -> None:
    with _refused("core 'x' calls itself 'whole'; its entry point must use that name"):
        registry.register(_whole()(), "x")
    whole = _whole()()
    assert registry.register(whole, "whole") is whole


def test_cores_are_found_by_entry_point(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def __init__(self, name: str):
            self.name = name

        def load(self) -> Core:
            return _whole(self.name)()

    assert registry.core("dsp_gemm") is CORE
    registry.cores.cache_clear()
    asked = []
    monkeypatch.setattr(
        registry, "entry_points", lambda group: asked.append(group) or [Entry("b"), Entry("a")]
    )
    assert list(registry.cores()) == ["a", "b"]
    assert asked == ["hwgen.core"]
    with pytest.raises(BadInput, match=r"^there is no core 'c'; there are a, b \(see `hwgen list cores`\)$"):
        registry.core("c")
