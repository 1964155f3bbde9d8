"""A Vivado project with the accelerator beside a Zynq's processors: the wrapper with its interfaces, and the Tcl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwgen.emit import Emission, Port
from hwgen.errors import HwgenError
from hwgen.host.zynq import CELL, IP, ZynqBoard

__all__ = ["block_design", "wrapper"]

_INTERFACES = {"s_axi": "xilinx.com:interface:aximm:1.0", "m_axi": "xilinx.com:interface:aximm:1.0"}
_FIXED = {
    "irq": ("xilinx.com:signal:interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
}
_CLOCK = (
    "xilinx.com:signal:clock:1.0 aclk CLK",
    "ASSOCIATED_BUSIF s_axi:m_axi, ASSOCIATED_RESET aresetn",
)
_RESET = ("xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW")


def wrapper(made: Emission, config: Mapping[str, Any]) -> str:
    """Verilog around the accelerator whose attributes tell Vivado its interfaces; the reset becomes active low.

    Parameters
    ----------
    made : Emission
        The accelerator.
    config : mapping
        The address map.

    Raises
    ------
    HwgenError
        If the accelerator has a port that the wrapper does not know.
    """
    data = config["data"]
    extra = {
        "s_axi": f"PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH {config['control']['bytes'].bit_length() - 1}",
        "m_axi": f"PROTOCOL AXI4, DATA_WIDTH {data['data_bits']}, ADDR_WIDTH {data['address_bits']}, "
        "SUPPORTS_NARROW_BURST 0, HAS_BURST 1, ID_WIDTH 0",
    }
    lines = [_port("input", "aclk", 1, *_CLOCK), _port("input", "aresetn", 1, *_RESET)]
    told: set[str] = set()
    for port in _signals(made):
        if port.name in _FIXED:
            lines.append(_port(port.direction, port.name, port.width, *_FIXED[port.name]))
            continue
        bus = next((name for name in _INTERFACES if port.name.startswith(f"{name}_")), None)
        if bus is None:
            lines.append(_port(port.direction, port.name, port.width))
            continue
        facts = f"{_INTERFACES[bus]} {bus} {port.name[len(bus) + 1 :].upper()}"
        lines.append(_port(port.direction, port.name, port.width, facts, "" if bus in told else extra[bus]))
        told.add(bus)
    pins = ["    .clk(aclk)", "    .rst(~aresetn)", *(f"    .{p.name}({p.name})" for p in _signals(made))]
    body = ",\n".join(lines)
    joined = ",\n".join(pins)
    return (
        f"// {made.top} as Vivado's block designs want it; digest {config['digest']}\n"
        f"module {IP} (\n{body}\n);\n  {made.top} {made.top}_i (\n{joined}\n  );\nendmodule\n"
    )


def _signals(made: Emission) -> list[Port]:
    """All ports but clock and reset."""
    names = [port.name for port in made.ports]
    if names[:2] != ["clk", "rst"]:
        raise HwgenError(f"the ports of {made.top} begin with {names[:2]}, not with clk and rst")
    return list(made.ports[2:])


def _port(direction: str, name: str, width: int, info: str = "", parameter: str = "") -> str:
    lines = [f'  (* X_INTERFACE_INFO = "{info}" *)'] if info else []
    lines += [f'  (* X_INTERFACE_PARAMETER = "{parameter}" *)'] if parameter else []
    size = f"[{width - 1}:0] " if width > 1 else ""
    return "\n".join([*lines, f"  {direction} wire {size}{name}"])


def block_design(made: Emission, config: Mapping[str, Any], target: ZynqBoard, sources: Sequence[str]) -> str:
    """Tcl that makes the project, the block design, and the bitstream with its description.

    Parameters
    ----------
    made : Emission
        The accelerator.
    config : mapping
        The address map, which says all addresses and widths.
    target : ZynqBoard
        The board.
    sources : sequence of str
        Verilog files, relative to the script.
    """
    family = target.family
    control, data = config["control"], config["data"]
    values = {"mhz": f"{config['clock_mhz']:g}", "bits": str(data["port_bits"])}
    settings = "\n".join(
        f"    CONFIG.{name} {{{text.format(**values)}}} \\" for name, text in family.settings
    )
    ports = "\n".join(f"    {p.name} {p.width} \\" for p in _signals(made))
    clocks = " ".join(
        f"[get_bd_pins ps/{name}]" for name in dict.fromkeys((*family.control_clocks, *family.data_clocks))
    )
    files = " \\\n".join(f'    [file join $here "{name}"]' for name in sources)
    automation = (
        f"apply_bd_automation -rule xilinx.com:bd_rule:{family.processor} \\\n"
        f'    -config {{make_external "{family.externals}" apply_board_preset "1" '
        'Master "Disable" Slave "Disable"} $ps'
        if family.externals
        else f'apply_bd_automation -rule xilinx.com:bd_rule:{family.processor} -config {{apply_board_preset "1"}} $ps'
    )
    preset = (
        f'set known [get_board_parts -quiet -latest_file_version "{target.board_part}"]\n'
        "if {[llength $known]} {\n    set_property board_part [lindex $known 0] [current_project]\n} else {\n"
        f'    error "the files of {target.name} ({target.board_part}) are not installed, and they set DRAM and clocks: '
        "install them with Vivado's Tools > Vivado Store > Boards\"\n}\n"
        if target.board_part
        else ""
    )
    return f"""# {made.top} beside the processors of {target.name} ({family.name}); digest {config["digest"]}.
