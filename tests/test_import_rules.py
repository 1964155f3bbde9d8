"""The rules of the house, over the syntax trees: who may import whom, who may print, how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = {"golden", "timing", "config", "numerics", "operation", "tiling", "host", "values"}
ROOMS = (
    *("hwgen/cores/*", "hwgen/parts/*", "hwgen/program", "hwgen/system", "hwgen/compile", "hwgen/explore"),
    *(
        "hwgen/faults",
        "hwgen/faults/algorithmic",
        "hwgen/host",
        "hwgen/report",
        "hwgen/workloads",
        "hwgen/verify",
        "sim",
    ),
)
SOURCES = ("hwgen", "sim", "tests", "benchmarks")


class House:
    """The modules below a root folder and their imports.

    Parameters
    ----------
    root : Path
        The folder that holds ``hwgen`` and ``sim``.
    """

    def __init__(self, root: Path):
        self.root = root
        self.trees: dict[str, ast.Module] = {}
        self.packages: set[str] = set()
        for path in sorted(p for top in ("hwgen", "sim") for p in (root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.trees[name] = ast.parse(path.read_text(encoding="utf-8"))
            if parts[-1] == "__init__":
                self.packages.add(name)

    def imports(self, module: str, *, deferred: bool) -> set[str]:
        """Full names that a module imports; those inside functions only if ``deferred``."""
        found: set[str] = set()
        for node in _statements(self.trees[module], deferred):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        return found

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module.split(".") if module in self.packages else module.split(".")[:-1]
        parts = package[: len(package) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])

    @cached_property
    def loads(self) -> dict[str, set[str]]:
        """What each module imports when it is imported."""
        return {name: self.imports(name, deferred=False) for name in self.trees}

    def reach(self, module: str, *, parents: bool) -> set[str]:
        """All that is imported when ``module`` is, directly or not, by ``import`` statements.

        ``parents`` adds what Python loads besides: the packages around each module.
        """
        seen: set[str] = set()
        todo = [module]
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if parents and "." in name:
                todo.append(name.rpartition(".")[0])
            todo += self.loads.get(name, ())
        return seen - {module}

    def uses_amaranth(self, module: str) -> bool:
        """Whether a module loads Amaranth by a statement of its own."""
        return any(_within(name, "amaranth") for name in self.loads[module])


def _statements(node: ast.AST, deferred: bool) -> Iterator[ast.AST]:
    """Nodes that run on import, without ``if TYPE_CHECKING``; those inside functions too if ``deferred``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deferred:
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _statements(other, deferred)
            continue
        yield child
        yield from _statements(child, deferred)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _core_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[2] if parts[:2] == ["hwgen", "cores"] and len(parts) > 2 else None


def amaranth_reaches_pure_code(house: House) -> list[str]:
    pure = [n for n in house.trees if n.rpartition(".")[2] in PURE or _within(n, "sim")]
    return [
        f"{name} loads {found}"
        for name in pure
        for found in sorted(house.reach(name, parents=True))
        if _within(found, "amaranth")
    ]


def rtl_and_golden_meet(house: House) -> list[str]:
    wrong = []
    for name in house.trees:
        core = _core_of(name)
        golden = f"hwgen.cores.{core}.golden"
        if core is None or golden not in house.trees or name == golden or not house.uses_amaranth(name):
            continue
        if name in house.reach(golden, parents=True):
            wrong.append(f"{golden} loads {name}")
        if golden in house.reach(name, parents=False) | house.imports(name, deferred=True):
            wrong.append(f"{name} imports {golden}")
    return wrong


def cores_import_each_other(house: House) -> list[str]:
    return [
        f"{name} imports {found}"
        for name in house.trees
        for found in sorted(house.imports(name, deferred=True))
        if _core_of(name) and _core_of(found) not in (None, _core_of(name))
    ]


def hwgen_imports_sim(house: House) -> list[str]:
    return [
        f"{name} imports {found}"
        for name in house.trees
        if _within(name, "hwgen") and not _within(name, "hwgen.commands") and not _within(name, "hwgen.cli")
        for found in sorted(house.imports(name, deferred=True))
        if _within(found, "sim")
    ]


def sim_imports_hwgen(house: House) -> list[str]:
    return [
        f"{name} imports {found}"
        for name in house.trees
        if _within(name, "sim")
        for found in sorted(house.imports(name, deferred=True))
        if _within(found, "hwgen")
    ]


def boards_or_tests_imported(house: House) -> list[str]:
    return [
        f"{name} imports {found}"
        for name in house.trees
        for found in sorted(house.imports(name, deferred=True))
        if _within(found, "boards") or _within(found, "tests")
    ]


