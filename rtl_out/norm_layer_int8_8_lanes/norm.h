/* norm(form=layer, lanes=8, longest=1024, in_bits=8, out_bits=8, terms=1, gamma_fraction=10, multiplier_bits=27); hwgen 0.1.0, digest 51b0e3ccbc739d92 */
#ifndef NORM_H
#define NORM_H

#define NORM_DIGEST "51b0e3ccbc739d92"
#define NORM_FORM "layer"
#define NORM_LANES 8
#define NORM_LONGEST 1024
#define NORM_IN_BITS 8
#define NORM_OUT_BITS 8
#define NORM_TERMS 1
#define NORM_GAMMA_FRACTION 10
#define NORM_MULTIPLIER_BITS 27
#define NORM_ELEMENTS_PER_CYCLE 8
#define NORM_LONGEST_ROW 1024
#define NORM_LATENCY_CYCLES 35
#define NORM_FIRST_PASS_CYCLES 26
#define NORM_SECOND_PASS_CYCLES 5
#define NORM_EPS_FRACTION_BITS 16
#define NORM_BETA_FRACTION_BITS 7

/* s_axis_x: rows; TLAST ends a row */
#define NORM_X_BYTES 10
/* elements */
#define NORM_X_X_LOW_BIT 0
#define NORM_X_X_LANES 8
#define NORM_X_X_LANE_BITS 8
#define NORM_X_X_SIGNED 1
/* 1: the element takes part */
#define NORM_X_KEEP_LOW_BIT 64
#define NORM_X_KEEP_LANES 8
#define NORM_X_KEEP_LANE_BITS 1
#define NORM_X_KEEP_SIGNED 0
/* of a row's first beat: the next set holds from this row on */
#define NORM_X_LOAD_LOW_BIT 72
#define NORM_X_LOAD_LANES 1
#define NORM_X_LOAD_LANE_BITS 1
#define NORM_X_LOAD_SIGNED 0

/* s_axis_p: sets of factors and offsets, one beat per beat of a row; TLAST ends a set */
#define NORM_P_BYTES 38
/* factors, 10 bits behind the point */
#define NORM_P_GAMMA_LOW_BIT 0
#define NORM_P_GAMMA_LANES 8
#define NORM_P_GAMMA_LANE_BITS 18
#define NORM_P_GAMMA_SIGNED 1
/* offsets, 7 bits behind the point */
#define NORM_P_BETA_LOW_BIT 144
#define NORM_P_BETA_LANES 8
#define NORM_P_BETA_LANE_BITS 16
#define NORM_P_BETA_SIGNED 1
/* of the last beat, 16 bits behind the point */
#define NORM_P_EPS_LOW_BIT 272
#define NORM_P_EPS_LANES 1
#define NORM_P_EPS_LANE_BITS 26
#define NORM_P_EPS_SIGNED 0

/* m_axis_y: rows, as they came */
#define NORM_Y_BYTES 8
/* results */
#define NORM_Y_Y_LOW_BIT 0
#define NORM_Y_Y_LANES 8
#define NORM_Y_Y_LANE_BITS 8
#define NORM_Y_Y_SIGNED 1

#endif
