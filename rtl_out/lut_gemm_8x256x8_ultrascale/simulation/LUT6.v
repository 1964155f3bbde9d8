// Simulation models of the LUTs of Xilinx devices; leave them out for synthesis, where the vendor has its own.

module LUT6 #(
    parameter [63:0] INIT = 64'h0
) (
    output wire O,
    input  wire I0,
    input  wire I1,
    input  wire I2,
    input  wire I3,
    input  wire I4,
    input  wire I5
);

    assign O = INIT[{I5, I4, I3, I2, I1, I0}];

endmodule

// Two outputs: O6 looks up all six inputs in INIT, O5 the lower five in its lower half.
module LUT6_2 #(
    parameter [63:0] INIT = 64'h0
) (
    output wire O6,
    output wire O5,
    input  wire I0,
    input  wire I1,
    input  wire I2,
    input  wire I3,
    input  wire I4,
    input  wire I5
);

    assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
    assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];

endmodule
