// Simulation model of the part of the 7-series DSP48E1 block that hwgen instantiates.
//
// Names, widths and defaults of ports and parameters are the primitive's, so an instance simulates
// with this file and synthesizes with the vendor's. What is outside the subset (README.md) stops the
// simulation instead of giving a wrong number. Written from the behaviour documented in UG479.

`default_nettype none

module DSP48E1 (
    output wire [29:0] ACOUT,
    output wire [17:0] BCOUT,
    output wire        CARRYCASCOUT,
    output wire [3:0]  CARRYOUT,
    output wire        MULTSIGNOUT,
    output wire        OVERFLOW,
    output wire [47:0] P,
    output wire        PATTERNBDETECT,
    output wire        PATTERNDETECT,
    output wire [47:0] PCOUT,
    output wire        UNDERFLOW,
    input  wire [29:0] A,
    input  wire [29:0] ACIN,
    input  wire [3:0]  ALUMODE,
    input  wire [17:0] B,
    input  wire [17:0] BCIN,
    input  wire [47:0] C,
    /* verilator lint_off UNUSEDSIGNAL */  // the carry and sign cascades are outside the subset
    input  wire        CARRYCASCIN,
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire        CARRYIN,
    input  wire [2:0]  CARRYINSEL,
    input  wire        CEA1,
    input  wire        CEA2,
    input  wire        CEAD,
    input  wire        CEALUMODE,
    input  wire        CEB1,
    input  wire        CEB2,
    input  wire        CEC,
    input  wire        CECARRYIN,
    input  wire        CECTRL,
    input  wire        CED,
    input  wire        CEINMODE,
    input  wire        CEM,
    input  wire        CEP,
    input  wire        CLK,
    input  wire [24:0] D,
    input  wire [4:0]  INMODE,
    /* verilator lint_off UNUSEDSIGNAL */  // as CARRYCASCIN
    input  wire        MULTSIGNIN,
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire [6:0]  OPMODE,
    input  wire [47:0] PCIN,
    input  wire        RSTA,
    input  wire        RSTALLCARRYIN,
    input  wire        RSTALUMODE,
    input  wire        RSTB,
    input  wire        RSTC,
    input  wire        RSTCTRL,
    input  wire        RSTD,
    input  wire        RSTINMODE,
    input  wire        RSTM,
    input  wire        RSTP
);

    parameter integer ACASCREG = 1;
    parameter integer ADREG = 1;
    parameter integer ALUMODEREG = 1;
    parameter integer AREG = 1;
    parameter AUTORESET_PATDET = "NO_RESET";
    parameter A_INPUT = "DIRECT";
    parameter integer BCASCREG = 1;
    parameter integer BREG = 1;
    parameter B_INPUT = "DIRECT";
    parameter integer CARRYINREG = 1;
    parameter integer CARRYINSELREG = 1;
    parameter integer CREG = 1;
    parameter integer DREG = 1;
    parameter integer INMODEREG = 1;
    parameter [3:0] IS_ALUMODE_INVERTED = 4'b0000;
    parameter [0:0] IS_CARRYIN_INVERTED = 1'b0;
    parameter [0:0] IS_CLK_INVERTED = 1'b0;
    parameter [4:0] IS_INMODE_INVERTED = 5'b00000;
    parameter [6:0] IS_OPMODE_INVERTED = 7'b0000000;
    /* verilator lint_off UNUSEDPARAM */  // meaningless while the pattern detector is off
    parameter [47:0] MASK = 48'h3FFFFFFFFFFF;
    /* verilator lint_on UNUSEDPARAM */
    parameter integer MREG = 1;
    parameter integer OPMODEREG = 1;
    /* verilator lint_off UNUSEDPARAM */  // as MASK
    parameter [47:0] PATTERN = 48'h000000000000;
    /* verilator lint_on UNUSEDPARAM */
    parameter integer PREG = 1;
    /* verilator lint_off UNUSEDPARAM */  // as MASK
    parameter SEL_MASK = "MASK";
    parameter SEL_PATTERN = "PATTERN";
    /* verilator lint_on UNUSEDPARAM */
    parameter USE_DPORT = "FALSE";
    parameter USE_MULT = "MULTIPLY";
    parameter USE_PATTERN_DETECT = "NO_PATDET";
    parameter USE_SIMD = "ONE48";

    // Parameters: refuse what the model does not do -------------------------------------------

    // A stage of 0 or 1 registers, given as its parameter.
    function one_or_none(input integer count);
        one_or_none = count == 0 || count == 1;
    endfunction

    // The cascade output of a two-register input is taken after the first or the second one.
    function cascade_fits(input integer cascade, input integer count);
        cascade_fits = cascade == count || (count == 2 && cascade == 1);
    endfunction

    /* verilator lint_off WIDTHEXPAND */  // text and numbers are compared at the longer one's width
    localparam A_CASCADED = A_INPUT == "CASCADE";
    localparam B_CASCADED = B_INPUT == "CASCADE";
    localparam A_FROM_AD = USE_DPORT == "TRUE";
    localparam NO_MULT = USE_MULT == "NONE";

    initial begin
        if (USE_SIMD != "ONE48") $fatal(1, "DSP48E1: USE_SIMD must be ONE48");
        if (USE_PATTERN_DETECT != "NO_PATDET") $fatal(1, "DSP48E1: USE_PATTERN_DETECT must be NO_PATDET");
        if (AUTORESET_PATDET != "NO_RESET") $fatal(1, "DSP48E1: AUTORESET_PATDET must be NO_RESET");
        if (USE_MULT != "MULTIPLY" && USE_MULT != "DYNAMIC" && USE_MULT != "NONE")
            $fatal(1, "DSP48E1: USE_MULT must be MULTIPLY, DYNAMIC or NONE");
        if (A_INPUT != "DIRECT" && A_INPUT != "CASCADE") $fatal(1, "DSP48E1: A_INPUT must be DIRECT or CASCADE");
        if (B_INPUT != "DIRECT" && B_INPUT != "CASCADE") $fatal(1, "DSP48E1: B_INPUT must be DIRECT or CASCADE");
        if (USE_DPORT != "TRUE" && USE_DPORT != "FALSE") $fatal(1, "DSP48E1: USE_DPORT must be TRUE or FALSE");
        if (AREG < 0 || AREG > 2) $fatal(1, "DSP48E1: AREG must be 0, 1 or 2");
        if (BREG < 0 || BREG > 2) $fatal(1, "DSP48E1: BREG must be 0, 1 or 2");
        if (!cascade_fits(ACASCREG, AREG)) $fatal(1, "DSP48E1: ACASCREG must be AREG, or 1 when AREG is 2");
        if (!cascade_fits(BCASCREG, BREG)) $fatal(1, "DSP48E1: BCASCREG must be BREG, or 1 when BREG is 2");
        if (!one_or_none(ADREG)) $fatal(1, "DSP48E1: ADREG must be 0 or 1");
        if (!one_or_none(ALUMODEREG)) $fatal(1, "DSP48E1: ALUMODEREG must be 0 or 1");
        if (!one_or_none(CARRYINREG)) $fatal(1, "DSP48E1: CARRYINREG must be 0 or 1");
        if (!one_or_none(CARRYINSELREG)) $fatal(1, "DSP48E1: CARRYINSELREG must be 0 or 1");
        if (!one_or_none(CREG)) $fatal(1, "DSP48E1: CREG must be 0 or 1");
        if (!one_or_none(DREG)) $fatal(1, "DSP48E1: DREG must be 0 or 1");
        if (!one_or_none(INMODEREG)) $fatal(1, "DSP48E1: INMODEREG must be 0 or 1");
        if (!one_or_none(MREG)) $fatal(1, "DSP48E1: MREG must be 0 or 1");
        if (!one_or_none(OPMODEREG)) $fatal(1, "DSP48E1: OPMODEREG must be 0 or 1");
        if (!one_or_none(PREG)) $fatal(1, "DSP48E1: PREG must be 0 or 1");
        if (IS_ALUMODE_INVERTED != 0) $fatal(1, "DSP48E1: IS_ALUMODE_INVERTED must be 0");
        if (IS_CARRYIN_INVERTED != 0) $fatal(1, "DSP48E1: IS_CARRYIN_INVERTED must be 0");
        if (IS_CLK_INVERTED != 0) $fatal(1, "DSP48E1: IS_CLK_INVERTED must be 0");
        if (IS_INMODE_INVERTED != 0) $fatal(1, "DSP48E1: IS_INMODE_INVERTED must be 0");
        if (IS_OPMODE_INVERTED != 0) $fatal(1, "DSP48E1: IS_OPMODE_INVERTED must be 0");
    end
    /* verilator lint_on WIDTHEXPAND */

    // Control registers ------------------------------------------------------------------------

    reg [6:0] opmode_q;
    reg [2:0] carryinsel_q;
    reg [3:0] alumode_q;
    reg [4:0] inmode_q;
    reg       carryin_q;

    always @(posedge CLK) begin
        if (RSTCTRL) opmode_q <= 7'd0;
        else if (CECTRL) opmode_q <= OPMODE;
        if (RSTCTRL) carryinsel_q <= 3'd0;
        else if (CECTRL) carryinsel_q <= CARRYINSEL;
        if (RSTALUMODE) alumode_q <= 4'd0;
        else if (CEALUMODE) alumode_q <= ALUMODE;
        if (RSTINMODE) inmode_q <= 5'd0;
        else if (CEINMODE) inmode_q <= INMODE;
        if (RSTALLCARRYIN) carryin_q <= 1'b0;
        else if (CECARRYIN) carryin_q <= CARRYIN;
    end

    wire [6:0] opmode = (OPMODEREG == 1) ? opmode_q : OPMODE;
    wire [2:0] carryinsel = (CARRYINSELREG == 1) ? carryinsel_q : CARRYINSEL;
    wire [3:0] alumode = (ALUMODEREG == 1) ? alumode_q : ALUMODE;
    wire [4:0] inmode = (INMODEREG == 1) ? inmode_q : INMODE;
    wire       carryin = (CARRYINREG == 1) ? carryin_q : CARRYIN;

    // Operand registers ------------------------------------------------------------------------
    // With one register on A the second is that one, but the first still exists beside it: INMODE
    // can select it. The same holds for B.

    wire [29:0] a_in = A_CASCADED ? ACIN : A;
    wire [17:0] b_in = B_CASCADED ? BCIN : B;

    reg [29:0] a1_q;
    reg [29:0] a2_q;
    reg [17:0] b1_q;
    reg [17:0] b2_q;
    reg [47:0] c_q;
    reg [24:0] d_q;

    always @(posedge CLK) begin
        if (RSTA) a1_q <= 30'd0;
        else if (CEA1) a1_q <= a_in;
        if (RSTA) a2_q <= 30'd0;
        else if (CEA2) a2_q <= (AREG == 2) ? a1_q : a_in;
        if (RSTB) b1_q <= 18'd0;
        else if (CEB1) b1_q <= b_in;
        if (RSTB) b2_q <= 18'd0;
        else if (CEB2) b2_q <= (BREG == 2) ? b1_q : b_in;
        if (RSTC) c_q <= 48'd0;
        else if (CEC) c_q <= C;
        if (RSTD) d_q <= 25'd0;
        else if (CED) d_q <= D;
    end

    wire [29:0] a1 = (AREG == 0) ? a_in : a1_q;
    wire [29:0] a2 = (AREG == 0) ? a_in : a2_q;
    wire [17:0] b1 = (BREG == 0) ? b_in : b1_q;
    wire [17:0] b2 = (BREG == 0) ? b_in : b2_q;
    wire [47:0] c = (CREG == 1) ? c_q : C;
    wire [24:0] d = (DREG == 1) ? d_q : D;

    assign ACOUT = (AREG == 2 && ACASCREG == 1) ? a1 : a2;
    assign BCOUT = (BREG == 2 && BCASCREG == 1) ? b1 : b2;

    // Pre-adder and multiplier -----------------------------------------------------------------
    // INMODE[1] blanks A, on its direct way to the multiplier too; INMODE[2] and [3] mean nothing without the pre-adder.

    wire signed [24:0] a_operand = inmode[1] ? 25'sd0 : inmode[0] ? a1[24:0] : a2[24:0];
    wire signed [17:0] b_factor = inmode[4] ? b1 : b2;

    wire [24:0] d_operand = inmode[2] ? d : 25'd0;
    wire [24:0] ad_next = inmode[3] ? d_operand - a_operand : d_operand + a_operand;
    reg  [24:0] ad_q;
    wire [24:0] ad = (ADREG == 1) ? ad_q : ad_next;

    wire signed [24:0] a_factor = A_FROM_AD ? ad : a_operand;
    wire signed [42:0] m_next = {{18{a_factor[24]}}, a_factor} * {{25{b_factor[17]}}, b_factor};
    reg  signed [42:0] m_q;
    wire signed [42:0] m = (MREG == 1) ? m_q : m_next;

    always @(posedge CLK) begin
        if (RSTD) ad_q <= 25'd0;
        else if (CEAD) ad_q <= ad_next;
        if (RSTM) m_q <= 43'sd0;
        else if (CEM) m_q <= m_next;
    end

    // Adder ------------------------------------------------------------------------------------
    // The hardware's product is two partial products, on X and Y at once; here X carries their sum.

    wire x_is_m = opmode[1:0] == 2'b01;
    wire y_is_m = opmode[3:2] == 2'b01;

    reg  [47:0] p_q;
    reg  [47:0] x;
    reg  [47:0] y;
    reg  [47:0] z;
    reg         cin;

    always @* begin
        case (opmode[1:0])
            2'b00: x = 48'd0;
            2'b01: x = {{5{m[42]}}, m};
            2'b10: x = p_q;
            default: x = {a2, b2};
        endcase
        case (opmode[3:2])
            2'b10: y = {48{1'b1}};
            2'b11: y = c;
            default: y = 48'd0;
        endcase
        case (opmode[6:4])
            3'b001: z = PCIN;
            3'b010, 3'b100: z = p_q;
            3'b011: z = c;
            3'b101: z = {{17{PCIN[47]}}, PCIN[47:17]};
            3'b110: z = {{17{p_q[47]}}, p_q[47:17]};
            default: z = 48'd0;
        endcase
        case (carryinsel)
            3'b001: cin = ~PCIN[47];
            3'b011: cin = PCIN[47];
            3'b101: cin = ~p_q[47];
            3'b111: cin = p_q[47];
            default: cin = carryin;
        endcase
    end

    // ALUMODE[0] complements Z, ALUMODE[1] the sum: together they make Z - (X + Y + CIN).
    wire [47:0] sum = (alumode[0] ? ~z : z) + x + y + {47'd0, cin};
    wire [47:0] p_next = alumode[1] ? ~sum : sum;

    always @(posedge CLK)
        if (RSTP) p_q <= 48'd0;
        else if (CEP) p_q <= p_next;

    assign P = (PREG == 1) ? p_q : p_next;
    assign PCOUT = P;

    // The configuration of the device clears every register.
    initial begin
        opmode_q = 7'd0;
        carryinsel_q = 3'd0;
        alumode_q = 4'd0;
        inmode_q = 5'd0;
        carryin_q = 1'b0;
        a1_q = 30'd0;
        a2_q = 30'd0;
        b1_q = 18'd0;
        b2_q = 18'd0;
        c_q = 48'd0;
        d_q = 25'd0;
        ad_q = 25'd0;
        m_q = 43'sd0;
        p_q = 48'd0;
    end

    // Modes: stop when a result outside the subset would be used --------------------------------

    wire reads_p = opmode[1:0] == 2'b10 || opmode[6:4] == 3'b010
        || opmode[6:4] == 3'b100 || opmode[6:4] == 3'b110 || carryinsel == 3'b101 || carryinsel == 3'b111;

`ifndef SYNTHESIS
    always @(posedge CLK)
        if (PREG == 0 || (CEP && !RSTP)) begin
            if (alumode[3:2] != 2'b00) $fatal(1, "DSP48E1: ALUMODE[3:2] must be 0, the logic unit is not modelled");
            if (x_is_m != y_is_m) $fatal(1, "DSP48E1: OPMODE must select the product on X and Y or on neither");
            if (x_is_m && NO_MULT) $fatal(1, "DSP48E1: OPMODE selects the product but USE_MULT is NONE");
            if (opmode[6:4] == 3'b111) $fatal(1, "DSP48E1: OPMODE[6:4] must not be 111");
            if (reads_p && PREG == 0) $fatal(1, "DSP48E1: PREG must be 1 when OPMODE or CARRYINSEL reads P");
            if (carryinsel == 3'b010 || carryinsel == 3'b100 || carryinsel == 3'b110)
                $fatal(1, "DSP48E1: CARRYINSEL must be 000 or odd, the carry cascade is not modelled");
        end
`endif

    // Outside the subset -----------------------------------------------------------------------

    assign CARRYCASCOUT = 1'b0;
    assign CARRYOUT = 4'd0;
    assign MULTSIGNOUT = 1'b0;
    assign OVERFLOW = 1'b0;
    assign PATTERNBDETECT = 1'b0;
    assign PATTERNDETECT = 1'b0;
    assign UNDERFLOW = 1'b0;

endmodule

`default_nettype wire
