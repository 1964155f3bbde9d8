// Simulation model of the part of the iCE40 SB_MAC16 block that hwgen instantiates: two multipliers of 8 by 8 bits.
//
// Names, widths and defaults of ports and parameters are the primitive's; ports that are not instantiated are left out,
// so an instance simulates with this file and synthesizes with the tools' own. What is outside the subset (README.md)
// stops the simulation instead of giving a wrong number. Written from the behaviour documented in FPGA-TN-02007.

`default_nettype none

module SB_MAC16 (
    input  wire        CLK,
    input  wire        CE,
    input  wire [15:0] C,
    input  wire [15:0] A,
    input  wire [15:0] B,
    input  wire [15:0] D,
    input  wire        AHOLD,
    input  wire        BHOLD,
    input  wire        CHOLD,
    input  wire        DHOLD,
    input  wire        IRSTTOP,
    input  wire        IRSTBOT,
    input  wire        ORSTTOP,
    input  wire        ORSTBOT,
    input  wire        OLOADTOP,
    input  wire        OLOADBOT,
    input  wire        ADDSUBTOP,
    input  wire        ADDSUBBOT,
    input  wire        OHOLDTOP,
    input  wire        OHOLDBOT,
    input  wire        CI,
    input  wire        ACCUMCI,
    input  wire        SIGNEXTIN,
    output wire [31:0] O
);

    parameter [0:0] NEG_TRIGGER = 0;
    parameter [0:0] C_REG = 0;
    parameter [0:0] A_REG = 0;
    parameter [0:0] B_REG = 0;
    parameter [0:0] D_REG = 0;
    parameter [0:0] TOP_8x8_MULT_REG = 0;
    parameter [0:0] BOT_8x8_MULT_REG = 0;
    parameter [0:0] PIPELINE_16x16_MULT_REG1 = 0;
    parameter [0:0] PIPELINE_16x16_MULT_REG2 = 0;
    parameter [1:0] TOPOUTPUT_SELECT = 0;
    parameter [1:0] TOPADDSUB_LOWERINPUT = 0;
    parameter [0:0] TOPADDSUB_UPPERINPUT = 0;
    parameter [1:0] TOPADDSUB_CARRYSELECT = 0;
    parameter [1:0] BOTOUTPUT_SELECT = 0;
    parameter [1:0] BOTADDSUB_LOWERINPUT = 0;
    parameter [0:0] BOTADDSUB_UPPERINPUT = 0;
    parameter [1:0] BOTADDSUB_CARRYSELECT = 0;
    parameter [0:0] MODE_8x8 = 0;
    parameter [0:0] A_SIGNED = 0;
    parameter [0:0] B_SIGNED = 0;

`ifndef SYNTHESIS
    initial begin
        if (NEG_TRIGGER != 0) $fatal(1, "SB_MAC16: NEG_TRIGGER must be 0");
        if (MODE_8x8 != 1) $fatal(1, "SB_MAC16: MODE_8x8 must be 1");
        if (C_REG != 0 || D_REG != 0) $fatal(1, "SB_MAC16: C_REG and D_REG must be 0");
        if (PIPELINE_16x16_MULT_REG1 != 0 || PIPELINE_16x16_MULT_REG2 != 0)
            $fatal(1, "SB_MAC16: PIPELINE_16x16_MULT_REG1 and PIPELINE_16x16_MULT_REG2 must be 0");
        if ((TOPOUTPUT_SELECT != 1 && TOPOUTPUT_SELECT != 2) || (BOTOUTPUT_SELECT != 1 && BOTOUTPUT_SELECT != 2))
            $fatal(1, "SB_MAC16: TOPOUTPUT_SELECT and BOTOUTPUT_SELECT must be 1 or 2");
        if (TOPOUTPUT_SELECT == 1 && (TOPADDSUB_LOWERINPUT != 1 || TOPADDSUB_UPPERINPUT != 1))
            $fatal(1, "SB_MAC16: TOPADDSUB_LOWERINPUT and TOPADDSUB_UPPERINPUT must be 1");
        if (BOTOUTPUT_SELECT == 1 && (BOTADDSUB_LOWERINPUT != 1 || BOTADDSUB_UPPERINPUT != 1))
            $fatal(1, "SB_MAC16: BOTADDSUB_LOWERINPUT and BOTADDSUB_UPPERINPUT must be 1");
        if (TOPADDSUB_CARRYSELECT != 0 || BOTADDSUB_CARRYSELECT != 0)
            $fatal(1, "SB_MAC16: TOPADDSUB_CARRYSELECT and BOTADDSUB_CARRYSELECT must be 0");
    end
`endif

    // Operands, products, and the sums of products and C or D, each with a register that may be left out.

    reg [15:0] a_q;
    reg [15:0] b_q;
    reg [15:0] top_q;
    reg [15:0] bottom_q;
    reg [15:0] top_sum;
    reg [15:0] bottom_sum;

    wire [15:0] a = A_REG ? a_q : A;
    wire [15:0] b = B_REG ? b_q : B;
    wire [15:0] a_high = {{8{A_SIGNED && a[15]}}, a[15:8]};
    wire [15:0] a_low = {{8{A_SIGNED && a[7]}}, a[7:0]};
    wire [15:0] b_high = {{8{B_SIGNED && b[15]}}, b[15:8]};
    wire [15:0] b_low = {{8{B_SIGNED && b[7]}}, b[7:0]};
    wire [15:0] top_next = a_high * b_high;
    wire [15:0] bottom_next = a_low * b_low;
    wire [15:0] top = TOP_8x8_MULT_REG ? top_q : top_next;
    wire [15:0] bottom = BOT_8x8_MULT_REG ? bottom_q : bottom_next;

    always @(posedge CLK)
        if (CE) begin
            if (!AHOLD) a_q <= A;
            if (!BHOLD) b_q <= B;
            top_q <= top_next;
            bottom_q <= bottom_next;
            if (!OHOLDTOP) top_sum <= top + C;
            if (!OHOLDBOT) bottom_sum <= bottom + D;
        end

    assign O = {TOPOUTPUT_SELECT == 1 ? top_sum : top, BOTOUTPUT_SELECT == 1 ? bottom_sum : bottom};

    // The configuration of the device clears every register.
    initial begin
        a_q = 16'd0;
        b_q = 16'd0;
        top_q = 16'd0;
        bottom_q = 16'd0;
        top_sum = 16'd0;
        bottom_sum = 16'd0;
    end

`ifndef SYNTHESIS
    always @(posedge CLK) begin
        if (IRSTTOP || IRSTBOT || ORSTTOP || ORSTBOT) $fatal(1, "SB_MAC16: resets must be 0");
        if (OLOADTOP || OLOADBOT) $fatal(1, "SB_MAC16: OLOADTOP and OLOADBOT must be 0");
        if (ADDSUBTOP || ADDSUBBOT) $fatal(1, "SB_MAC16: ADDSUBTOP and ADDSUBBOT must be 0");
        if (CHOLD || DHOLD) $fatal(1, "SB_MAC16: CHOLD and DHOLD must be 0");
        if (CI || ACCUMCI || SIGNEXTIN) $fatal(1, "SB_MAC16: CI, ACCUMCI and SIGNEXTIN must be 0");
    end
`endif

endmodule

`default_nettype wire
