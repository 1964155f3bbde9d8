# The accelerator has no pin of its own: processing system, its DDR memory and its clock of the programmable logic are
# constrained by the processing system's IP, with the values of the board's files.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
