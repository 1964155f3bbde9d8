# What the projects for all boards share.

set here [file dirname [file normalize [info script]]]
set folder [file dirname $here]
# part, board_parts, clock_mhz, top, verilog, kind (accelerator or core), bus_bytes, address_bits, digest
source [file join $folder facts.tcl]
source [file join $here package_core.tcl]

# A project with the block design that the caller draws; stops with a sentence if a board's files are not installed.
proc hwgen_project {} {
    global part board_parts folder
    create_project -force hwgen [file join $folder project] -part $part
    if {[llength $board_parts]} {
        set found {}
        foreach wanted $board_parts {
            set found [concat $found [get_board_parts -quiet $wanted]]
        }
        if {![llength $found]} {
            error "the files of this board ([join $board_parts { or }]) are not installed, and memory and clocks\
                   are set by them: install them with Vivado's Tools > Vivado Store > Boards"
        }
        set_property board_part [lindex $found end] [current_project]
    }
    set_property ip_repo_paths [list [file join $folder ip]] [current_project]
    update_ip_catalog
}

# Reset of the core, active high, from an active-low one of the same clock.
proc hwgen_reset {clock resetn} {
    set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
    connect_bd_net [get_bd_pins $clock] [get_bd_pins reset/slowest_sync_clk]
    connect_bd_net [get_bd_pins $resetn] [get_bd_pins reset/ext_reset_in]
    return $reset
}

# A SmartConnect with one clock: it adapts widths, burst lengths and versions of AXI.
proc hwgen_connect {name masters slaves clock} {
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name]
    set_property -dict [list CONFIG.NUM_SI [llength $masters] CONFIG.NUM_MI [llength $slaves]] $cell
    connect_bd_net [get_bd_pins $clock] [get_bd_pins $name/aclk]
    connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins $name/aresetn]
    set index 0
    foreach master $masters {
        connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins [format "%s/S%02d_AXI" $name $index]]
        incr index
    }
    set index 0
    foreach slave $slaves {
        connect_bd_intf_net [get_bd_intf_pins [format "%s/M%02d_AXI" $name $index]] [get_bd_intf_pins $slave]
        incr index
    }
}

# The packaged core, with clock and reset.
proc hwgen_core {clock} {
    global top
    create_bd_cell -type ip -vlnv hwgen:cores:$top:1.0 core
    connect_bd_net [get_bd_pins $clock] [get_bd_pins core/clk]
    connect_bd_net [get_bd_pins reset/peripheral_reset] [get_bd_pins core/rst]
}

# Implementation, bitstream, and the hardware description that PYNQ and Vitis read.
proc hwgen_finish {constraints} {
    global folder
    assign_bd_address
    validate_bd_design
    save_bd_design
    set wrapper [make_wrapper -files [get_files system.bd] -top]
    add_files -norecurse $wrapper
    set_property top system_wrapper [current_fileset]
    if {[llength $constraints]} {
        add_files -fileset constrs_1 -norecurse $constraints
    }
    launch_runs impl_1 -to_step write_bitstream -jobs 2
    wait_on_run impl_1
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
        error "implementation stopped: see the log of impl_1 in [file join $folder project]"
    }
    open_run impl_1
    report_utilization -file [file join $folder utilization.txt]
    report_timing_summary -file [file join $folder timing.txt]
    write_hw_platform -fixed -include_bit -force [file join $folder hwgen.xsa]
}

# A core without the accelerator around it has streams and no host: it is synthesised and timed out of context.
proc hwgen_out_of_context {} {
    global part top verilog folder clock_mhz
    create_project -in_memory -part $part hwgen_alone
    read_verilog [file join $folder $verilog]
    synth_design -top $top -part $part -mode out_of_context
    create_clock -name clk -period [expr {1000.0 / $clock_mhz}] [get_ports clk]
    opt_design
    place_design
    route_design
    report_utilization -file [file join $folder utilization.txt]
    report_timing_summary -file [file join $folder timing.txt]
    write_checkpoint -force [file join $folder $top.dcp]
}
