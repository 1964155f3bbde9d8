/* lut_gemm(dm=8, dk=64, dn=8, a_words=512, b_words=512, target=generic, size_bits=20); hwgen 0.1.0, digest 1a0e1a544c83a19a */
#ifndef LUT_GEMM_H
#define LUT_GEMM_H

#define LUT_GEMM_DIGEST "1a0e1a544c83a19a"
#define LUT_GEMM_DM 8
#define LUT_GEMM_DK 64
#define LUT_GEMM_DN 8
#define LUT_GEMM_A_WORDS 512
#define LUT_GEMM_B_WORDS 512
#define LUT_GEMM_TARGET "generic"
#define LUT_GEMM_SIZE_BITS 20
#define LUT_GEMM_BINARY_OPERATIONS_PER_CYCLE 8192
#define LUT_GEMM_ROWS_OF_C_AT_ONCE 8
#define LUT_GEMM_COLUMNS_OF_C_AT_ONCE 8
#define LUT_GEMM_BITS_PER_DOT_PRODUCT_AND_CYCLE 64
#define LUT_GEMM_LATENCY_CYCLES 16
#define LUT_GEMM_ARRAY_LATENCY_CYCLES 9
#define LUT_GEMM_OPERAND_BITS "1..8, per command"
#define LUT_GEMM_OPERAND_KINDS "unsigned, signed, bipolar, ternary"

/* s_axis_cmd: one word per GEMM */
#define LUT_GEMM_CMD_BYTES 9
/* rows of A and C */
#define LUT_GEMM_CMD_M_LOW_BIT 0
#define LUT_GEMM_CMD_M_LANES 1
#define LUT_GEMM_CMD_M_LANE_BITS 20
#define LUT_GEMM_CMD_M_SIGNED 0
/* columns of B and C */
#define LUT_GEMM_CMD_N_LOW_BIT 20
#define LUT_GEMM_CMD_N_LANES 1
#define LUT_GEMM_CMD_N_LANE_BITS 20
#define LUT_GEMM_CMD_N_SIGNED 0
/* columns of A, rows of B */
#define LUT_GEMM_CMD_K_LOW_BIT 40
#define LUT_GEMM_CMD_K_LANES 1
#define LUT_GEMM_CMD_K_LANE_BITS 20
#define LUT_GEMM_CMD_K_SIGNED 0
/* bits of A's operands, less one */
#define LUT_GEMM_CMD_A_TOP_LOW_BIT 60
#define LUT_GEMM_CMD_A_TOP_LANES 1
#define LUT_GEMM_CMD_A_TOP_LANE_BITS 3
#define LUT_GEMM_CMD_A_TOP_SIGNED 0
/* bits of B's operands, less one */
#define LUT_GEMM_CMD_B_TOP_LOW_BIT 63
#define LUT_GEMM_CMD_B_TOP_LANES 1
#define LUT_GEMM_CMD_B_TOP_LANE_BITS 3
#define LUT_GEMM_CMD_B_TOP_SIGNED 0
/* 0 unsigned, 1 signed, 2 bipolar, 3 ternary */
#define LUT_GEMM_CMD_A_KIND_LOW_BIT 66
#define LUT_GEMM_CMD_A_KIND_LANES 1
#define LUT_GEMM_CMD_A_KIND_LANE_BITS 2
#define LUT_GEMM_CMD_A_KIND_SIGNED 0
/* the same for B */
#define LUT_GEMM_CMD_B_KIND_LOW_BIT 68
#define LUT_GEMM_CMD_B_KIND_LANES 1
#define LUT_GEMM_CMD_B_KIND_LANE_BITS 2
#define LUT_GEMM_CMD_B_KIND_SIGNED 0

/* s_axis_b: columns of B, one by one */
#define LUT_GEMM_B_BYTES 8
/* value k of a block of dk in beat k % w, lane k // w, w = 1, 2, 4, 8 bits */
#define LUT_GEMM_B_B_LOW_BIT 0
#define LUT_GEMM_B_B_LANES 64
#define LUT_GEMM_B_B_LANE_BITS 1
#define LUT_GEMM_B_B_SIGNED 0

/* s_axis_a: rows of A, one by one */
#define LUT_GEMM_A_BYTES 8
/* value k of a block of dk in beat k % w, lane k // w, w = 1, 2, 4, 8 bits */
#define LUT_GEMM_A_A_LOW_BIT 0
#define LUT_GEMM_A_A_LANES 64
#define LUT_GEMM_A_A_LANE_BITS 1
#define LUT_GEMM_A_A_SIGNED 0

/* m_axis_c: results, one row of a tile per beat; TLAST ends a command */
#define LUT_GEMM_C_BYTES 32
/* C[m, n + i] in lane i */
#define LUT_GEMM_C_C_LOW_BIT 0
#define LUT_GEMM_C_C_LANES 8
#define LUT_GEMM_C_C_LANE_BITS 32
#define LUT_GEMM_C_C_SIGNED 1

#endif
