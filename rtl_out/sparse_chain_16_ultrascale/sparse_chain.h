/* sparse_chain(rows=16, ways=8, depth=1024, narrow=True, packing=a8x2, target=ultrascale+, sum_words=1024, size_bits=20); hwgen 0.1.0, digest 7df576865614af2c */
#ifndef SPARSE_CHAIN_H
#define SPARSE_CHAIN_H

#define SPARSE_CHAIN_DIGEST "7df576865614af2c"
#define SPARSE_CHAIN_ROWS 16
#define SPARSE_CHAIN_WAYS 8
#define SPARSE_CHAIN_DEPTH 1024
#define SPARSE_CHAIN_NARROW 1
#define SPARSE_CHAIN_PACKING "a8x2"
#define SPARSE_CHAIN_TARGET "ultrascale+"
#define SPARSE_CHAIN_SUM_WORDS 1024
#define SPARSE_CHAIN_SIZE_BITS 20
#define SPARSE_CHAIN_MACS_PER_CYCLE 256
#define SPARSE_CHAIN_MULTIPLIERS 128
#define SPARSE_CHAIN_CHAINS 8
#define SPARSE_CHAIN_PRODUCTS_PER_MULTIPLIER 2
#define SPARSE_CHAIN_ROWS_OF_C_AT_ONCE 16
#define SPARSE_CHAIN_COLUMNS_OF_C_AT_ONCE 16
#define SPARSE_CHAIN_COLUMNS_OF_C_AT_ONCE_MATRIX_VECTOR 128
#define SPARSE_CHAIN_LATENCY_CYCLES 13
#define SPARSE_CHAIN_SHORTEST_ROUND_CYCLES 16
#define SPARSE_CHAIN_ACTIVATIONS_PER_PASS 512
#define SPARSE_CHAIN_WEIGHT_BITS "2, 3, 4, 8"

/* s_axis_cmd: one word per product */
#define SPARSE_CHAIN_CMD_BYTES 15
/* rows of A and C */
#define SPARSE_CHAIN_CMD_M_LOW_BIT 0
#define SPARSE_CHAIN_CMD_M_LANES 1
#define SPARSE_CHAIN_CMD_M_LANE_BITS 20
#define SPARSE_CHAIN_CMD_M_SIGNED 0
/* columns of C, in tiles of 16 */
#define SPARSE_CHAIN_CMD_TILES_LOW_BIT 20
#define SPARSE_CHAIN_CMD_TILES_LANES 1
#define SPARSE_CHAIN_CMD_TILES_LANE_BITS 20
#define SPARSE_CHAIN_CMD_TILES_SIGNED 0
/* columns of A */
#define SPARSE_CHAIN_CMD_K_LOW_BIT 40
#define SPARSE_CHAIN_CMD_K_LANES 1
#define SPARSE_CHAIN_CMD_K_LANE_BITS 20
#define SPARSE_CHAIN_CMD_K_SIGNED 0
/* rounds of column tiles */
#define SPARSE_CHAIN_CMD_ROUNDS_LOW_BIT 60
#define SPARSE_CHAIN_CMD_ROUNDS_LANES 1
#define SPARSE_CHAIN_CMD_ROUNDS_LANE_BITS 20
#define SPARSE_CHAIN_CMD_ROUNDS_SIGNED 0
/* rounds of column tiles per group */
#define SPARSE_CHAIN_CMD_GROUP_ROUNDS_LOW_BIT 80
#define SPARSE_CHAIN_CMD_GROUP_ROUNDS_LANES 1
#define SPARSE_CHAIN_CMD_GROUP_ROUNDS_LANE_BITS 20
#define SPARSE_CHAIN_CMD_GROUP_ROUNDS_SIGNED 0
/* blocks of 16 of K per pass */
#define SPARSE_CHAIN_CMD_PASS_BLOCKS_LOW_BIT 100
#define SPARSE_CHAIN_CMD_PASS_BLOCKS_LANES 1
#define SPARSE_CHAIN_CMD_PASS_BLOCKS_LANE_BITS 8
#define SPARSE_CHAIN_CMD_PASS_BLOCKS_SIGNED 0
/* width of a weight */
#define SPARSE_CHAIN_CMD_WEIGHT_BITS_LOW_BIT 108
#define SPARSE_CHAIN_CMD_WEIGHT_BITS_LANES 1
#define SPARSE_CHAIN_CMD_WEIGHT_BITS_LANE_BITS 4
#define SPARSE_CHAIN_CMD_WEIGHT_BITS_SIGNED 0
/* matrix-vector: ways compute neighbouring column tiles */
#define SPARSE_CHAIN_CMD_SPREAD_LOW_BIT 112
#define SPARSE_CHAIN_CMD_SPREAD_LANES 1
#define SPARSE_CHAIN_CMD_SPREAD_LANE_BITS 1
#define SPARSE_CHAIN_CMD_SPREAD_SIGNED 0

/* s_axis_a: activations, one k of a tile of rows per beat */
#define SPARSE_CHAIN_A_BYTES 16
/* A[m + r, k] in lane r */
#define SPARSE_CHAIN_A_A_LOW_BIT 0
#define SPARSE_CHAIN_A_A_LANES 16
#define SPARSE_CHAIN_A_A_LANE_BITS 8
#define SPARSE_CHAIN_A_A_SIGNED 1

/* s_axis_code: codes of 16 blocks along K per beat */
#define SPARSE_CHAIN_CODE_BYTES 8
/* pattern of each block, the first one lowest */
#define SPARSE_CHAIN_CODE_CODE_LOW_BIT 0
#define SPARSE_CHAIN_CODE_CODE_LANES 16
#define SPARSE_CHAIN_CODE_CODE_LANE_BITS 4
#define SPARSE_CHAIN_CODE_CODE_SIGNED 0

/* s_axis_value: values, one row of the packed stream per beat */
#define SPARSE_CHAIN_VALUE_BYTES 128
/* words of the ways, way 0 lowest */
#define SPARSE_CHAIN_VALUE_VALUE_LOW_BIT 0
#define SPARSE_CHAIN_VALUE_VALUE_LANES 128
#define SPARSE_CHAIN_VALUE_VALUE_LANE_BITS 8
#define SPARSE_CHAIN_VALUE_VALUE_SIGNED 0

/* s_axis_index: indices, one row of the packed stream per beat */
#define SPARSE_CHAIN_INDEX_BYTES 64
/* words of the ways, way 0 lowest */
#define SPARSE_CHAIN_INDEX_INDEX_LOW_BIT 0
#define SPARSE_CHAIN_INDEX_INDEX_LANES 64
#define SPARSE_CHAIN_INDEX_INDEX_LANE_BITS 8
#define SPARSE_CHAIN_INDEX_INDEX_SIGNED 0

/* m_axis_c: results, one row of a column tile per beat; TLAST ends a command */
#define SPARSE_CHAIN_C_BYTES 64
/* C[m, n + i] in lane i */
#define SPARSE_CHAIN_C_C_LOW_BIT 0
#define SPARSE_CHAIN_C_C_LANES 16
#define SPARSE_CHAIN_C_C_LANE_BITS 32
#define SPARSE_CHAIN_C_C_SIGNED 1

#endif
