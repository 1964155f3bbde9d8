/* accelerator(target=ultrascale+, lanes=16, bus_bytes=64, address_bits=33, dsp=True, dsp_tile=256, lut=False, lut_units=4, lut_width=64, act_words=32768, act_banks=4, weight_words=16384, acc_words=8192, acc_banks=4, parameter_words=1024, buffer_latency=2, plane_words=1024, plane_weight_words=512, queue_depth=16, burst_beats=64, outstanding=16, requantiser=nearest, scale_bits=24, scale_luts=False, requantise_cycles=1, softmax_words=64, softmax_bits=16, sparse=True, sparse_rows=16, sparse_ways=8, sparse_depth=2048, sparse_narrow=True, sparse_code_words=8192, sparse_value_words=8192, sparse_index_words=8192); hwgen 0.1.0, digest c007d7dd7321fbdc */
#ifndef ACCELERATOR_H
#define ACCELERATOR_H

#define ACCELERATOR_DIGEST "c007d7dd7321fbdc"
#define ACCELERATOR_TARGET "ultrascale+"
#define ACCELERATOR_LANES 16
#define ACCELERATOR_BUS_BYTES 64
#define ACCELERATOR_ADDRESS_BITS 33
#define ACCELERATOR_DSP 1
#define ACCELERATOR_DSP_TILE 256
#define ACCELERATOR_LUT 0
#define ACCELERATOR_LUT_UNITS 4
#define ACCELERATOR_LUT_WIDTH 64
#define ACCELERATOR_ACT_WORDS 32768
#define ACCELERATOR_ACT_BANKS 4
#define ACCELERATOR_WEIGHT_WORDS 16384
#define ACCELERATOR_ACC_WORDS 8192
#define ACCELERATOR_ACC_BANKS 4
#define ACCELERATOR_PARAMETER_WORDS 1024
#define ACCELERATOR_BUFFER_LATENCY 2
#define ACCELERATOR_PLANE_WORDS 1024
#define ACCELERATOR_PLANE_WEIGHT_WORDS 512
#define ACCELERATOR_QUEUE_DEPTH 16
#define ACCELERATOR_BURST_BEATS 64
#define ACCELERATOR_OUTSTANDING 16
#define ACCELERATOR_REQUANTISER "nearest"
#define ACCELERATOR_SCALE_BITS 24
#define ACCELERATOR_SCALE_LUTS 0
#define ACCELERATOR_REQUANTISE_CYCLES 1
#define ACCELERATOR_SOFTMAX_WORDS 64
#define ACCELERATOR_SOFTMAX_BITS 16
#define ACCELERATOR_SPARSE 1
#define ACCELERATOR_SPARSE_ROWS 16
#define ACCELERATOR_SPARSE_WAYS 8
#define ACCELERATOR_SPARSE_DEPTH 2048
#define ACCELERATOR_SPARSE_NARROW 1
#define ACCELERATOR_SPARSE_CODE_WORDS 8192
#define ACCELERATOR_SPARSE_VALUE_WORDS 8192
#define ACCELERATOR_SPARSE_INDEX_WORDS 8192
#define ACCELERATOR_INT8_MACS_PER_CYCLE 256
#define ACCELERATOR_BINARY_MACS_PER_CYCLE 0
#define ACCELERATOR_SPARSE_MACS_PER_CYCLE 256
#define ACCELERATOR_ELEMENTS_PER_VECTOR 16
#define ACCELERATOR_BUS_BYTES_PER_CYCLE 64
#define ACCELERATOR_BUFFER_BYTES 3112960
#define ACCELERATOR_TOKENS_PER_SEMAPHORE 63
#define ACCELERATOR_PROGRAM_ALIGNMENT_BYTES 4096
#define ACCELERATOR_BUFFER_ACT_WORDS 32768
#define ACCELERATOR_BUFFER_ACT_WORD_BYTES 16
#define ACCELERATOR_BUFFER_ACT_BANKS 4
#define ACCELERATOR_BUFFER_PARAMETER_WORDS 1024
#define ACCELERATOR_BUFFER_PARAMETER_WORD_BYTES 128
#define ACCELERATOR_BUFFER_PARAMETER_BANKS 1
#define ACCELERATOR_BUFFER_WEIGHT_WORDS 16384
#define ACCELERATOR_BUFFER_WEIGHT_WORD_BYTES 16
#define ACCELERATOR_BUFFER_WEIGHT_BANKS 1
#define ACCELERATOR_BUFFER_CODE_WORDS 8192
#define ACCELERATOR_BUFFER_CODE_WORD_BYTES 8
#define ACCELERATOR_BUFFER_CODE_BANKS 1
#define ACCELERATOR_BUFFER_VALUE_WORDS 8192
#define ACCELERATOR_BUFFER_VALUE_WORD_BYTES 128
#define ACCELERATOR_BUFFER_VALUE_BANKS 1
#define ACCELERATOR_BUFFER_INDEX_WORDS 8192
#define ACCELERATOR_BUFFER_INDEX_WORD_BYTES 64
#define ACCELERATOR_BUFFER_INDEX_BANKS 1
#define ACCELERATOR_BUFFER_ACC_WORDS 8192
#define ACCELERATOR_BUFFER_ACC_WORD_BYTES 64
#define ACCELERATOR_BUFFER_ACC_BANKS 4
#define ACCELERATOR_BUFFER_OPERAND_WORDS 2048
#define ACCELERATOR_BUFFER_OPERAND_WORD_BYTES 16
#define ACCELERATOR_BUFFER_OPERAND_BANKS 1

