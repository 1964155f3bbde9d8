/* dsp_gemm(rows=16, cols=16, act_bits=8, weight_bits=8, act_signed=True, weight_signed=True, target=ultrascale+, packing=auto, tile_steps=256, size_bits=20); hwgen 0.1.0, digest a86661abe31af7f7 */
#ifndef DSP_GEMM_H
#define DSP_GEMM_H

#define DSP_GEMM_DIGEST "a86661abe31af7f7"
#define DSP_GEMM_ROWS 16
#define DSP_GEMM_COLS 16
#define DSP_GEMM_ACT_BITS 8
#define DSP_GEMM_WEIGHT_BITS 8
#define DSP_GEMM_ACT_SIGNED 1
#define DSP_GEMM_WEIGHT_SIGNED 1
#define DSP_GEMM_TARGET "ultrascale+"
#define DSP_GEMM_PACKING "auto"
#define DSP_GEMM_TILE_STEPS 256
#define DSP_GEMM_SIZE_BITS 20
#define DSP_GEMM_MACS_PER_CYCLE 256
#define DSP_GEMM_MULTIPLIERS 128
#define DSP_GEMM_LATENCY_CYCLES 23
#define DSP_GEMM_ROWS_OF_C_PER_STEP 1
#define DSP_GEMM_COLUMNS_OF_C_PER_STEP 16
#define DSP_GEMM_PRODUCTS_PER_MULTIPLIER 2
#define DSP_GEMM_LONGEST_CASCADE 16

/* s_axis_cmd: one word per GEMM */
#define DSP_GEMM_CMD_BYTES 8
/* rows of A and C */
#define DSP_GEMM_CMD_M_LOW_BIT 0
#define DSP_GEMM_CMD_M_LANES 1
#define DSP_GEMM_CMD_M_LANE_BITS 20
#define DSP_GEMM_CMD_M_SIGNED 0
/* columns of B and C */
#define DSP_GEMM_CMD_N_LOW_BIT 20
#define DSP_GEMM_CMD_N_LANES 1
#define DSP_GEMM_CMD_N_LANE_BITS 20
#define DSP_GEMM_CMD_N_SIGNED 0
/* columns of A, rows of B */
#define DSP_GEMM_CMD_K_LOW_BIT 40
#define DSP_GEMM_CMD_K_LANES 1
#define DSP_GEMM_CMD_K_LANE_BITS 20
#define DSP_GEMM_CMD_K_SIGNED 0
/* add to what the last command kept; one tile only */
#define DSP_GEMM_CMD_ACCUMULATE_LOW_BIT 60
#define DSP_GEMM_CMD_ACCUMULATE_LANES 1
#define DSP_GEMM_CMD_ACCUMULATE_LANE_BITS 1
#define DSP_GEMM_CMD_ACCUMULATE_SIGNED 0
/* keep the sums in the accumulators, send nothing; one tile only */
#define DSP_GEMM_CMD_KEEP_LOW_BIT 61
#define DSP_GEMM_CMD_KEEP_LANES 1
#define DSP_GEMM_CMD_KEEP_LANE_BITS 1
#define DSP_GEMM_CMD_KEEP_SIGNED 0

/* s_axis_b: weights, one k of a tile per beat */
#define DSP_GEMM_B_BYTES 16
/* B[k, n..], the tile's last k first */
#define DSP_GEMM_B_B_LOW_BIT 0
#define DSP_GEMM_B_B_LANES 16
#define DSP_GEMM_B_B_LANE_BITS 8
#define DSP_GEMM_B_B_SIGNED 1

/* s_axis_a: activations, one step of a tile per beat */
#define DSP_GEMM_A_BYTES 16
/* A[m + j, k + r] in lane j * 16 + r */
#define DSP_GEMM_A_A_LOW_BIT 0
#define DSP_GEMM_A_A_LANES 16
#define DSP_GEMM_A_A_LANE_BITS 8
#define DSP_GEMM_A_A_SIGNED 1

/* m_axis_c: results, one step of a tile per beat; TLAST ends a command */
#define DSP_GEMM_C_BYTES 64
/* C[m + j, n + i] in lane j * 16 + i */
#define DSP_GEMM_C_C_LOW_BIT 0
#define DSP_GEMM_C_C_LANES 16
#define DSP_GEMM_C_C_LANE_BITS 32
#define DSP_GEMM_C_C_SIGNED 1

#endif
