# Alveo U280: a project for Vivado around the Verilog that `hwgen synth TARGET --board alveo_u280` wrote here.
#   vivado -mode batch -source build.tcl

source [file join [file dirname [file normalize [info script]]] vivado common.tcl]

hwgen_package $folder
if {$kind eq "accelerator"} {
    source [file join $here alveo.tcl]
    hwgen_finish [list [file join $folder alveo_u280.xdc]]
} else {
    hwgen_out_of_context
}