#define ACCELERATOR_ID_VALUE 0x4857474Eu /* what register ID reads */
#define ACCELERATOR_REG_ID 0x000u /* read only: 0x4857474E: this is a hwgen accelerator */
#define ACCELERATOR_REG_VERSION 0x004u /* read only: version of hwgen that generated it */
#define ACCELERATOR_VERSION_PATCH_SHIFT 0
#define ACCELERATOR_VERSION_PATCH_MASK 0x000000FFu /* patch */
#define ACCELERATOR_VERSION_MINOR_SHIFT 8
#define ACCELERATOR_VERSION_MINOR_MASK 0x0000FF00u /* minor */
#define ACCELERATOR_VERSION_MAJOR_SHIFT 16
#define ACCELERATOR_VERSION_MAJOR_MASK 0xFFFF0000u /* major */
#define ACCELERATOR_REG_DIGEST_LOW 0x008u /* read only: digest of the configuration, bits 31:0 */
#define ACCELERATOR_REG_DIGEST_HIGH 0x00Cu /* read only: digest of the configuration, bits 63:32 */
#define ACCELERATOR_REG_CONTROL 0x010u /* write only: orders; reads zero */
#define ACCELERATOR_CONTROL_START_SHIFT 0
#define ACCELERATOR_CONTROL_START_MASK 0x00000001u /* start the program; ignored during a run */
#define ACCELERATOR_CONTROL_STOP_SHIFT 1
#define ACCELERATOR_CONTROL_STOP_MASK 0x00000002u /* abort the run; ignored outside of one */
#define ACCELERATOR_REG_STATUS 0x014u /* read only: state of the run; start clears done and error */
#define ACCELERATOR_STATUS_RUNNING_SHIFT 0
#define ACCELERATOR_STATUS_RUNNING_MASK 0x00000001u /* a program runs */
#define ACCELERATOR_STATUS_DONE_SHIFT 1
#define ACCELERATOR_STATUS_DONE_MASK 0x00000002u /* the last program ended */
#define ACCELERATOR_STATUS_ERROR_SHIFT 2
#define ACCELERATOR_STATUS_ERROR_MASK 0x00000004u /* the last program failed; see ERROR */
#define ACCELERATOR_REG_ERROR 0x018u /* read only: first error of the run; start clears it */
#define ACCELERATOR_ERROR_CODE_SHIFT 0
#define ACCELERATOR_ERROR_CODE_MASK 0x000000FFu /* what happened, see the error codes */
#define ACCELERATOR_ERROR_ENGINE_SHIFT 8
#define ACCELERATOR_ERROR_ENGINE_MASK 0x00000F00u /* where, by engine number; 15 is the dispatcher */
#define ACCELERATOR_REG_ERROR_INSTRUCTION 0x01Cu /* read only: index of the instruction with the first error; start clears it */
#define ACCELERATOR_REG_IRQ_ENABLE 0x020u /* read and write: events that raise the interrupt */
#define ACCELERATOR_IRQ_ENABLE_DONE_SHIFT 0
#define ACCELERATOR_IRQ_ENABLE_DONE_MASK 0x00000001u /* the program ended */
#define ACCELERATOR_IRQ_ENABLE_ERROR_SHIFT 1
#define ACCELERATOR_IRQ_ENABLE_ERROR_MASK 0x00000002u /* the program failed */
#define ACCELERATOR_REG_IRQ_STATUS 0x024u /* writing one clears: events that happened; start does not clear them */
#define ACCELERATOR_IRQ_STATUS_DONE_SHIFT 0
#define ACCELERATOR_IRQ_STATUS_DONE_MASK 0x00000001u /* the program ended */
#define ACCELERATOR_IRQ_STATUS_ERROR_SHIFT 1
#define ACCELERATOR_IRQ_STATUS_ERROR_MASK 0x00000002u /* the program failed */
#define ACCELERATOR_REG_PROGRAM_LOW 0x028u /* read and write: byte address of the program, bits 31:0 */
#define ACCELERATOR_REG_PROGRAM_HIGH 0x02Cu /* read and write: byte address of the program, bits 63:32, as far as addresses are wide */
#define ACCELERATOR_REG_PROGRAM_COUNT 0x030u /* read and write: number of instructions of the program */
#define ACCELERATOR_REG_INSTRUCTIONS 0x034u /* read only: instructions dispatched since start */
#define ACCELERATOR_REG_CYCLES_LOW 0x038u /* read only: cycles of the run, bits 31:0; reading it holds CYCLES_HIGH */
#define ACCELERATOR_REG_CYCLES_HIGH 0x03Cu /* read only: cycles of the run, bits 63:32, when CYCLES_LOW was last read */
#define ACCELERATOR_REG_READ_BEATS 0x040u /* read only: beats of the AXI read data channel */
#define ACCELERATOR_REG_WRITE_BEATS 0x044u /* read only: beats of the AXI write data channel */
#define ACCELERATOR_REG_LOAD_RUN 0x100u /* read only: cycles in which LOAD worked */
#define ACCELERATOR_REG_LOAD_IDLE 0x104u /* read only: cycles in which LOAD had no instruction */
#define ACCELERATOR_REG_LOAD_WAIT 0x108u /* read only: cycles in which LOAD waited for a token */
#define ACCELERATOR_REG_LOAD_STALL 0x10Cu /* read only: cycles in which LOAD waited for memory or a buffer */
#define ACCELERATOR_REG_LOAD_DONE 0x110u /* read only: instructions that LOAD completed */
#define ACCELERATOR_REG_LOAD_WAITING 0x114u /* read only: engines whose token the head instruction of LOAD lacks */
#define ACCELERATOR_LOAD_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_LOAD_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_REG_DSP_RUN 0x120u /* read only: cycles in which DSP worked */
#define ACCELERATOR_REG_DSP_IDLE 0x124u /* read only: cycles in which DSP had no instruction */
#define ACCELERATOR_REG_DSP_WAIT 0x128u /* read only: cycles in which DSP waited for a token */
#define ACCELERATOR_REG_DSP_STALL 0x12Cu /* read only: cycles in which DSP waited for memory or a buffer */
#define ACCELERATOR_REG_DSP_DONE 0x130u /* read only: instructions that DSP completed */
#define ACCELERATOR_REG_DSP_WAITING 0x134u /* read only: engines whose token the head instruction of DSP lacks */
#define ACCELERATOR_DSP_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_DSP_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_REG_LUT_RUN 0x140u /* read only: cycles in which LUT worked */
#define ACCELERATOR_REG_LUT_IDLE 0x144u /* read only: cycles in which LUT had no instruction */
#define ACCELERATOR_REG_LUT_WAIT 0x148u /* read only: cycles in which LUT waited for a token */
#define ACCELERATOR_REG_LUT_STALL 0x14Cu /* read only: cycles in which LUT waited for memory or a buffer */
#define ACCELERATOR_REG_LUT_DONE 0x150u /* read only: instructions that LUT completed */
#define ACCELERATOR_REG_LUT_WAITING 0x154u /* read only: engines whose token the head instruction of LUT lacks */
#define ACCELERATOR_LUT_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_LUT_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_REG_SPARSE_RUN 0x160u /* read only: cycles in which SPARSE worked */
#define ACCELERATOR_REG_SPARSE_IDLE 0x164u /* read only: cycles in which SPARSE had no instruction */
#define ACCELERATOR_REG_SPARSE_WAIT 0x168u /* read only: cycles in which SPARSE waited for a token */
#define ACCELERATOR_REG_SPARSE_STALL 0x16Cu /* read only: cycles in which SPARSE waited for memory or a buffer */
#define ACCELERATOR_REG_SPARSE_DONE 0x170u /* read only: instructions that SPARSE completed */
#define ACCELERATOR_REG_SPARSE_WAITING 0x174u /* read only: engines whose token the head instruction of SPARSE lacks */
#define ACCELERATOR_SPARSE_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_SPARSE_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_REG_VEC_RUN 0x180u /* read only: cycles in which VEC worked */
#define ACCELERATOR_REG_VEC_IDLE 0x184u /* read only: cycles in which VEC had no instruction */
#define ACCELERATOR_REG_VEC_WAIT 0x188u /* read only: cycles in which VEC waited for a token */
#define ACCELERATOR_REG_VEC_STALL 0x18Cu /* read only: cycles in which VEC waited for memory or a buffer */
#define ACCELERATOR_REG_VEC_DONE 0x190u /* read only: instructions that VEC completed */
#define ACCELERATOR_REG_VEC_WAITING 0x194u /* read only: engines whose token the head instruction of VEC lacks */
#define ACCELERATOR_VEC_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_VEC_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_REG_STORE_RUN 0x1A0u /* read only: cycles in which STORE worked */
#define ACCELERATOR_REG_STORE_IDLE 0x1A4u /* read only: cycles in which STORE had no instruction */
#define ACCELERATOR_REG_STORE_WAIT 0x1A8u /* read only: cycles in which STORE waited for a token */
#define ACCELERATOR_REG_STORE_STALL 0x1ACu /* read only: cycles in which STORE waited for memory or a buffer */
#define ACCELERATOR_REG_STORE_DONE 0x1B0u /* read only: instructions that STORE completed */
#define ACCELERATOR_REG_STORE_WAITING 0x1B4u /* read only: engines whose token the head instruction of STORE lacks */
#define ACCELERATOR_STORE_WAITING_ENGINES_SHIFT 0
#define ACCELERATOR_STORE_WAITING_ENGINES_MASK 0x000000FFu /* one bit per engine, by number */
#define ACCELERATOR_ENGINE_LOAD 0
#define ACCELERATOR_ENGINE_DSP 1
#define ACCELERATOR_ENGINE_LUT 2
#define ACCELERATOR_ENGINE_SPARSE 3
#define ACCELERATOR_ENGINE_VEC 4
#define ACCELERATOR_ENGINE_STORE 5
#define ACCELERATOR_ERR_NONE 0 /* no error */
#define ACCELERATOR_ERR_ILLEGAL 1 /* illegal instruction */
#define ACCELERATOR_ERR_READ_SLVERR 2 /* a read was answered with SLVERR: the memory refused */
#define ACCELERATOR_ERR_READ_DECERR 3 /* a read was answered with DECERR: no memory at this address */
#define ACCELERATOR_ERR_WRITE_SLVERR 4 /* a write was answered with SLVERR: the memory refused */
#define ACCELERATOR_ERR_WRITE_DECERR 5 /* a write was answered with DECERR: no memory at this address */
#define ACCELERATOR_ERR_DEADLOCK 6 /* every engine waits for a token of another */
#define ACCELERATOR_ERR_BANK_CONFLICT 7 /* two engines used one bank of a buffer in the same cycle */
#define ACCELERATOR_ERR_TOKEN_OVERFLOW 8 /* an engine signalled more tokens than a counter holds */
#define ACCELERATOR_ERR_TRUNCATED 9 /* the program ended without halt */
#define ACCELERATOR_ERR_STOPPED 10 /* a stop was requested */
#define ACCELERATOR_ERR_SPARSE_STREAM 11 /* a stream of sparse weights has an unknown code, indices that do not ascend, or not the length that the program says */

#ifndef HWGEN_INSTRUCTIONS_H
#define HWGEN_INSTRUCTIONS_H
#include <stdint.h>

/* Instructions: 128 bits, two little-endian 64-bit words, low word first. */
#define HWGEN_INSTRUCTION_BYTES 16
#define HWGEN_WAIT_LOW_BIT 8
#define HWGEN_SIGNAL_LOW_BIT 16
#define HWGEN_MASK_BITS 8
#define HWGEN_ENGINE_LOAD 0
#define HWGEN_MASK_LOAD 0x1
#define HWGEN_ENGINE_DSP 1
#define HWGEN_MASK_DSP 0x2
#define HWGEN_ENGINE_LUT 2
#define HWGEN_MASK_LUT 0x4
#define HWGEN_ENGINE_SPARSE 3
#define HWGEN_MASK_SPARSE 0x8
#define HWGEN_ENGINE_VEC 4
#define HWGEN_MASK_VEC 0x10
#define HWGEN_ENGINE_STORE 5
#define HWGEN_MASK_STORE 0x20
#define HWGEN_ENGINE_CONTROL 15

/* control.halt: Ends the program once every engine has finished. The last instruction. */
#define HWGEN_CONTROL_HALT_OPCODE 0x0f
static inline void hwgen_control_halt(uint64_t word[2])
{
    word[0] = UINT64_C(0x0f);
    word[1] = UINT64_C(0);
}

/* control.fence: Holds back what follows until every engine has finished what it has. */
#define HWGEN_CONTROL_FENCE_OPCODE 0x1f
static inline void hwgen_control_fence(uint64_t word[2])
{
    word[0] = UINT64_C(0x1f);
    word[1] = UINT64_C(0);
}

/* load.window: Sets what the engine's next windowed runs may read: bytes and rows outside are
   padding. */
#define HWGEN_LOAD_WINDOW_OPCODE 0x00
/* from one row to the next in DRAM, bytes */
#define HWGEN_LOAD_WINDOW_ROW_PITCH_LOW_BIT 24
#define HWGEN_LOAD_WINDOW_ROW_PITCH_BITS 28
#define HWGEN_LOAD_WINDOW_ROW_PITCH_SIGNED 0
#define HWGEN_LOAD_WINDOW_ROW_PITCH_MINIMUM 0
#define HWGEN_LOAD_WINDOW_ROW_PITCH_MAXIMUM 268435455
/* from one group's runs to the next group's, bytes */
#define HWGEN_LOAD_WINDOW_X_STEP_LOW_BIT 52
#define HWGEN_LOAD_WINDOW_X_STEP_BITS 16
#define HWGEN_LOAD_WINDOW_X_STEP_SIGNED 1
#define HWGEN_LOAD_WINDOW_X_STEP_MINIMUM (-32768)
#define HWGEN_LOAD_WINDOW_X_STEP_MAXIMUM 32767
/* bytes of a row that exist */
#define HWGEN_LOAD_WINDOW_ROW_BYTES_LOW_BIT 68
#define HWGEN_LOAD_WINDOW_ROW_BYTES_BITS 20
#define HWGEN_LOAD_WINDOW_ROW_BYTES_SIGNED 0
#define HWGEN_LOAD_WINDOW_ROW_BYTES_MINIMUM 1
#define HWGEN_LOAD_WINDOW_ROW_BYTES_MAXIMUM 1048575
/* rows that exist */
#define HWGEN_LOAD_WINDOW_ROW_COUNT_LOW_BIT 88
#define HWGEN_LOAD_WINDOW_ROW_COUNT_BITS 16
#define HWGEN_LOAD_WINDOW_ROW_COUNT_SIGNED 0
#define HWGEN_LOAD_WINDOW_ROW_COUNT_MINIMUM 1
#define HWGEN_LOAD_WINDOW_ROW_COUNT_MAXIMUM 65535
/* value of every padding byte */
#define HWGEN_LOAD_WINDOW_PAD_VALUE_LOW_BIT 104
#define HWGEN_LOAD_WINDOW_PAD_VALUE_BITS 8
#define HWGEN_LOAD_WINDOW_PAD_VALUE_SIGNED 1
#define HWGEN_LOAD_WINDOW_PAD_VALUE_MINIMUM (-128)
#define HWGEN_LOAD_WINDOW_PAD_VALUE_MAXIMUM 127
static inline void hwgen_load_window(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t row_pitch, int32_t x_step, uint32_t row_bytes, uint32_t row_count, int32_t pad_value)
{
    word[0] = UINT64_C(0x00)
        | ((uint64_t)row_pitch & UINT64_C(0xfffffff)) << 24
        | ((uint64_t)x_step & UINT64_C(0xffff)) << 52
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)x_step & UINT64_C(0xffff)) >> 12
        | ((uint64_t)row_bytes & UINT64_C(0xfffff)) << 4
        | ((uint64_t)row_count & UINT64_C(0xffff)) << 24
        | ((uint64_t)pad_value & UINT64_C(0xff)) << 40;
}

