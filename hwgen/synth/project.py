"""Projects for the tools of a board's maker: its scripts and constraints, and what they need to know of a design."""

from __future__ import annotations

from hwgen.boards import FOLDER, Board
from hwgen.config import CoreConfig
from hwgen.emit import Emission
from hwgen.errors import BadInput
from hwgen.host.overlay import overlay_files
from hwgen.host.zynq import board as zynq_board
from hwgen.host.zynq import is_zynq
from hwgen.system.config import SystemConfig

__all__ = ["project_files"]


def project_files(
    board: Board, top: str, verilog: str, config: CoreConfig, digest: str, made: Emission | None = None
) -> dict[str, str]:
    """Files of a project around a design's Verilog, by their path in its folder.

    Parameters
    ----------
    board : Board
        A board with a project.
    top : str
        Top module.
    verilog : str
        The file with it, in the same folder.
    config : CoreConfig
        Of the design; an accelerator gets a host, a core is built out of context.
    digest : str
        Of the design.
    made : Emission, optional
        An accelerator's Verilog, if it is not what its configuration alone says.

    Raises
    ------
    BadInput
        If the board has no project, or a file of it cannot be read.
    """
    if board.project is None:
        raise BadInput(f"board {board.name} has no project; its tools are open, so add --pnr")
    shared = sorted({*(FOLDER / "vivado").glob("*.tcl")} - {board.project})
    own = sorted(board.folder.glob("*.xdc"))
    try:
        files = {"build.tcl": board.project.read_text(encoding="utf-8")}
        files |= {path.name: path.read_text(encoding="utf-8") for path in own}
        files |= {f"vivado/{path.name}": path.read_text(encoding="utf-8") for path in shared}
    except OSError as error:
        raise BadInput(
            f"{error.filename} cannot be read ({error.strerror}); take the board's folder whole"
        ) from None
    if isinstance(config, SystemConfig) and is_zynq(board):
        zynq = zynq_board(board.name)
        files |= {
            f"overlay/{name}": text
            for name, text in overlay_files(config, zynq, board.clock_mhz, made).items()
        }
    facts = config.to_dict()
    files["facts.tcl"] = "\n".join(
        [
            f"# {top}, configuration {digest}: what build.tcl needs to know of it.",
            f"set part {board.option('part')[0]}",
            f"set board_parts {{{' '.join(board.option('files'))}}}",
            f"set clock_mhz {board.clock_mhz:g}",
            f"set top {top}",
            f"set verilog {verilog}",
            f"set kind {'accelerator' if config.core == 'accelerator' else 'core'}",
            f"set bus_bytes {facts.get('bus_bytes', 0)}",
            f"set address_bits {facts.get('address_bits', 0)}",
            f"set digest {digest}",
            "",
        ]
    )
    return files