# Run:  vivado -mode batch -source {{this file}}     It leaves accelerator.bit and accelerator.hwh beside this file.
# Set HWGEN_NO_BUILD in the environment to stop at the block design.

set here [file dirname [file normalize [info script]]]
create_project accelerator [file join $here vivado] -part {target.part} -force
{preset}add_files -norecurse [list \\
{files} \\
]
foreach one [glob -nocomplain [file join $here *.xdc]] {{ add_files -fileset constrs_1 -norecurse $one }}
update_compile_order -fileset sources_1

create_bd_design design_1

# The newest version of a block that this Vivado has.
proc block {{name}} {{
    set found [get_ipdefs -filter "NAME == $name && VENDOR == xilinx.com"]
    if {{![llength $found]}} {{ error "this Vivado has no block $name: install the device family" }}
    return [lindex $found end]
}}

set ps [create_bd_cell -type ip -vlnv [block {family.processor}] ps]
{automation}
set_property -dict [list \\
{settings}
] $ps

# The accelerator, as a module reference: the wrapper's attributes say its interfaces.
set accelerator [create_bd_cell -type module -reference {IP} {CELL}]
foreach {{port width}} [list \\
{ports}
] {{
    if {{![llength [get_bd_pins -quiet -of_objects $accelerator -filter "NAME == $port"]]}} {{
        puts "WARNING: {CELL} shows no pin $port of $width bits: is the wrapper of another accelerator?"
    }}
}}

set reset [create_bd_cell -type ip -vlnv [block proc_sys_reset] reset_0]
set control [create_bd_cell -type ip -vlnv [block smartconnect] control_0]
set memory [create_bd_cell -type ip -vlnv [block smartconnect] memory_0]
foreach one [list $control $memory] {{ set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1] $one }}

# One clock for all of it.
connect_bd_net [get_bd_pins ps/{family.clock}] \\
    [get_bd_pins {CELL}/aclk] [get_bd_pins reset_0/slowest_sync_clk] \\
    [get_bd_pins control_0/aclk] [get_bd_pins memory_0/aclk] {clocks}
connect_bd_net [get_bd_pins ps/{family.reset}] [get_bd_pins reset_0/ext_reset_in]
connect_bd_net [get_bd_pins reset_0/peripheral_aresetn] \\
    [get_bd_pins {CELL}/aresetn] [get_bd_pins control_0/aresetn] [get_bd_pins memory_0/aresetn]

# Registers, memory, interrupt.
connect_bd_intf_net [get_bd_intf_pins ps/{family.control}] [get_bd_intf_pins control_0/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control_0/M00_AXI] [get_bd_intf_pins {CELL}/{control["interface"]}]
connect_bd_intf_net [get_bd_intf_pins {CELL}/{data["interface"]}] [get_bd_intf_pins memory_0/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins memory_0/M00_AXI] [get_bd_intf_pins ps/{family.data}]
connect_bd_net [get_bd_pins {CELL}/irq] [get_bd_pins ps/{family.interrupt}]

# Only one register space and the DRAM are to be seen: the driver knows no other.
assign_bd_address -offset 0x{control["base"]:08X} -range 0x{control["bytes"]:X} \\
    -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs {CELL}/{control["interface"]}/reg0]
assign_bd_address -target_address_space [get_bd_addr_spaces {CELL}/{data["interface"]}] \\
    [get_bd_addr_segs ps/{family.segment}]

validate_bd_design
save_bd_design
make_wrapper -files [get_files design_1.bd] -top -import
set_property top design_1_wrapper [current_fileset]

if {{![info exists ::env(HWGEN_NO_BUILD)]}} {{
    launch_runs impl_1 -to_step write_bitstream -jobs 2
    wait_on_run impl_1
    if {{[get_property PROGRESS [get_runs impl_1]] ne "100%"}} {{ error "the implementation failed: see its log" }}
    set runs [get_property DIRECTORY [get_runs impl_1]]
    file copy -force [file join $runs design_1_wrapper.bit] [file join $here accelerator.bit]
    # Where the description is depends on the version.
    set place [file join sources_1 bd design_1 hw_handoff design_1.hwh]
    set description [lindex [glob -directory [file join $here vivado] -- \\
        [file join accelerator.gen $place] [file join accelerator.srcs $place]] 0]
    file copy -force $description [file join $here accelerator.hwh]
}}
"""