/* load.position: Sets where the engine's next windowed runs lie in their window, and how many
   groups there are. */
#define HWGEN_LOAD_POSITION_OPCODE 0x10
/* first byte of a run, counted from the start of its row */
#define HWGEN_LOAD_POSITION_X_START_LOW_BIT 24
#define HWGEN_LOAD_POSITION_X_START_BITS 21
#define HWGEN_LOAD_POSITION_X_START_SIGNED 1
#define HWGEN_LOAD_POSITION_X_START_MINIMUM (-1048576)
#define HWGEN_LOAD_POSITION_X_START_MAXIMUM 1048575
/* first row */
#define HWGEN_LOAD_POSITION_Y_START_LOW_BIT 45
#define HWGEN_LOAD_POSITION_Y_START_BITS 17
#define HWGEN_LOAD_POSITION_Y_START_SIGNED 1
#define HWGEN_LOAD_POSITION_Y_START_MINIMUM (-65536)
#define HWGEN_LOAD_POSITION_Y_START_MAXIMUM 65535
/* groups */
#define HWGEN_LOAD_POSITION_GROUP_COUNT_LOW_BIT 62
#define HWGEN_LOAD_POSITION_GROUP_COUNT_BITS 16
#define HWGEN_LOAD_POSITION_GROUP_COUNT_SIGNED 0
#define HWGEN_LOAD_POSITION_GROUP_COUNT_MINIMUM 1
#define HWGEN_LOAD_POSITION_GROUP_COUNT_MAXIMUM 65535
static inline void hwgen_load_position(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    int32_t x_start, int32_t y_start, uint32_t group_count)
{
    word[0] = UINT64_C(0x10)
        | ((uint64_t)x_start & UINT64_C(0x1fffff)) << 24
        | ((uint64_t)y_start & UINT64_C(0x1ffff)) << 45
        | ((uint64_t)group_count & UINT64_C(0xffff)) << 62
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)group_count & UINT64_C(0xffff)) >> 2;
}

/* load.run: Moves runs of bytes from DRAM to a buffer, one after the other without gaps. Windowed:
   for every group g and row y, the bytes at x_start + g * x_step of row y_start + y; after each
   group the destination is aligned to a word of activations with padding. Not windowed: one run. */
#define HWGEN_LOAD_RUN_OPCODE 0x20
/* DRAM byte address of the first run (of row y_start, byte x_start) */
#define HWGEN_LOAD_RUN_ADDRESS_LOW_BIT 24
#define HWGEN_LOAD_RUN_ADDRESS_BITS 40
#define HWGEN_LOAD_RUN_ADDRESS_SIGNED 0
#define HWGEN_LOAD_RUN_ADDRESS_MINIMUM 0
#define HWGEN_LOAD_RUN_ADDRESS_MAXIMUM UINT64_C(1099511627775)
/* destination */
#define HWGEN_LOAD_RUN_BUFFER_LOW_BIT 64
#define HWGEN_LOAD_RUN_BUFFER_BITS 3
#define HWGEN_LOAD_RUN_BUFFER_SIGNED 0
#define HWGEN_LOAD_RUN_BUFFER_MINIMUM 0
#define HWGEN_LOAD_RUN_BUFFER_MAXIMUM 6
#define HWGEN_LOAD_RUN_BUFFER_ACT 0
#define HWGEN_LOAD_RUN_BUFFER_WEIGHT 1
#define HWGEN_LOAD_RUN_BUFFER_PARAMETER 2
#define HWGEN_LOAD_RUN_BUFFER_PLANE 3
#define HWGEN_LOAD_RUN_BUFFER_CODE 4
#define HWGEN_LOAD_RUN_BUFFER_VALUE 5
#define HWGEN_LOAD_RUN_BUFFER_INDEX 6
/* first byte in the buffer; a multiple of the bus width */
#define HWGEN_LOAD_RUN_TARGET_LOW_BIT 67
#define HWGEN_LOAD_RUN_TARGET_BITS 24
#define HWGEN_LOAD_RUN_TARGET_SIGNED 0
#define HWGEN_LOAD_RUN_TARGET_MINIMUM 0
#define HWGEN_LOAD_RUN_TARGET_MAXIMUM 16777215
/* bytes per run */
#define HWGEN_LOAD_RUN_RUN_BYTES_LOW_BIT 91
#define HWGEN_LOAD_RUN_RUN_BYTES_BITS 20
#define HWGEN_LOAD_RUN_RUN_BYTES_SIGNED 0
#define HWGEN_LOAD_RUN_RUN_BYTES_MINIMUM 1
#define HWGEN_LOAD_RUN_RUN_BYTES_MAXIMUM 1048575
/* rows per group; 1 if not windowed */
#define HWGEN_LOAD_RUN_RUN_COUNT_LOW_BIT 111
#define HWGEN_LOAD_RUN_RUN_COUNT_BITS 14
#define HWGEN_LOAD_RUN_RUN_COUNT_SIGNED 0
#define HWGEN_LOAD_RUN_RUN_COUNT_MINIMUM 1
#define HWGEN_LOAD_RUN_RUN_COUNT_MAXIMUM 16383
/* use window and position */
#define HWGEN_LOAD_RUN_WINDOWED_LOW_BIT 125
#define HWGEN_LOAD_RUN_WINDOWED_BITS 1
#define HWGEN_LOAD_RUN_WINDOWED_SIGNED 0
#define HWGEN_LOAD_RUN_WINDOWED_MINIMUM 0
#define HWGEN_LOAD_RUN_WINDOWED_MAXIMUM 1
static inline void hwgen_load_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask, uint64_t
    address, uint32_t buffer, uint32_t target, uint32_t run_bytes, uint32_t run_count, uint32_t
    windowed)
{
    word[0] = UINT64_C(0x20)
        | ((uint64_t)address & UINT64_C(0xffffffffff)) << 24
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)buffer & UINT64_C(0x7))
        | ((uint64_t)target & UINT64_C(0xffffff)) << 3
        | ((uint64_t)run_bytes & UINT64_C(0xfffff)) << 27
        | ((uint64_t)run_count & UINT64_C(0x3fff)) << 47
        | ((uint64_t)windowed & UINT64_C(0x1)) << 61;
}

/* dsp.shape: Sets the loops of the engine's next runs: outputs (y, x) and, for each, the products
   (ky, kx, c). Strides are in words of activations; one step of c moves by one word. */
#define HWGEN_DSP_SHAPE_OPCODE 0x01
/* outputs per row */
#define HWGEN_DSP_SHAPE_X_COUNT_LOW_BIT 24
#define HWGEN_DSP_SHAPE_X_COUNT_BITS 12
#define HWGEN_DSP_SHAPE_X_COUNT_SIGNED 0
#define HWGEN_DSP_SHAPE_X_COUNT_MINIMUM 1
#define HWGEN_DSP_SHAPE_X_COUNT_MAXIMUM 4095
/* from one output to the next in a row, words of activations */
#define HWGEN_DSP_SHAPE_X_STRIDE_LOW_BIT 36
#define HWGEN_DSP_SHAPE_X_STRIDE_BITS 14
#define HWGEN_DSP_SHAPE_X_STRIDE_SIGNED 0
#define HWGEN_DSP_SHAPE_X_STRIDE_MINIMUM 0
#define HWGEN_DSP_SHAPE_X_STRIDE_MAXIMUM 16383
/* rows of outputs */
#define HWGEN_DSP_SHAPE_Y_COUNT_LOW_BIT 50
#define HWGEN_DSP_SHAPE_Y_COUNT_BITS 12
#define HWGEN_DSP_SHAPE_Y_COUNT_SIGNED 0
#define HWGEN_DSP_SHAPE_Y_COUNT_MINIMUM 1
#define HWGEN_DSP_SHAPE_Y_COUNT_MAXIMUM 4095
/* from one row of outputs to the next, words of activations */
#define HWGEN_DSP_SHAPE_Y_STRIDE_LOW_BIT 62
#define HWGEN_DSP_SHAPE_Y_STRIDE_BITS 16
#define HWGEN_DSP_SHAPE_Y_STRIDE_SIGNED 0
#define HWGEN_DSP_SHAPE_Y_STRIDE_MINIMUM 0
#define HWGEN_DSP_SHAPE_Y_STRIDE_MAXIMUM 65535
/* chunks of channels per kernel position */
#define HWGEN_DSP_SHAPE_C_COUNT_LOW_BIT 78
#define HWGEN_DSP_SHAPE_C_COUNT_BITS 10
#define HWGEN_DSP_SHAPE_C_COUNT_SIGNED 0
#define HWGEN_DSP_SHAPE_C_COUNT_MINIMUM 1
#define HWGEN_DSP_SHAPE_C_COUNT_MAXIMUM 1023
/* kernel columns */
#define HWGEN_DSP_SHAPE_KX_COUNT_LOW_BIT 88
#define HWGEN_DSP_SHAPE_KX_COUNT_BITS 6
#define HWGEN_DSP_SHAPE_KX_COUNT_SIGNED 0
#define HWGEN_DSP_SHAPE_KX_COUNT_MINIMUM 1
#define HWGEN_DSP_SHAPE_KX_COUNT_MAXIMUM 63
/* from one kernel column to the next, words of activations */
#define HWGEN_DSP_SHAPE_KX_STRIDE_LOW_BIT 94
#define HWGEN_DSP_SHAPE_KX_STRIDE_BITS 12
#define HWGEN_DSP_SHAPE_KX_STRIDE_SIGNED 0
#define HWGEN_DSP_SHAPE_KX_STRIDE_MINIMUM 0
#define HWGEN_DSP_SHAPE_KX_STRIDE_MAXIMUM 4095
/* kernel rows */
#define HWGEN_DSP_SHAPE_KY_COUNT_LOW_BIT 106
#define HWGEN_DSP_SHAPE_KY_COUNT_BITS 6
#define HWGEN_DSP_SHAPE_KY_COUNT_SIGNED 0
#define HWGEN_DSP_SHAPE_KY_COUNT_MINIMUM 1
#define HWGEN_DSP_SHAPE_KY_COUNT_MAXIMUM 63
/* from one kernel row to the next, words of activations */
#define HWGEN_DSP_SHAPE_KY_STRIDE_LOW_BIT 112
#define HWGEN_DSP_SHAPE_KY_STRIDE_BITS 16
#define HWGEN_DSP_SHAPE_KY_STRIDE_SIGNED 0
#define HWGEN_DSP_SHAPE_KY_STRIDE_MINIMUM 0
#define HWGEN_DSP_SHAPE_KY_STRIDE_MAXIMUM 65535
static inline void hwgen_dsp_shape(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t x_count, uint32_t x_stride, uint32_t y_count, uint32_t y_stride, uint32_t c_count,
    uint32_t kx_count, uint32_t kx_stride, uint32_t ky_count, uint32_t ky_stride)
{
    word[0] = UINT64_C(0x01)
        | ((uint64_t)x_count & UINT64_C(0xfff)) << 24
        | ((uint64_t)x_stride & UINT64_C(0x3fff)) << 36
        | ((uint64_t)y_count & UINT64_C(0xfff)) << 50
        | ((uint64_t)y_stride & UINT64_C(0xffff)) << 62
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)y_stride & UINT64_C(0xffff)) >> 2
        | ((uint64_t)c_count & UINT64_C(0x3ff)) << 14
        | ((uint64_t)kx_count & UINT64_C(0x3f)) << 24
        | ((uint64_t)kx_stride & UINT64_C(0xfff)) << 30
        | ((uint64_t)ky_count & UINT64_C(0x3f)) << 42
        | ((uint64_t)ky_stride & UINT64_C(0xffff)) << 48;
}

