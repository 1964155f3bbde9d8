// Simulation model of the part of the ECP5 MULT18X18D block that hwgen instantiates.
//
// Names and defaults of ports and parameters are the primitive's; ports that are not instantiated are left out, so
// an instance simulates with this file and synthesizes with the tools' own. What is outside the subset (README.md)
// stops the simulation instead of giving a wrong number. Written from the behaviour documented in FPGA-TN-02205.

`default_nettype none

module MULT18X18D (
    input  wire A17, input  wire A16, input  wire A15, input  wire A14, input  wire A13, input  wire A12,
    input  wire A11, input  wire A10, input  wire A9, input  wire A8, input  wire A7, input  wire A6,
    input  wire A5, input  wire A4, input  wire A3, input  wire A2, input  wire A1, input  wire A0,
    input  wire B17, input  wire B16, input  wire B15, input  wire B14, input  wire B13, input  wire B12,
    input  wire B11, input  wire B10, input  wire B9, input  wire B8, input  wire B7, input  wire B6,
    input  wire B5, input  wire B4, input  wire B3, input  wire B2, input  wire B1, input  wire B0,
    /* verilator lint_off UNUSEDSIGNAL */  // the third operand belongs to the pre-adder's path
    input  wire C17, input  wire C16, input  wire C15, input  wire C14, input  wire C13, input  wire C12,
    input  wire C11, input  wire C10, input  wire C9, input  wire C8, input  wire C7, input  wire C6,
    input  wire C5, input  wire C4, input  wire C3, input  wire C2, input  wire C1, input  wire C0,
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire SIGNEDA, input  wire SIGNEDB, input  wire SOURCEA, input  wire SOURCEB,
    input  wire CLK0, input  wire CE0, input  wire RST0,
    output wire P35, output wire P34, output wire P33, output wire P32, output wire P31, output wire P30,
    output wire P29, output wire P28, output wire P27, output wire P26, output wire P25, output wire P24,
    output wire P23, output wire P22, output wire P21, output wire P20, output wire P19, output wire P18,
    output wire P17, output wire P16, output wire P15, output wire P14, output wire P13, output wire P12,
    output wire P11, output wire P10, output wire P9, output wire P8, output wire P7, output wire P6,
    output wire P5, output wire P4, output wire P3, output wire P2, output wire P1, output wire P0
);

    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTA_CE = "CE0";
    parameter REG_INPUTA_RST = "RST0";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTB_CE = "CE0";
    parameter REG_INPUTB_RST = "RST0";
    parameter REG_INPUTC_CLK = "NONE";
    /* verilator lint_off UNUSEDPARAM */  // meaningless without a register on C
    parameter REG_INPUTC_CE = "CE0";
    parameter REG_INPUTC_RST = "RST0";
    /* verilator lint_on UNUSEDPARAM */
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_PIPELINE_CE = "CE0";
    parameter REG_PIPELINE_RST = "RST0";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter REG_OUTPUT_CE = "CE0";
    parameter REG_OUTPUT_RST = "RST0";
    /* verilator lint_off UNUSEDPARAM */  // of the block's surroundings: clock dividers, and the reset at start-up
    parameter CLK0_DIV = "ENABLED";
    parameter CLK1_DIV = "ENABLED";
    parameter CLK2_DIV = "ENABLED";
    parameter CLK3_DIV = "ENABLED";
    parameter GSR = "ENABLED";
    parameter CAS_MATCH_REG = "FALSE";
    parameter SOURCEB_MODE = "B_SHIFT";
    /* verilator lint_on UNUSEDPARAM */
    parameter HIGHSPEED_CLK = "NONE";
    parameter MULT_BYPASS = "DISABLED";
    parameter RESETMODE = "SYNC";

    /* verilator lint_off WIDTHEXPAND */  // texts are compared at the longer one's width
    localparam A_HELD = REG_INPUTA_CLK == "CLK0";
    localparam B_HELD = REG_INPUTB_CLK == "CLK0";
    localparam PIPELINED = REG_PIPELINE_CLK == "CLK0";
    localparam P_HELD = REG_OUTPUT_CLK == "CLK0";

    initial begin
        if (!A_HELD && REG_INPUTA_CLK != "NONE") $fatal(1, "MULT18X18D: REG_INPUTA_CLK must be CLK0 or NONE");
        if (!B_HELD && REG_INPUTB_CLK != "NONE") $fatal(1, "MULT18X18D: REG_INPUTB_CLK must be CLK0 or NONE");
        if (REG_INPUTC_CLK != "NONE") $fatal(1, "MULT18X18D: REG_INPUTC_CLK must be NONE");
        if (!PIPELINED && REG_PIPELINE_CLK != "NONE") $fatal(1, "MULT18X18D: REG_PIPELINE_CLK must be CLK0 or NONE");
        if (!P_HELD && REG_OUTPUT_CLK != "NONE") $fatal(1, "MULT18X18D: REG_OUTPUT_CLK must be CLK0 or NONE");
        if (REG_INPUTA_CE != "CE0" || REG_INPUTB_CE != "CE0" || REG_PIPELINE_CE != "CE0" || REG_OUTPUT_CE != "CE0")
            $fatal(1, "MULT18X18D: every clock enable must be CE0");
        if (REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0" || REG_PIPELINE_RST != "RST0"
            || REG_OUTPUT_RST != "RST0")
            $fatal(1, "MULT18X18D: every reset must be RST0");
        if (HIGHSPEED_CLK != "NONE") $fatal(1, "MULT18X18D: HIGHSPEED_CLK must be NONE");
        if (MULT_BYPASS != "DISABLED") $fatal(1, "MULT18X18D: MULT_BYPASS must be DISABLED");
        if (RESETMODE != "SYNC") $fatal(1, "MULT18X18D: RESETMODE must be SYNC");
    end
    /* verilator lint_on WIDTHEXPAND */

    wire [17:0] a_in = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
    };
    wire [17:0] b_in = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
    };

    reg [17:0] a_q;
    reg [17:0] b_q;
    reg        a_sign_q;
    reg        b_sign_q;
    reg signed [37:0] m_q;
    reg [35:0] p_q;

    wire [17:0] a = A_HELD ? a_q : a_in;
    wire [17:0] b = B_HELD ? b_q : b_in;
    wire        a_sign = (A_HELD ? a_sign_q : SIGNEDA) && a[17];
    wire        b_sign = (B_HELD ? b_sign_q : SIGNEDB) && b[17];
    wire signed [18:0] a_factor = {a_sign, a};
    wire signed [18:0] b_factor = {b_sign, b};
    wire signed [37:0] m_next = {{19{a_factor[18]}}, a_factor} * {{19{b_factor[18]}}, b_factor};
    /* verilator lint_off UNUSEDSIGNAL */  // the two bits above an 18 by 18 product repeat its sign
    wire signed [37:0] m = PIPELINED ? m_q : m_next;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [35:0] p = P_HELD ? p_q : m[35:0];

    // A reset wins over the enable.
    always @(posedge CLK0) begin
        if (RST0) begin
            a_q <= 18'd0;
            b_q <= 18'd0;
            a_sign_q <= 1'b0;
            b_sign_q <= 1'b0;
            m_q <= 38'sd0;
            p_q <= 36'd0;
        end else if (CE0) begin
            a_q <= a_in;
            b_q <= b_in;
            a_sign_q <= SIGNEDA;
            b_sign_q <= SIGNEDB;
            m_q <= m_next;
            p_q <= m[35:0];
        end
    end

    // The configuration of the device clears every register.
    initial begin
        a_q = 18'd0;
        b_q = 18'd0;
        a_sign_q = 1'b0;
        b_sign_q = 1'b0;
        m_q = 38'sd0;
        p_q = 36'd0;
    end

`ifndef SYNTHESIS
    always @(posedge CLK0)
        if (SOURCEA || SOURCEB) $fatal(1, "MULT18X18D: SOURCEA and SOURCEB must be 0, the shift chains are not modelled");
`endif

    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16,
        P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = p;

endmodule

`default_nettype wire
