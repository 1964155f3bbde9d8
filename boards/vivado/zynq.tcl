# A project for Vivado around the Verilog that `hwgen synth TARGET --board BOARD` wrote here, for every Zynq board.
#   vivado -mode batch -source build.tcl

source [file join [file dirname [file normalize [info script]]] vivado common.tcl]

hwgen_package $folder
if {$kind eq "accelerator"} {
    source [file join $folder overlay design.tcl]
} else {
    hwgen_out_of_context
}