/* dsp.run: For each of `tiles` column tiles: sums over (ky, kx, c) of activation word times weight
   block, for every output, to the accumulator buffer. Weights of a block are `lanes` words, blocks
   in the order tile, ky, kx, c. */
#define HWGEN_DSP_RUN_OPCODE 0x11
/* first word of activations */
#define HWGEN_DSP_RUN_ACT_LOW_BIT 24
#define HWGEN_DSP_RUN_ACT_BITS 20
#define HWGEN_DSP_RUN_ACT_SIGNED 0
#define HWGEN_DSP_RUN_ACT_MINIMUM 0
#define HWGEN_DSP_RUN_ACT_MAXIMUM 1048575
/* first word of weights */
#define HWGEN_DSP_RUN_WEIGHT_LOW_BIT 44
#define HWGEN_DSP_RUN_WEIGHT_BITS 20
#define HWGEN_DSP_RUN_WEIGHT_SIGNED 0
#define HWGEN_DSP_RUN_WEIGHT_MINIMUM 0
#define HWGEN_DSP_RUN_WEIGHT_MAXIMUM 1048575
/* first word of sums */
#define HWGEN_DSP_RUN_ACC_LOW_BIT 64
#define HWGEN_DSP_RUN_ACC_BITS 16
#define HWGEN_DSP_RUN_ACC_SIGNED 0
#define HWGEN_DSP_RUN_ACC_MINIMUM 0
#define HWGEN_DSP_RUN_ACC_MAXIMUM 65535
/* column tiles */
#define HWGEN_DSP_RUN_TILES_LOW_BIT 80
#define HWGEN_DSP_RUN_TILES_BITS 10
#define HWGEN_DSP_RUN_TILES_SIGNED 0
#define HWGEN_DSP_RUN_TILES_MINIMUM 1
#define HWGEN_DSP_RUN_TILES_MAXIMUM 1023
/* from one tile's sums to the next tile's, words */
#define HWGEN_DSP_RUN_ACC_STRIDE_LOW_BIT 90
#define HWGEN_DSP_RUN_ACC_STRIDE_BITS 14
#define HWGEN_DSP_RUN_ACC_STRIDE_SIGNED 0
#define HWGEN_DSP_RUN_ACC_STRIDE_MINIMUM 0
#define HWGEN_DSP_RUN_ACC_STRIDE_MAXIMUM 16383
/* start from the sums that the last run kept */
#define HWGEN_DSP_RUN_ACCUMULATE_LOW_BIT 104
#define HWGEN_DSP_RUN_ACCUMULATE_BITS 1
#define HWGEN_DSP_RUN_ACCUMULATE_SIGNED 0
#define HWGEN_DSP_RUN_ACCUMULATE_MINIMUM 0
#define HWGEN_DSP_RUN_ACCUMULATE_MAXIMUM 1
/* keep the sums inside, write nothing */
#define HWGEN_DSP_RUN_KEEP_LOW_BIT 105
#define HWGEN_DSP_RUN_KEEP_BITS 1
#define HWGEN_DSP_RUN_KEEP_SIGNED 0
#define HWGEN_DSP_RUN_KEEP_MINIMUM 0
#define HWGEN_DSP_RUN_KEEP_MAXIMUM 1
static inline void hwgen_dsp_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask, uint32_t
    act, uint32_t weight, uint32_t acc, uint32_t tiles, uint32_t acc_stride, uint32_t accumulate,
    uint32_t keep)
{
    word[0] = UINT64_C(0x11)
        | ((uint64_t)act & UINT64_C(0xfffff)) << 24
        | ((uint64_t)weight & UINT64_C(0xfffff)) << 44
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)acc & UINT64_C(0xffff))
        | ((uint64_t)tiles & UINT64_C(0x3ff)) << 16
        | ((uint64_t)acc_stride & UINT64_C(0x3fff)) << 26
        | ((uint64_t)accumulate & UINT64_C(0x1)) << 40
        | ((uint64_t)keep & UINT64_C(0x1)) << 41;
}

/* lut.shape: Sets the loops of the engine's next runs: outputs (y, x) and, for each, the products
   (ky, kx, c). Strides are in plane words; one step of c moves by act_bits plane words. */
#define HWGEN_LUT_SHAPE_OPCODE 0x02
/* outputs per row */
#define HWGEN_LUT_SHAPE_X_COUNT_LOW_BIT 24
#define HWGEN_LUT_SHAPE_X_COUNT_BITS 12
#define HWGEN_LUT_SHAPE_X_COUNT_SIGNED 0
#define HWGEN_LUT_SHAPE_X_COUNT_MINIMUM 1
#define HWGEN_LUT_SHAPE_X_COUNT_MAXIMUM 4095
/* from one output to the next in a row, plane words */
#define HWGEN_LUT_SHAPE_X_STRIDE_LOW_BIT 36
#define HWGEN_LUT_SHAPE_X_STRIDE_BITS 14
#define HWGEN_LUT_SHAPE_X_STRIDE_SIGNED 0
#define HWGEN_LUT_SHAPE_X_STRIDE_MINIMUM 0
#define HWGEN_LUT_SHAPE_X_STRIDE_MAXIMUM 16383
/* rows of outputs */
#define HWGEN_LUT_SHAPE_Y_COUNT_LOW_BIT 50
#define HWGEN_LUT_SHAPE_Y_COUNT_BITS 12
#define HWGEN_LUT_SHAPE_Y_COUNT_SIGNED 0
#define HWGEN_LUT_SHAPE_Y_COUNT_MINIMUM 1
#define HWGEN_LUT_SHAPE_Y_COUNT_MAXIMUM 4095
/* from one row of outputs to the next, plane words */
#define HWGEN_LUT_SHAPE_Y_STRIDE_LOW_BIT 62
#define HWGEN_LUT_SHAPE_Y_STRIDE_BITS 16
#define HWGEN_LUT_SHAPE_Y_STRIDE_SIGNED 0
#define HWGEN_LUT_SHAPE_Y_STRIDE_MINIMUM 0
#define HWGEN_LUT_SHAPE_Y_STRIDE_MAXIMUM 65535
/* chunks of channels per kernel position */
#define HWGEN_LUT_SHAPE_C_COUNT_LOW_BIT 78
#define HWGEN_LUT_SHAPE_C_COUNT_BITS 10
#define HWGEN_LUT_SHAPE_C_COUNT_SIGNED 0
#define HWGEN_LUT_SHAPE_C_COUNT_MINIMUM 1
#define HWGEN_LUT_SHAPE_C_COUNT_MAXIMUM 1023
/* kernel columns */
#define HWGEN_LUT_SHAPE_KX_COUNT_LOW_BIT 88
#define HWGEN_LUT_SHAPE_KX_COUNT_BITS 6
#define HWGEN_LUT_SHAPE_KX_COUNT_SIGNED 0
#define HWGEN_LUT_SHAPE_KX_COUNT_MINIMUM 1
#define HWGEN_LUT_SHAPE_KX_COUNT_MAXIMUM 63
/* from one kernel column to the next, plane words */
#define HWGEN_LUT_SHAPE_KX_STRIDE_LOW_BIT 94
#define HWGEN_LUT_SHAPE_KX_STRIDE_BITS 12
#define HWGEN_LUT_SHAPE_KX_STRIDE_SIGNED 0
#define HWGEN_LUT_SHAPE_KX_STRIDE_MINIMUM 0
#define HWGEN_LUT_SHAPE_KX_STRIDE_MAXIMUM 4095
/* kernel rows */
#define HWGEN_LUT_SHAPE_KY_COUNT_LOW_BIT 106
#define HWGEN_LUT_SHAPE_KY_COUNT_BITS 6
#define HWGEN_LUT_SHAPE_KY_COUNT_SIGNED 0
#define HWGEN_LUT_SHAPE_KY_COUNT_MINIMUM 1
#define HWGEN_LUT_SHAPE_KY_COUNT_MAXIMUM 63
/* from one kernel row to the next, plane words */
#define HWGEN_LUT_SHAPE_KY_STRIDE_LOW_BIT 112
#define HWGEN_LUT_SHAPE_KY_STRIDE_BITS 16
#define HWGEN_LUT_SHAPE_KY_STRIDE_SIGNED 0
#define HWGEN_LUT_SHAPE_KY_STRIDE_MINIMUM 0
#define HWGEN_LUT_SHAPE_KY_STRIDE_MAXIMUM 65535
static inline void hwgen_lut_shape(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t x_count, uint32_t x_stride, uint32_t y_count, uint32_t y_stride, uint32_t c_count,
    uint32_t kx_count, uint32_t kx_stride, uint32_t ky_count, uint32_t ky_stride)
{
    word[0] = UINT64_C(0x02)
        | ((uint64_t)x_count & UINT64_C(0xfff)) << 24
        | ((uint64_t)x_stride & UINT64_C(0x3fff)) << 36
        | ((uint64_t)y_count & UINT64_C(0xfff)) << 50
        | ((uint64_t)y_stride & UINT64_C(0xffff)) << 62
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)y_stride & UINT64_C(0xffff)) >> 2
        | ((uint64_t)c_count & UINT64_C(0x3ff)) << 14
        | ((uint64_t)kx_count & UINT64_C(0x3f)) << 24
        | ((uint64_t)kx_stride & UINT64_C(0xfff)) << 30
        | ((uint64_t)ky_count & UINT64_C(0x3f)) << 42
        | ((uint64_t)ky_stride & UINT64_C(0xffff)) << 48;
}

