/* softmax(variant=online_pow2, lanes=4, longest=1024, in_bits=16, in_fraction=8, scale=1, kernel=auto, fe=0, reciprocal=newton, normalise=before_pv, out_bits=8, phi=0, span=12, multiplier_bits=27); hwgen 0.1.0, digest c125d81d779c9edb */
#ifndef SOFTMAX_H
#define SOFTMAX_H

#define SOFTMAX_DIGEST "c125d81d779c9edb"
#define SOFTMAX_VARIANT "online_pow2"
#define SOFTMAX_LANES 4
#define SOFTMAX_LONGEST 1024
#define SOFTMAX_IN_BITS 16
#define SOFTMAX_IN_FRACTION 8
#define SOFTMAX_SCALE "1"
#define SOFTMAX_KERNEL "auto"
#define SOFTMAX_FE 0
#define SOFTMAX_RECIPROCAL "newton"
#define SOFTMAX_NORMALISE "before_pv"
#define SOFTMAX_OUT_BITS 8
#define SOFTMAX_PHI 0
#define SOFTMAX_SPAN 12
#define SOFTMAX_MULTIPLIER_BITS 27
#define SOFTMAX_ELEMENTS_PER_CYCLE 4
#define SOFTMAX_ROW_LATENCY_CYCLES 36
#define SOFTMAX_LONGEST_ROW 1024
#define SOFTMAX_LARGEST_ERROR_ULP "0.79"

/* s_axis_x: rows, element by element; TLAST ends one */
#define SOFTMAX_X_BYTES 9
/* logits */
#define SOFTMAX_X_X_LOW_BIT 0
#define SOFTMAX_X_X_LANES 4
#define SOFTMAX_X_X_LANE_BITS 16
#define SOFTMAX_X_X_SIGNED 1
/* 1: the element takes part, 0: its result is zero */
#define SOFTMAX_X_KEEP_LOW_BIT 64
#define SOFTMAX_X_KEEP_LANES 4
#define SOFTMAX_X_KEEP_LANE_BITS 1
#define SOFTMAX_X_KEEP_SIGNED 0

/* m_axis_y: results in the order of the elements; TLAST ends a row */
#define SOFTMAX_Y_BYTES 4
/* probabilities, u0.8 */
#define SOFTMAX_Y_Y_LOW_BIT 0
#define SOFTMAX_Y_Y_LANES 4
#define SOFTMAX_Y_Y_LANE_BITS 8
#define SOFTMAX_Y_Y_SIGNED 0

#endif
