// What Python hands to the machine and gets back: plain structs of 64-bit numbers and arrays, nothing to keep.

#pragma once

#include <cstdint>

namespace machine {

constexpr int ENGINES = 6;
constexpr int LOAD = 0, STORE = 5;  // engines with a model of their own; all others run for a known time
constexpr int CONTROL = 15;

enum Kind : uint8_t { SINGLE = 0, FIXED = 1, LOAD_RUN = 2, STORE_RUN = 3, HALT = 4, FENCE = 5, ILLEGAL = 6 };

/// How the program ended. HUNG cannot happen with a memory that answers; it stands for a defect of the model.
enum Outcome : int64_t { FINISHED = 0, WRONG = 1, OVERFLOW = 2, DEADLOCK = 3, TRUNCATED = 4, HUNG = 5 };

struct Settings {
    int64_t present;  // mask of the engines that there are
    int64_t queue_depth, token_bits, bus_bytes, lanes, burst_beats, outstanding, fetch_beats, run_fifo, store_fifo,
        buffer_latency, far;
    int64_t latency, interval, depth, write_latency;  // of the memory
    int64_t skip;                                     // leave out cycles in which nothing but time moves
};

struct LoadRun {
    int64_t address, run_bytes, run_count, windowed, row_pitch, x_step, row_bytes, row_count, x_start, y_start,
        group_count;
};

struct StoreRun {
    int64_t address, run_bytes, run_count, row_pitch;
};

/// One entry per instruction; `run` is the entry of `loads` or `stores`.
struct Program {
    int64_t count;
    const uint8_t *engine, *kind, *wait, *signal;
    const int64_t *duration, *run;
    const LoadRun* loads;
    const StoreRun* stores;
};

struct Result {
    int64_t *dispatched, *starts, *ends, *waited, *stalled;  // per instruction
    int64_t outcome, cycle, drained, position;
    int64_t read_beats, read_bursts, write_beats, write_bursts;
    int64_t steps;  // cycles that were not left out
    int64_t run[ENGINES], idle[ENGINES], wait[ENGINES], stall[ENGINES];
    int64_t missing[ENGINES], head[ENGINES];  // in the cycle that ended the program
};

}  // namespace machine

extern "C" {
/// Runs a program; 0, or 1 if there is not enough memory.
int machine_run(const machine::Settings* settings, const machine::Program* program, machine::Result* result);
/// Sizes of the structs above in bytes, for the other side to compare.
void machine_sizes(int64_t* sizes);
}