/* lut.run: The same on bit planes, for all units at once: unit u writes its outputs `u *
   unit_stride` words further. */
#define HWGEN_LUT_RUN_OPCODE 0x12
/* first plane word of activations, the same in every unit */
#define HWGEN_LUT_RUN_ACT_LOW_BIT 24
#define HWGEN_LUT_RUN_ACT_BITS 16
#define HWGEN_LUT_RUN_ACT_SIGNED 0
#define HWGEN_LUT_RUN_ACT_MINIMUM 0
#define HWGEN_LUT_RUN_ACT_MAXIMUM 65535
/* first plane word of weights */
#define HWGEN_LUT_RUN_WEIGHT_LOW_BIT 40
#define HWGEN_LUT_RUN_WEIGHT_BITS 16
#define HWGEN_LUT_RUN_WEIGHT_SIGNED 0
#define HWGEN_LUT_RUN_WEIGHT_MINIMUM 0
#define HWGEN_LUT_RUN_WEIGHT_MAXIMUM 65535
/* first word of sums */
#define HWGEN_LUT_RUN_ACC_LOW_BIT 56
#define HWGEN_LUT_RUN_ACC_BITS 16
#define HWGEN_LUT_RUN_ACC_SIGNED 0
#define HWGEN_LUT_RUN_ACC_MINIMUM 0
#define HWGEN_LUT_RUN_ACC_MAXIMUM 65535
/* column tiles */
#define HWGEN_LUT_RUN_TILES_LOW_BIT 72
#define HWGEN_LUT_RUN_TILES_BITS 10
#define HWGEN_LUT_RUN_TILES_SIGNED 0
#define HWGEN_LUT_RUN_TILES_MINIMUM 1
#define HWGEN_LUT_RUN_TILES_MAXIMUM 1023
/* from one tile's sums to the next tile's, words */
#define HWGEN_LUT_RUN_ACC_STRIDE_LOW_BIT 82
#define HWGEN_LUT_RUN_ACC_STRIDE_BITS 14
#define HWGEN_LUT_RUN_ACC_STRIDE_SIGNED 0
#define HWGEN_LUT_RUN_ACC_STRIDE_MINIMUM 0
#define HWGEN_LUT_RUN_ACC_STRIDE_MAXIMUM 16383
/* units whose sums are written */
#define HWGEN_LUT_RUN_UNITS_LOW_BIT 96
#define HWGEN_LUT_RUN_UNITS_BITS 6
#define HWGEN_LUT_RUN_UNITS_SIGNED 0
#define HWGEN_LUT_RUN_UNITS_MINIMUM 1
#define HWGEN_LUT_RUN_UNITS_MAXIMUM 63
/* from one unit's sums to the next unit's, words */
#define HWGEN_LUT_RUN_UNIT_STRIDE_LOW_BIT 102
#define HWGEN_LUT_RUN_UNIT_STRIDE_BITS 12
#define HWGEN_LUT_RUN_UNIT_STRIDE_SIGNED 0
#define HWGEN_LUT_RUN_UNIT_STRIDE_MINIMUM 0
#define HWGEN_LUT_RUN_UNIT_STRIDE_MAXIMUM 4095
/* planes per activation */
#define HWGEN_LUT_RUN_ACT_BITS_LOW_BIT 114
#define HWGEN_LUT_RUN_ACT_BITS_BITS 4
#define HWGEN_LUT_RUN_ACT_BITS_SIGNED 0
#define HWGEN_LUT_RUN_ACT_BITS_MINIMUM 1
#define HWGEN_LUT_RUN_ACT_BITS_MAXIMUM 8
/* planes per weight */
#define HWGEN_LUT_RUN_WEIGHT_BITS_LOW_BIT 118
#define HWGEN_LUT_RUN_WEIGHT_BITS_BITS 4
#define HWGEN_LUT_RUN_WEIGHT_BITS_SIGNED 0
#define HWGEN_LUT_RUN_WEIGHT_BITS_MINIMUM 1
#define HWGEN_LUT_RUN_WEIGHT_BITS_MAXIMUM 8
/* activations are two's complement */
#define HWGEN_LUT_RUN_ACT_SIGNED_LOW_BIT 122
#define HWGEN_LUT_RUN_ACT_SIGNED_BITS 1
#define HWGEN_LUT_RUN_ACT_SIGNED_SIGNED 0
#define HWGEN_LUT_RUN_ACT_SIGNED_MINIMUM 0
#define HWGEN_LUT_RUN_ACT_SIGNED_MAXIMUM 1
/* weights are two's complement */
#define HWGEN_LUT_RUN_WEIGHT_SIGNED_LOW_BIT 123
#define HWGEN_LUT_RUN_WEIGHT_SIGNED_BITS 1
#define HWGEN_LUT_RUN_WEIGHT_SIGNED_SIGNED 0
#define HWGEN_LUT_RUN_WEIGHT_SIGNED_MINIMUM 0
#define HWGEN_LUT_RUN_WEIGHT_SIGNED_MAXIMUM 1
static inline void hwgen_lut_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask, uint32_t
    act, uint32_t weight, uint32_t acc, uint32_t tiles, uint32_t acc_stride, uint32_t units,
    uint32_t unit_stride, uint32_t act_bits, uint32_t weight_bits, uint32_t act_signed, uint32_t
    weight_signed)
{
    word[0] = UINT64_C(0x12)
        | ((uint64_t)act & UINT64_C(0xffff)) << 24
        | ((uint64_t)weight & UINT64_C(0xffff)) << 40
        | ((uint64_t)acc & UINT64_C(0xffff)) << 56
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)acc & UINT64_C(0xffff)) >> 8
        | ((uint64_t)tiles & UINT64_C(0x3ff)) << 8
        | ((uint64_t)acc_stride & UINT64_C(0x3fff)) << 18
        | ((uint64_t)units & UINT64_C(0x3f)) << 32
        | ((uint64_t)unit_stride & UINT64_C(0xfff)) << 38
        | ((uint64_t)act_bits & UINT64_C(0xf)) << 50
        | ((uint64_t)weight_bits & UINT64_C(0xf)) << 54
        | ((uint64_t)act_signed & UINT64_C(0x1)) << 58
        | ((uint64_t)weight_signed & UINT64_C(0x1)) << 59;
}

/* sparse.shape: Sets the size of the engine's next runs: sums over K blocks of 16 products, for
   some rows of outputs. */
#define HWGEN_SPARSE_SHAPE_OPCODE 0x03
/* blocks of 16 products per sum */
#define HWGEN_SPARSE_SHAPE_BLOCKS_LOW_BIT 24
#define HWGEN_SPARSE_SHAPE_BLOCKS_BITS 10
#define HWGEN_SPARSE_SHAPE_BLOCKS_SIGNED 0
#define HWGEN_SPARSE_SHAPE_BLOCKS_MINIMUM 1
#define HWGEN_SPARSE_SHAPE_BLOCKS_MAXIMUM 1023
/* rows of outputs */
#define HWGEN_SPARSE_SHAPE_ROWS_LOW_BIT 34
#define HWGEN_SPARSE_SHAPE_ROWS_BITS 6
#define HWGEN_SPARSE_SHAPE_ROWS_SIGNED 0
#define HWGEN_SPARSE_SHAPE_ROWS_MINIMUM 1
#define HWGEN_SPARSE_SHAPE_ROWS_MAXIMUM 63
/* bits per weight: 2, 3, 4 or 8 */
#define HWGEN_SPARSE_SHAPE_WEIGHT_BITS_LOW_BIT 40
#define HWGEN_SPARSE_SHAPE_WEIGHT_BITS_BITS 4
#define HWGEN_SPARSE_SHAPE_WEIGHT_BITS_SIGNED 0
#define HWGEN_SPARSE_SHAPE_WEIGHT_BITS_MINIMUM 2
#define HWGEN_SPARSE_SHAPE_WEIGHT_BITS_MAXIMUM 8
/* the ways compute neighbouring column tiles of the same rows, not parts of the rows */
#define HWGEN_SPARSE_SHAPE_SPREAD_LOW_BIT 44
#define HWGEN_SPARSE_SHAPE_SPREAD_BITS 1
#define HWGEN_SPARSE_SHAPE_SPREAD_SIGNED 0
#define HWGEN_SPARSE_SHAPE_SPREAD_MINIMUM 0
#define HWGEN_SPARSE_SHAPE_SPREAD_MAXIMUM 1
static inline void hwgen_sparse_shape(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t blocks, uint32_t rows, uint32_t weight_bits, uint32_t spread)
{
    word[0] = UINT64_C(0x03)
        | ((uint64_t)blocks & UINT64_C(0x3ff)) << 24
        | ((uint64_t)rows & UINT64_C(0x3f)) << 34
        | ((uint64_t)weight_bits & UINT64_C(0xf)) << 40
        | ((uint64_t)spread & UINT64_C(0x1)) << 44
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0);
}

