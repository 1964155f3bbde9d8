"""nextpnr and the programs that pack bitstreams, as they come from PyPI: where they are, and one run of each."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwgen.errors import BadInput, MissingTool

__all__ = ["Placer", "Tell", "run", "version"]

Tell = Callable[[str], None]
"""Is told what is being done."""

# Lines of nextpnr's log with which a step begins, and what the user is told.
_STEPS = {
    "Packing": "packing cells", "Promoting globals": "packing cells", "Creating initial": "placing",
    "Running simulated annealing": "placing", "Running main analytical placer": "placing", "Routing globals": "routing",
    "Routing..": "routing", "Running main router": "routing", "Setting up routing": "routing",
}  # fmt: skip


@dataclass(frozen=True)
class Placer:
    """Place and route for a family, and the packer of its bitstreams.

    Parameters
    ----------
    package : str
        Python package with nextpnr.
    program : str
        Its function, as ``module:function``; it takes arguments.
    constraints : tuple of str
        Options for the file with pins; ``{}`` stands for its name.
    routed : tuple of str
        Options for the routed design; the last is the file's name.
    packer : str
        Function that packs the bitstream, as ``module:function``.
    pack : tuple of str
        Its arguments; one of them is ``bitstream`` with :attr:`suffix`.
    suffix : str
        Of a bitstream's name.
    always : tuple of str
        Options that nextpnr always needs.
    packer_package : str
        Python package with the packer; nextpnr's own if empty.
    """

    package: str
    program: str
    constraints: tuple[str, ...]
    routed: tuple[str, ...]
    packer: str
    pack: tuple[str, ...]
    suffix: str
    always: tuple[str, ...] = ()
    packer_package: str = ""

    def versions(self) -> dict[str, str]:
        """Versions of the packages, by name.

        Raises
        ------
        MissingTool
            If one is not installed.
        """
        names = (self.package, *((self.packer_package,) if self.packer_package else ()))
        return {name: version(name) for name in names}


def version(package: str) -> str:
    """Version of a Python package that holds a tool.

    Raises
    ------
    MissingTool
        If it is not installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingTool(
            f"{package} was not found, and placing a design needs it: run `pip install {package}`, or "
            "`pip install 'hwgen[pnr]'` for all of its kind."
        ) from error


def run(
    function: str,
    arguments: Sequence[str],
    files: Mapping[str, bytes],
    wanted: Sequence[str],
    tell: Tell = lambda text: None,
    watch: Tell = lambda line: None,
) -> dict[str, bytes]:
    """Run a tool in a folder of its own; gives the files that it made.

    Parameters
    ----------
    function : str
        The tool, as ``module:function``.
    arguments : sequence of str
        Of the tool, with relative names: WebAssembly sees a temporary folder of its own in place of the real one.
    files : mapping of str to bytes
        What it finds in the folder.
    wanted : sequence of str
        Names of the files to take.
    tell : callable
        Is told the step that nextpnr is at.
    watch : callable
        Is given each line that the tool writes; if it raises an exception the tool is stopped.

    Raises
    ------
    BadInput
        If the tool stopped; holds its ERROR line.
    """
    module, _, name = function.partition(":")
    # YoWASP's functions take arguments and give the exit code, others are as their command: both get both.
    start = (
        f"import sys, inspect, {module} as tool; call = tool.{name}; sys.argv[0] = {name!r}; "
        "sys.exit(call(sys.argv[1:]) if inspect.signature(call).parameters else call())"
    )
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        for path, content in files.items():
            Path(folder, path).write_bytes(content)
        lines: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-c", start, *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    lines.append(line)
                    watch(line)
                    step = next((text for start, text in _STEPS.items() if start in line), None)
                    if step:
                        tell(step)
            except BaseException:
                process.kill()
                raise
        missing = [path for path in wanted if not Path(folder, path).is_file()]
        if process.returncode != 0 or missing:
            raise BadInput(_reason(name, lines))
        return {path: Path(folder, path).read_bytes() for path in wanted}


def _reason(name: str, lines: Sequence[str]) -> str:
    tool = re.sub(r"^run_", "", name).replace("_", "-")
    tool = "gowin-pack" if tool == "main" else tool
    written = [line.strip() for line in lines if line.strip()]
    reason = next((line for line in written if "ERROR" in line), [*written, "no message"][-1])
    end = " with the design" if tool.startswith("nextpnr") else ""
    return f"{tool} stopped, it was expected to finish{end}: {reason}"
