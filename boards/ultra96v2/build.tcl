# Ultra96-V2: a project for Vivado around the Verilog that `hwgen synth TARGET --board ultra96v2` wrote here.
#   vivado -mode batch -source build.tcl

source [file join [file dirname [file normalize [info script]]] vivado common.tcl]

hwgen_package $folder
if {$kind eq "accelerator"} {
    source [file join $folder overlay design.tcl]
} else {
    hwgen_out_of_context
}