/* sparse.stream: Sets how long the streams of weights are that the engine's next runs read. */
#define HWGEN_SPARSE_STREAM_OPCODE 0x13
/* cycles that the array works on them */
#define HWGEN_SPARSE_STREAM_STEPS_LOW_BIT 24
#define HWGEN_SPARSE_STREAM_STEPS_BITS 24
#define HWGEN_SPARSE_STREAM_STEPS_SIGNED 0
#define HWGEN_SPARSE_STREAM_STEPS_MINIMUM 1
#define HWGEN_SPARSE_STREAM_STEPS_MAXIMUM 16777215
/* rows of values */
#define HWGEN_SPARSE_STREAM_VALUE_ROWS_LOW_BIT 48
#define HWGEN_SPARSE_STREAM_VALUE_ROWS_BITS 18
#define HWGEN_SPARSE_STREAM_VALUE_ROWS_SIGNED 0
#define HWGEN_SPARSE_STREAM_VALUE_ROWS_MINIMUM 0
#define HWGEN_SPARSE_STREAM_VALUE_ROWS_MAXIMUM 262143
/* rows of indices */
#define HWGEN_SPARSE_STREAM_INDEX_ROWS_LOW_BIT 66
#define HWGEN_SPARSE_STREAM_INDEX_ROWS_BITS 18
#define HWGEN_SPARSE_STREAM_INDEX_ROWS_SIGNED 0
#define HWGEN_SPARSE_STREAM_INDEX_ROWS_MINIMUM 0
#define HWGEN_SPARSE_STREAM_INDEX_ROWS_MAXIMUM 262143
static inline void hwgen_sparse_stream(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t steps, uint32_t value_rows, uint32_t index_rows)
{
    word[0] = UINT64_C(0x13)
        | ((uint64_t)steps & UINT64_C(0xffffff)) << 24
        | ((uint64_t)value_rows & UINT64_C(0x3ffff)) << 48
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)value_rows & UINT64_C(0x3ffff)) >> 16
        | ((uint64_t)index_rows & UINT64_C(0x3ffff)) << 2;
}

/* sparse.run: For each of `tiles` column tiles: sums over `blocks` of operand word times sparse
   weights, for every row, to the accumulator buffer. Weights are read as three streams: a code per
   block, values, indices. */
#define HWGEN_SPARSE_RUN_OPCODE 0x23
/* first block of 16 operand words */
#define HWGEN_SPARSE_RUN_OPERAND_LOW_BIT 24
#define HWGEN_SPARSE_RUN_OPERAND_BITS 10
#define HWGEN_SPARSE_RUN_OPERAND_SIGNED 0
#define HWGEN_SPARSE_RUN_OPERAND_MINIMUM 0
#define HWGEN_SPARSE_RUN_OPERAND_MAXIMUM 1023
/* first word of codes */
#define HWGEN_SPARSE_RUN_CODE_LOW_BIT 34
#define HWGEN_SPARSE_RUN_CODE_BITS 16
#define HWGEN_SPARSE_RUN_CODE_SIGNED 0
#define HWGEN_SPARSE_RUN_CODE_MINIMUM 0
#define HWGEN_SPARSE_RUN_CODE_MAXIMUM 65535
/* first row of values */
#define HWGEN_SPARSE_RUN_VALUE_LOW_BIT 50
#define HWGEN_SPARSE_RUN_VALUE_BITS 18
#define HWGEN_SPARSE_RUN_VALUE_SIGNED 0
#define HWGEN_SPARSE_RUN_VALUE_MINIMUM 0
#define HWGEN_SPARSE_RUN_VALUE_MAXIMUM 262143
/* first row of indices */
#define HWGEN_SPARSE_RUN_INDEX_LOW_BIT 68
#define HWGEN_SPARSE_RUN_INDEX_BITS 18
#define HWGEN_SPARSE_RUN_INDEX_SIGNED 0
#define HWGEN_SPARSE_RUN_INDEX_MINIMUM 0
#define HWGEN_SPARSE_RUN_INDEX_MAXIMUM 262143
/* first word of sums */
#define HWGEN_SPARSE_RUN_ACC_LOW_BIT 86
#define HWGEN_SPARSE_RUN_ACC_BITS 16
#define HWGEN_SPARSE_RUN_ACC_SIGNED 0
#define HWGEN_SPARSE_RUN_ACC_MINIMUM 0
#define HWGEN_SPARSE_RUN_ACC_MAXIMUM 65535
/* column tiles */
#define HWGEN_SPARSE_RUN_TILES_LOW_BIT 102
#define HWGEN_SPARSE_RUN_TILES_BITS 10
#define HWGEN_SPARSE_RUN_TILES_SIGNED 0
#define HWGEN_SPARSE_RUN_TILES_MINIMUM 1
#define HWGEN_SPARSE_RUN_TILES_MAXIMUM 1023
/* from one tile's sums to the next tile's, words */
#define HWGEN_SPARSE_RUN_ACC_STRIDE_LOW_BIT 112
#define HWGEN_SPARSE_RUN_ACC_STRIDE_BITS 14
#define HWGEN_SPARSE_RUN_ACC_STRIDE_SIGNED 0
#define HWGEN_SPARSE_RUN_ACC_STRIDE_MINIMUM 0
#define HWGEN_SPARSE_RUN_ACC_STRIDE_MAXIMUM 16383
static inline void hwgen_sparse_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t operand, uint32_t code, uint32_t value, uint32_t index, uint32_t acc, uint32_t tiles,
    uint32_t acc_stride)
{
    word[0] = UINT64_C(0x23)
        | ((uint64_t)operand & UINT64_C(0x3ff)) << 24
        | ((uint64_t)code & UINT64_C(0xffff)) << 34
        | ((uint64_t)value & UINT64_C(0x3ffff)) << 50
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)value & UINT64_C(0x3ffff)) >> 14
        | ((uint64_t)index & UINT64_C(0x3ffff)) << 4
        | ((uint64_t)acc & UINT64_C(0xffff)) << 22
        | ((uint64_t)tiles & UINT64_C(0x3ff)) << 38
        | ((uint64_t)acc_stride & UINT64_C(0x3fff)) << 48;
}

/* vec.shape: Sets the loops and constants of the engine's next runs: outputs (n2, n1, n0), for each
   the inputs (r1, r0). */
#define HWGEN_VEC_SHAPE_OPCODE 0x04
/* inner reduction steps */
#define HWGEN_VEC_SHAPE_R0_LOW_BIT 24
#define HWGEN_VEC_SHAPE_R0_BITS 6
#define HWGEN_VEC_SHAPE_R0_SIGNED 0
#define HWGEN_VEC_SHAPE_R0_MINIMUM 1
#define HWGEN_VEC_SHAPE_R0_MAXIMUM 63
/* outer reduction steps */
#define HWGEN_VEC_SHAPE_R1_LOW_BIT 30
#define HWGEN_VEC_SHAPE_R1_BITS 6
#define HWGEN_VEC_SHAPE_R1_SIGNED 0
#define HWGEN_VEC_SHAPE_R1_MINIMUM 1
#define HWGEN_VEC_SHAPE_R1_MAXIMUM 63
/* inner outputs */
#define HWGEN_VEC_SHAPE_N0_LOW_BIT 36
#define HWGEN_VEC_SHAPE_N0_BITS 12
#define HWGEN_VEC_SHAPE_N0_SIGNED 0
#define HWGEN_VEC_SHAPE_N0_MINIMUM 1
#define HWGEN_VEC_SHAPE_N0_MAXIMUM 4095
/* middle outputs */
#define HWGEN_VEC_SHAPE_N1_LOW_BIT 48
#define HWGEN_VEC_SHAPE_N1_BITS 12
#define HWGEN_VEC_SHAPE_N1_SIGNED 0
#define HWGEN_VEC_SHAPE_N1_MINIMUM 1
#define HWGEN_VEC_SHAPE_N1_MAXIMUM 4095
/* outer outputs */
#define HWGEN_VEC_SHAPE_N2_LOW_BIT 60
#define HWGEN_VEC_SHAPE_N2_BITS 12
#define HWGEN_VEC_SHAPE_N2_SIGNED 0
#define HWGEN_VEC_SHAPE_N2_MINIMUM 1
#define HWGEN_VEC_SHAPE_N2_MAXIMUM 4095
/* of a requantiser that rounds to nearest; others have one */
#define HWGEN_VEC_SHAPE_ROUNDING_LOW_BIT 72
#define HWGEN_VEC_SHAPE_ROUNDING_BITS 1
#define HWGEN_VEC_SHAPE_ROUNDING_SIGNED 0
#define HWGEN_VEC_SHAPE_ROUNDING_MINIMUM 0
#define HWGEN_VEC_SHAPE_ROUNDING_MAXIMUM 1
#define HWGEN_VEC_SHAPE_ROUNDING_HALF_EVEN 0
#define HWGEN_VEC_SHAPE_ROUNDING_HALF_AWAY 1
/* zero point of the result */
#define HWGEN_VEC_SHAPE_ZERO_LOW_BIT 73
#define HWGEN_VEC_SHAPE_ZERO_BITS 8
#define HWGEN_VEC_SHAPE_ZERO_SIGNED 1
#define HWGEN_VEC_SHAPE_ZERO_MINIMUM (-128)
#define HWGEN_VEC_SHAPE_ZERO_MAXIMUM 127
/* smallest result */
#define HWGEN_VEC_SHAPE_LOW_LOW_BIT 81
#define HWGEN_VEC_SHAPE_LOW_BITS 8
#define HWGEN_VEC_SHAPE_LOW_SIGNED 1
#define HWGEN_VEC_SHAPE_LOW_MINIMUM (-128)
#define HWGEN_VEC_SHAPE_LOW_MAXIMUM 127
/* largest result */
#define HWGEN_VEC_SHAPE_HIGH_LOW_BIT 89
#define HWGEN_VEC_SHAPE_HIGH_BITS 8
#define HWGEN_VEC_SHAPE_HIGH_SIGNED 1
#define HWGEN_VEC_SHAPE_HIGH_MINIMUM (-128)
#define HWGEN_VEC_SHAPE_HIGH_MAXIMUM 127
/* zero point of even inputs (product) */
#define HWGEN_VEC_SHAPE_ZERO0_LOW_BIT 97
#define HWGEN_VEC_SHAPE_ZERO0_BITS 8
#define HWGEN_VEC_SHAPE_ZERO0_SIGNED 1
#define HWGEN_VEC_SHAPE_ZERO0_MINIMUM (-128)
#define HWGEN_VEC_SHAPE_ZERO0_MAXIMUM 127
/* zero point of odd inputs (product) */
#define HWGEN_VEC_SHAPE_ZERO1_LOW_BIT 105
#define HWGEN_VEC_SHAPE_ZERO1_BITS 8
#define HWGEN_VEC_SHAPE_ZERO1_SIGNED 1
#define HWGEN_VEC_SHAPE_ZERO1_MINIMUM (-128)
#define HWGEN_VEC_SHAPE_ZERO1_MAXIMUM 127
/* inputs are digits of base 128, the highest one first (requantise) */
#define HWGEN_VEC_SHAPE_DIGITS_LOW_BIT 113
#define HWGEN_VEC_SHAPE_DIGITS_BITS 1
#define HWGEN_VEC_SHAPE_DIGITS_SIGNED 0
#define HWGEN_VEC_SHAPE_DIGITS_MINIMUM 0
#define HWGEN_VEC_SHAPE_DIGITS_MAXIMUM 1
static inline void hwgen_vec_shape(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t r0, uint32_t r1, uint32_t n0, uint32_t n1, uint32_t n2, uint32_t rounding, int32_t
    zero, int32_t low, int32_t high, int32_t zero0, int32_t zero1, uint32_t digits)
{
    word[0] = UINT64_C(0x04)
        | ((uint64_t)r0 & UINT64_C(0x3f)) << 24
        | ((uint64_t)r1 & UINT64_C(0x3f)) << 30
        | ((uint64_t)n0 & UINT64_C(0xfff)) << 36
        | ((uint64_t)n1 & UINT64_C(0xfff)) << 48
        | ((uint64_t)n2 & UINT64_C(0xfff)) << 60
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)n2 & UINT64_C(0xfff)) >> 4
        | ((uint64_t)rounding & UINT64_C(0x1)) << 8
        | ((uint64_t)zero & UINT64_C(0xff)) << 9
        | ((uint64_t)low & UINT64_C(0xff)) << 17
        | ((uint64_t)high & UINT64_C(0xff)) << 25
        | ((uint64_t)zero0 & UINT64_C(0xff)) << 33
        | ((uint64_t)zero1 & UINT64_C(0xff)) << 41
        | ((uint64_t)digits & UINT64_C(0x1)) << 49;
}