def prints_or_exits(house: House) -> list[str]:
    calls = {
        "print",
        "exit",
        "quit",
        "sys.exit",
        "os._exit",
        "SystemExit",
        "sys.stdout.write",
        "sys.stderr.write",
    }
    return [
        f"{name} calls {ast.unparse(node)}"
        for name, tree in house.trees.items()
        if not _within(name, "hwgen.cli")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in calls)
        or (isinstance(node, ast.Raise) and node.exc is not None and ast.unparse(node.exc) == "SystemExit")
    ]


def files_too_long(house: House) -> list[str]:
    texts = [
        p for top in SOURCES for kind in ("py", "cpp", "v") for p in (house.root / top).rglob(f"*.{kind}")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in texts}
    return [f"{path.relative_to(house.root)} has {n} lines" for path, n in lengths.items() if n > 600]


def rooms_without_readme(house: House) -> list[str]:
    rooms = [p for pattern in ROOMS for p in sorted(house.root.glob(pattern)) if any(p.glob("*.py"))]
    return [str(p.relative_to(house.root)) for p in rooms if not (p / "README.md").is_file()]


RULES: list[Callable[[House], list[str]]] = [
    amaranth_reaches_pure_code,
    rtl_and_golden_meet,
    cores_import_each_other,
    hwgen_imports_sim,
    sim_imports_hwgen,
    boards_or_tests_imported,
    prints_or_exits,
    files_too_long,
    rooms_without_readme,
]


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(house: House, rule: Callable[[House], list[str]]) -> None:
    assert rule(house) == []


def test_the_house_is_seen_whole(house: House) -> None:
    assert {"hwgen.cores.dsp_gemm.golden", "hwgen.cores.dsp_gemm.rtl", "sim.engine", "hwgen.cli"} <= {
        *house.trees
    }
    assert house.uses_amaranth("hwgen.cores.dsp_gemm.rtl")
    assert "amaranth.hdl" in house.reach("hwgen.cores.dsp_gemm.rtl", parents=False)


# One breach of each rule in a house of its own: what the rule must find, or it finds nothing.
BREACHES = {
    "direct": ("hwgen/cores/x/golden.py", "from amaranth.hdl import Signal", amaranth_reaches_pure_code),
    "through another": (
        "hwgen/cores/x/timing.py",
        "from hwgen.cores.x import rtl",
        amaranth_reaches_pure_code,
    ),
    "relative": ("hwgen/cores/x/config.py", "from .rtl import X", amaranth_reaches_pure_code),
    "package": ("hwgen/cores/x/__init__.py", "import hwgen.cores.x.rtl", amaranth_reaches_pure_code),
    "in a try": (
        "sim/engine.py",
        "try:\n    import amaranth\nfinally:\n    pass",
        amaranth_reaches_pure_code,
    ),
    "golden": (
        "hwgen/cores/x/rtl.py",
        "import amaranth\ndef f():\n    from .golden import g",
        rtl_and_golden_meet,
    ),
    "core": ("hwgen/cores/x/host.py", "def f():\n    import hwgen.cores.y.host", cores_import_each_other),
    "sim": ("hwgen/core.py", "def f():\n    from sim import Gate", hwgen_imports_sim),
    "hwgen": ("sim/engine.py", "from hwgen import numerics", sim_imports_hwgen),
    "tests": ("sim/engine.py", "import tests.conftest", boards_or_tests_imported),
    "print": ("hwgen/core.py", "def f():\n    print(1)", prints_or_exits),
    "exit": ("hwgen/core.py", "import sys\ndef f():\n    sys.exit(1)", prints_or_exits),
    "raise": ("sim/engine.py", "def f():\n    raise SystemExit", prints_or_exits),
    "long": ("hwgen/core.py", "\n" * 601, files_too_long),
    "readme": ("hwgen/parts/new/new.py", "", rooms_without_readme),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(tmp_path: Path, breach: str) -> None:
    files = {f"{folder}/__init__.py": "" for folder in ("hwgen", "hwgen/cores", "hwgen/cores/x", "sim")}
    files |= {f"{folder}/README.md": "" for folder in ("hwgen/cores/x", "sim")}
    allowed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import amaranth\n"
    files |= {f"hwgen/cores/x/{name}.py": allowed for name in ("golden", "timing", "config", "host")}
    files |= {"hwgen/cores/x/rtl.py": "import amaranth\n", "hwgen/core.py": "", "sim/engine.py": ""}
    path, text, rule = BREACHES[breach]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert [r.__name__ for r in RULES if r(House(tmp_path))] == []
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert rule(House(tmp_path)) != []
