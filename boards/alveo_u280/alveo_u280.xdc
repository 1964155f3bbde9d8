# PCIe: reference clock of 100 MHz, and its reset. The lanes' places are set by XDMA's IP.
set_property PACKAGE_PIN AR15 [get_ports {pcie_refclk_clk_p[0]}]
set_property PACKAGE_PIN AR14 [get_ports {pcie_refclk_clk_n[0]}]
create_clock -name pcie_refclk -period 10.000 [get_ports {pcie_refclk_clk_p[0]}]
set_property PACKAGE_PIN BH26 [get_ports pcie_perstn]
set_property IOSTANDARD LVCMOS18 [get_ports pcie_perstn]
set_property PULLUP true [get_ports pcie_perstn]
set_false_path -from [get_ports pcie_perstn]

# Reference clock of 100 MHz of the HBM.
set_property PACKAGE_PIN BJ43 [get_ports {sysclk_clk_p[0]}]
set_property PACKAGE_PIN BJ44 [get_ports {sysclk_clk_n[0]}]
set_property IOSTANDARD DIFF_SSTL12 [get_ports {sysclk_clk_p[0]}]
set_property IOSTANDARD DIFF_SSTL12 [get_ports {sysclk_clk_n[0]}]
create_clock -name sysclk -period 10.000 [get_ports {sysclk_clk_p[0]}]

set_property CONFIG_VOLTAGE 1.8 [current_design]
set_property BITSTREAM.CONFIG.UNUSEDPIN Pullup [current_design]
set_property BITSTREAM.CONFIG.OVERTEMPSHUTDOWN ENABLE [current_design]
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