/* vec.source: Sets the strides by which the engine's next runs read. */
#define HWGEN_VEC_SOURCE_OPCODE 0x14
/* per inner reduction step, words */
#define HWGEN_VEC_SOURCE_R0_LOW_BIT 24
#define HWGEN_VEC_SOURCE_R0_BITS 20
#define HWGEN_VEC_SOURCE_R0_SIGNED 1
#define HWGEN_VEC_SOURCE_R0_MINIMUM (-524288)
#define HWGEN_VEC_SOURCE_R0_MAXIMUM 524287
/* per outer reduction step, words */
#define HWGEN_VEC_SOURCE_R1_LOW_BIT 44
#define HWGEN_VEC_SOURCE_R1_BITS 20
#define HWGEN_VEC_SOURCE_R1_SIGNED 1
#define HWGEN_VEC_SOURCE_R1_MINIMUM (-524288)
#define HWGEN_VEC_SOURCE_R1_MAXIMUM 524287
/* per inner output, words */
#define HWGEN_VEC_SOURCE_N0_LOW_BIT 64
#define HWGEN_VEC_SOURCE_N0_BITS 20
#define HWGEN_VEC_SOURCE_N0_SIGNED 1
#define HWGEN_VEC_SOURCE_N0_MINIMUM (-524288)
#define HWGEN_VEC_SOURCE_N0_MAXIMUM 524287
/* per middle output, words */
#define HWGEN_VEC_SOURCE_N1_LOW_BIT 84
#define HWGEN_VEC_SOURCE_N1_BITS 20
#define HWGEN_VEC_SOURCE_N1_SIGNED 1
#define HWGEN_VEC_SOURCE_N1_MINIMUM (-524288)
#define HWGEN_VEC_SOURCE_N1_MAXIMUM 524287
/* per outer output, words */
#define HWGEN_VEC_SOURCE_N2_LOW_BIT 104
#define HWGEN_VEC_SOURCE_N2_BITS 20
#define HWGEN_VEC_SOURCE_N2_SIGNED 1
#define HWGEN_VEC_SOURCE_N2_MINIMUM (-524288)
#define HWGEN_VEC_SOURCE_N2_MAXIMUM 524287
static inline void hwgen_vec_source(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    int32_t r0, int32_t r1, int32_t n0, int32_t n1, int32_t n2)
{
    word[0] = UINT64_C(0x14)
        | ((uint64_t)r0 & UINT64_C(0xfffff)) << 24
        | ((uint64_t)r1 & UINT64_C(0xfffff)) << 44
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)n0 & UINT64_C(0xfffff))
        | ((uint64_t)n1 & UINT64_C(0xfffff)) << 20
        | ((uint64_t)n2 & UINT64_C(0xfffff)) << 40;
}

/* vec.target: Sets the strides by which the engine's next runs write, and the weights of a sum. */
#define HWGEN_VEC_TARGET_OPCODE 0x24
/* per inner output, words */
#define HWGEN_VEC_TARGET_N0_LOW_BIT 24
#define HWGEN_VEC_TARGET_N0_BITS 18
#define HWGEN_VEC_TARGET_N0_SIGNED 1
#define HWGEN_VEC_TARGET_N0_MINIMUM (-131072)
#define HWGEN_VEC_TARGET_N0_MAXIMUM 131071
/* per middle output, words */
#define HWGEN_VEC_TARGET_N1_LOW_BIT 42
#define HWGEN_VEC_TARGET_N1_BITS 18
#define HWGEN_VEC_TARGET_N1_SIGNED 1
#define HWGEN_VEC_TARGET_N1_MINIMUM (-131072)
#define HWGEN_VEC_TARGET_N1_MAXIMUM 131071
/* per outer output, words */
#define HWGEN_VEC_TARGET_N2_LOW_BIT 60
#define HWGEN_VEC_TARGET_N2_BITS 18
#define HWGEN_VEC_TARGET_N2_SIGNED 1
#define HWGEN_VEC_TARGET_N2_MINIMUM (-131072)
#define HWGEN_VEC_TARGET_N2_MAXIMUM 131071
/* per outer output, parameter words (0: per tensor, 1: per channel) */
#define HWGEN_VEC_TARGET_PARAMETER_N2_LOW_BIT 78
#define HWGEN_VEC_TARGET_PARAMETER_N2_BITS 8
#define HWGEN_VEC_TARGET_PARAMETER_N2_SIGNED 0
#define HWGEN_VEC_TARGET_PARAMETER_N2_MINIMUM 0
#define HWGEN_VEC_TARGET_PARAMETER_N2_MAXIMUM 255
/* weight of even inputs (sum) */
#define HWGEN_VEC_TARGET_WEIGHT0_LOW_BIT 86
#define HWGEN_VEC_TARGET_WEIGHT0_BITS 16
#define HWGEN_VEC_TARGET_WEIGHT0_SIGNED 1
#define HWGEN_VEC_TARGET_WEIGHT0_MINIMUM (-32768)
#define HWGEN_VEC_TARGET_WEIGHT0_MAXIMUM 32767
/* weight of odd inputs (sum) */
#define HWGEN_VEC_TARGET_WEIGHT1_LOW_BIT 102
#define HWGEN_VEC_TARGET_WEIGHT1_BITS 16
#define HWGEN_VEC_TARGET_WEIGHT1_SIGNED 1
#define HWGEN_VEC_TARGET_WEIGHT1_MINIMUM (-32768)
#define HWGEN_VEC_TARGET_WEIGHT1_MAXIMUM 32767
static inline void hwgen_vec_target(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    int32_t n0, int32_t n1, int32_t n2, uint32_t parameter_n2, int32_t weight0, int32_t weight1)
{
    word[0] = UINT64_C(0x24)
        | ((uint64_t)n0 & UINT64_C(0x3ffff)) << 24
        | ((uint64_t)n1 & UINT64_C(0x3ffff)) << 42
        | ((uint64_t)n2 & UINT64_C(0x3ffff)) << 60
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)n2 & UINT64_C(0x3ffff)) >> 4
        | ((uint64_t)parameter_n2 & UINT64_C(0xff)) << 14
        | ((uint64_t)weight0 & UINT64_C(0xffff)) << 22
        | ((uint64_t)weight1 & UINT64_C(0xffff)) << 38;
}

