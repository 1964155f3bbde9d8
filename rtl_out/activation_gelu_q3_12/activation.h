/* activation(function=gelu, variant=delta_octave, in_bits=16, in_fraction=12, in_signed=True, out_bits=16, out_fraction=12, out_signed=True, scale=1, steps=, guard=0, saturate=False, lanes=4, table=, max_error=); hwgen 0.1.0, digest 551d6bc290105f00 */
#ifndef ACTIVATION_H
#define ACTIVATION_H

#define ACTIVATION_DIGEST "551d6bc290105f00"
#define ACTIVATION_FUNCTION "gelu"
#define ACTIVATION_VARIANT "delta_octave"
#define ACTIVATION_IN_BITS 16
#define ACTIVATION_IN_FRACTION 12
#define ACTIVATION_IN_SIGNED 1
#define ACTIVATION_OUT_BITS 16
#define ACTIVATION_OUT_FRACTION 12
#define ACTIVATION_OUT_SIGNED 1
#define ACTIVATION_SCALE "1"
#define ACTIVATION_STEPS ""
#define ACTIVATION_GUARD 0
#define ACTIVATION_SATURATE 0
#define ACTIVATION_LANES 4
#define ACTIVATION_TABLE ""
#define ACTIVATION_MAX_ERROR ""
#define ACTIVATION_ELEMENTS_PER_CYCLE 4
#define ACTIVATION_LATENCY_CYCLES 8
#define ACTIVATION_LANE_LATENCY_CYCLES 7
#define ACTIVATION_TABLE_BITS_PER_LANE 1155
#define ACTIVATION_MULTIPLIERS_PER_LANE 1
#define ACTIVATION_TABLE_FORM "knots"
#define ACTIVATION_TABLE_ENTRIES_PER_LANE 77

/* s_axis_x: a vector; TLAST ends it */
#define ACTIVATION_X_BYTES 9
/* arguments, 12 fraction bits */
#define ACTIVATION_X_X_LOW_BIT 0
#define ACTIVATION_X_X_LANES 4
#define ACTIVATION_X_X_LANE_BITS 16
#define ACTIVATION_X_X_SIGNED 1
/* 1: the element counts, 0: its result is 0 */
#define ACTIVATION_X_KEEP_LOW_BIT 64
#define ACTIVATION_X_KEEP_LANES 4
#define ACTIVATION_X_KEEP_LANE_BITS 1
#define ACTIVATION_X_KEEP_SIGNED 0

/* m_axis_y: results, beat by beat; TLAST as at the input */
#define ACTIVATION_Y_BYTES 8
/* results, 12 fraction bits */
#define ACTIVATION_Y_Y_LOW_BIT 0
#define ACTIVATION_Y_Y_LANES 4
#define ACTIVATION_Y_Y_LANE_BITS 16
#define ACTIVATION_Y_Y_SIGNED 1

#endif
