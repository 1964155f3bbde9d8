# Block design for an Alveo with HBM: a host writes memory and registers over PCIe (XDMA), the core reads and writes the
# HBM through one of its ports. Everything runs from XDMA's clock of 250 MHz.

hwgen_project
create_bd_design system
set xdma [create_bd_cell -type ip -vlnv xilinx.com:ip:xdma xdma]
set_property -dict [list \
    CONFIG.functional_mode DMA \
    CONFIG.mode_selection Advanced \
    CONFIG.pl_link_cap_max_link_width X16 \
    CONFIG.pl_link_cap_max_link_speed 8.0_GT/s \
    CONFIG.axi_data_width 512_bit \
    CONFIG.axisten_freq $clock_mhz \
    CONFIG.axilite_master_en true \
    CONFIG.axilite_master_size 64 \
    CONFIG.axilite_master_scale Kilobytes \
    CONFIG.xdma_num_usr_irq 1 \
] $xdma

# Reference clock and lanes of PCIe.
set buffer [create_bd_cell -type ip -vlnv xilinx.com:ip:util_ds_buf pcie_clock]
set_property CONFIG.C_BUF_TYPE IBUFDSGTE $buffer
make_bd_intf_pins_external -name pcie_refclk [get_bd_intf_pins pcie_clock/CLK_IN_D]
make_bd_intf_pins_external -name pcie [get_bd_intf_pins xdma/pcie_mgt]
make_bd_pins_external -name pcie_perstn [get_bd_pins xdma/sys_rst_n]
connect_bd_net [get_bd_pins pcie_clock/IBUF_OUT] [get_bd_pins xdma/sys_clk_gt]
connect_bd_net [get_bd_pins pcie_clock/IBUF_DS_ODIV2] [get_bd_pins xdma/sys_clk]

set clock xdma/axi_aclk
hwgen_reset $clock xdma/axi_aresetn
hwgen_core $clock

# One stack of 4 GB; its ports see all of it. Its reference clock is the board's of 100 MHz.
set hbm [create_bd_cell -type ip -vlnv xilinx.com:ip:hbm hbm]
set_property -dict [list \
    CONFIG.USER_HBM_DENSITY 4GB \
    CONFIG.USER_HBM_STACK 1 \
    CONFIG.USER_AUTO_POPULATE yes \
    CONFIG.USER_SWITCH_ENABLE_00 TRUE \
    CONFIG.USER_CLK_SEL_LIST0 AXI_00_ACLK \
    CONFIG.USER_HBM_REF_CLK_0 100 \
] $hbm
for {set port 1} {$port < 16} {incr port} {
    set_property [format "CONFIG.USER_SAXI_%02d" $port] [expr {$port == 1 ? "true" : "false"}] $hbm
}
set buffer [create_bd_cell -type ip -vlnv xilinx.com:ip:util_ds_buf hbm_clock]
set_property CONFIG.C_BUF_TYPE IBUFDS $buffer
make_bd_intf_pins_external -name sysclk [get_bd_intf_pins hbm_clock/CLK_IN_D]
connect_bd_net [get_bd_pins hbm_clock/IBUF_OUT] [get_bd_pins hbm/HBM_REF_CLK_0]
connect_bd_net [get_bd_pins hbm_clock/IBUF_OUT] [get_bd_pins hbm/APB_0_PCLK]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins hbm/APB_0_PRESET_N]
foreach port {00 01} {
    connect_bd_net [get_bd_pins $clock] [get_bd_pins hbm/AXI_${port}_ACLK]
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins hbm/AXI_${port}_ARESET_N]
}

hwgen_connect control xdma/M_AXI_LITE core/s_axi $clock
hwgen_connect host xdma/M_AXI hbm/SAXI_00 $clock
hwgen_connect memory core/m_axi hbm/SAXI_01 $clock
connect_bd_net [get_bd_pins core/irq] [get_bd_pins xdma/usr_irq_req]