/* vec.run: Reads, reduces, requantises and writes `lanes` elements at a time. */
#define HWGEN_VEC_RUN_OPCODE 0x34
/* what is done */
#define HWGEN_VEC_RUN_OP_LOW_BIT 24
#define HWGEN_VEC_RUN_OP_BITS 4
#define HWGEN_VEC_RUN_OP_SIGNED 0
#define HWGEN_VEC_RUN_OP_MINIMUM 0
#define HWGEN_VEC_RUN_OP_MAXIMUM 9
#define HWGEN_VEC_RUN_OP_REQUANTISE 0
#define HWGEN_VEC_RUN_OP_RAW 1
#define HWGEN_VEC_RUN_OP_SUM 2
#define HWGEN_VEC_RUN_OP_MAX 3
#define HWGEN_VEC_RUN_OP_PRODUCT 4
#define HWGEN_VEC_RUN_OP_COPY 5
#define HWGEN_VEC_RUN_OP_TRANSPOSE 6
#define HWGEN_VEC_RUN_OP_PLANES 7
#define HWGEN_VEC_RUN_OP_SOFTMAX 8
#define HWGEN_VEC_RUN_OP_COLUMNS 9
/* first word read: of sums for requantise, raw and softmax, else of activations */
#define HWGEN_VEC_RUN_SOURCE_LOW_BIT 28
#define HWGEN_VEC_RUN_SOURCE_BITS 20
#define HWGEN_VEC_RUN_SOURCE_SIGNED 0
#define HWGEN_VEC_RUN_SOURCE_MINIMUM 0
#define HWGEN_VEC_RUN_SOURCE_MAXIMUM 1048575
/* first word written: plane words for planes, operands for columns, else activations */
#define HWGEN_VEC_RUN_TARGET_LOW_BIT 48
#define HWGEN_VEC_RUN_TARGET_BITS 20
#define HWGEN_VEC_RUN_TARGET_SIGNED 0
#define HWGEN_VEC_RUN_TARGET_MINIMUM 0
#define HWGEN_VEC_RUN_TARGET_MAXIMUM 1048575
/* first parameter word */
#define HWGEN_VEC_RUN_PARAMETER_LOW_BIT 68
#define HWGEN_VEC_RUN_PARAMETER_BITS 12
#define HWGEN_VEC_RUN_PARAMETER_SIGNED 0
#define HWGEN_VEC_RUN_PARAMETER_MINIMUM 0
#define HWGEN_VEC_RUN_PARAMETER_MAXIMUM 4095
/* planes per element (planes), else 1 */
#define HWGEN_VEC_RUN_PLANES_LOW_BIT 80
#define HWGEN_VEC_RUN_PLANES_BITS 4
#define HWGEN_VEC_RUN_PLANES_SIGNED 0
#define HWGEN_VEC_RUN_PLANES_MINIMUM 1
#define HWGEN_VEC_RUN_PLANES_MAXIMUM 8
/* unit of the LUT engine that gets them (planes); 1 to repeat the elements for every way of the sparse engine (columns); else 0 */
#define HWGEN_VEC_RUN_UNIT_LOW_BIT 84
#define HWGEN_VEC_RUN_UNIT_BITS 6
#define HWGEN_VEC_RUN_UNIT_SIGNED 0
#define HWGEN_VEC_RUN_UNIT_MINIMUM 0
#define HWGEN_VEC_RUN_UNIT_MAXIMUM 63
static inline void hwgen_vec_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask, uint32_t
    op, uint32_t source, uint32_t target, uint32_t parameter, uint32_t planes, uint32_t unit)
{
    word[0] = UINT64_C(0x34)
        | ((uint64_t)op & UINT64_C(0xf)) << 24
        | ((uint64_t)source & UINT64_C(0xfffff)) << 28
        | ((uint64_t)target & UINT64_C(0xfffff)) << 48
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)target & UINT64_C(0xfffff)) >> 16
        | ((uint64_t)parameter & UINT64_C(0xfff)) << 4
        | ((uint64_t)planes & UINT64_C(0xf)) << 16
        | ((uint64_t)unit & UINT64_C(0x3f)) << 20;
}

/* vec.row: Sets the rows of the engine's next runs of softmax: a row is the elements of n0 words,
   and there is one for every (n2, n1). Its exponentials are written as digits of base 128, the
   elements of a word backwards; what a product of all digits with values has to be scaled by, so
   that the exponentials of each row add up to one, becomes a parameter word per row. */
#define HWGEN_VEC_ROW_OPCODE 0x44
/* elements of a first row (n1 = 0) that take part; the others are zero */
#define HWGEN_VEC_ROW_KEEP_LOW_BIT 24
#define HWGEN_VEC_ROW_KEEP_BITS 13
#define HWGEN_VEC_ROW_KEEP_SIGNED 0
#define HWGEN_VEC_ROW_KEEP_MINIMUM 1
#define HWGEN_VEC_ROW_KEEP_MAXIMUM 8191
/* elements that take part more in each row than in the row before */
#define HWGEN_VEC_ROW_KEEP_STEP_LOW_BIT 37
#define HWGEN_VEC_ROW_KEEP_STEP_BITS 1
#define HWGEN_VEC_ROW_KEEP_STEP_SIGNED 0
#define HWGEN_VEC_ROW_KEEP_STEP_MINIMUM 0
#define HWGEN_VEC_ROW_KEEP_STEP_MAXIMUM 1
/* the digit to write: 0 the highest */
#define HWGEN_VEC_ROW_DIGIT_LOW_BIT 38
#define HWGEN_VEC_ROW_DIGIT_BITS 1
#define HWGEN_VEC_ROW_DIGIT_SIGNED 0
#define HWGEN_VEC_ROW_DIGIT_MINIMUM 0
#define HWGEN_VEC_ROW_DIGIT_MAXIMUM 1
/* parameter word of the first row */
#define HWGEN_VEC_ROW_PARAMETER_LOW_BIT 39
#define HWGEN_VEC_ROW_PARAMETER_BITS 12
#define HWGEN_VEC_ROW_PARAMETER_SIGNED 0
#define HWGEN_VEC_ROW_PARAMETER_MINIMUM 0
#define HWGEN_VEC_ROW_PARAMETER_MAXIMUM 4095
/* the scales are multiplied by 2**shift */
#define HWGEN_VEC_ROW_SHIFT_LOW_BIT 51
#define HWGEN_VEC_ROW_SHIFT_BITS 5
#define HWGEN_VEC_ROW_SHIFT_SIGNED 1
#define HWGEN_VEC_ROW_SHIFT_MINIMUM (-16)
#define HWGEN_VEC_ROW_SHIFT_MAXIMUM 15
static inline void hwgen_vec_row(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask, uint32_t
    keep, uint32_t keep_step, uint32_t digit, uint32_t parameter, int32_t shift)
{
    word[0] = UINT64_C(0x44)
        | ((uint64_t)keep & UINT64_C(0x1fff)) << 24
        | ((uint64_t)keep_step & UINT64_C(0x1)) << 37
        | ((uint64_t)digit & UINT64_C(0x1)) << 38
        | ((uint64_t)parameter & UINT64_C(0xfff)) << 39
        | ((uint64_t)shift & UINT64_C(0x1f)) << 51
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0);
}

/* store.window: Sets the pitches of the engine's next runs of several rows. */
#define HWGEN_STORE_WINDOW_OPCODE 0x05
/* from one row to the next in DRAM, bytes; a multiple of the bus width */
#define HWGEN_STORE_WINDOW_ROW_PITCH_LOW_BIT 24
#define HWGEN_STORE_WINDOW_ROW_PITCH_BITS 28
#define HWGEN_STORE_WINDOW_ROW_PITCH_SIGNED 0
#define HWGEN_STORE_WINDOW_ROW_PITCH_MINIMUM 0
#define HWGEN_STORE_WINDOW_ROW_PITCH_MAXIMUM 268435455
/* from one row to the next in the buffer, words of activations */
#define HWGEN_STORE_WINDOW_SOURCE_PITCH_LOW_BIT 52
#define HWGEN_STORE_WINDOW_SOURCE_PITCH_BITS 20
#define HWGEN_STORE_WINDOW_SOURCE_PITCH_SIGNED 0
#define HWGEN_STORE_WINDOW_SOURCE_PITCH_MINIMUM 0
#define HWGEN_STORE_WINDOW_SOURCE_PITCH_MAXIMUM 1048575
static inline void hwgen_store_window(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint32_t row_pitch, uint32_t source_pitch)
{
    word[0] = UINT64_C(0x05)
        | ((uint64_t)row_pitch & UINT64_C(0xfffffff)) << 24
        | ((uint64_t)source_pitch & UINT64_C(0xfffff)) << 52
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)source_pitch & UINT64_C(0xfffff)) >> 12;
}

/* store.run: Moves rows of activations to DRAM. */
#define HWGEN_STORE_RUN_OPCODE 0x15
/* DRAM byte address; a multiple of the bus width */
#define HWGEN_STORE_RUN_ADDRESS_LOW_BIT 24
#define HWGEN_STORE_RUN_ADDRESS_BITS 40
#define HWGEN_STORE_RUN_ADDRESS_SIGNED 0
#define HWGEN_STORE_RUN_ADDRESS_MINIMUM 0
#define HWGEN_STORE_RUN_ADDRESS_MAXIMUM UINT64_C(1099511627775)
/* first word of activations; at a multiple of the bus width */
#define HWGEN_STORE_RUN_SOURCE_LOW_BIT 64
#define HWGEN_STORE_RUN_SOURCE_BITS 20
#define HWGEN_STORE_RUN_SOURCE_SIGNED 0
#define HWGEN_STORE_RUN_SOURCE_MINIMUM 0
#define HWGEN_STORE_RUN_SOURCE_MAXIMUM 1048575
/* bytes per row */
#define HWGEN_STORE_RUN_RUN_BYTES_LOW_BIT 84
#define HWGEN_STORE_RUN_RUN_BYTES_BITS 20
#define HWGEN_STORE_RUN_RUN_BYTES_SIGNED 0
#define HWGEN_STORE_RUN_RUN_BYTES_MINIMUM 1
#define HWGEN_STORE_RUN_RUN_BYTES_MAXIMUM 1048575
/* rows */
#define HWGEN_STORE_RUN_RUN_COUNT_LOW_BIT 104
#define HWGEN_STORE_RUN_RUN_COUNT_BITS 14
#define HWGEN_STORE_RUN_RUN_COUNT_SIGNED 0
#define HWGEN_STORE_RUN_RUN_COUNT_MINIMUM 1
#define HWGEN_STORE_RUN_RUN_COUNT_MAXIMUM 16383
static inline void hwgen_store_run(uint64_t word[2], uint8_t wait_mask, uint8_t signal_mask,
    uint64_t address, uint32_t source, uint32_t run_bytes, uint32_t run_count)
{
    word[0] = UINT64_C(0x15)
        | ((uint64_t)address & UINT64_C(0xffffffffff)) << 24
        | ((uint64_t)wait_mask & UINT64_C(0xff)) << 8
        | ((uint64_t)signal_mask & UINT64_C(0xff)) << 16;
    word[1] = UINT64_C(0)
        | ((uint64_t)source & UINT64_C(0xfffff))
        | ((uint64_t)run_bytes & UINT64_C(0xfffff)) << 20
        | ((uint64_t)run_count & UINT64_C(0x3fff)) << 40;
}

#endif

#endif
