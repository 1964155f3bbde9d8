// One injected fault, and what came of it.

#pragma once

#include "program.hpp"

namespace faults {

/// What is struck: bits of a register or of words of a memory, or of what an operation gives. Masks of zeros strike nothing.
struct Target {
    // 0 a register, 1 a word of a memory, 2 what is read from a memory, at any address, 3 a value within its cycle,
    // 4 two registers that load what the other should
    u8 memory;
    u32 index, row;  // row: of a memory, or the other register
    u64 clear, flip;
};

/// Content at the end of an active cycle: (next & ~clear) ^ flip.
inline u64 struck(u64 next, const Target& target) { return (next & ~target.clear) ^ target.flip; }

struct Fault {
    const Target* targets;
    u32 count;
    u32 start, duration, period, on;

    bool active(u32 cycle) const {
        return cycle >= start && cycle - start < duration && (cycle - start) % period < on;
    }
    /// The first cycle after the last active one.
    u32 over() const { return duration > ~u32{0} - start ? ~u32{0} : start + duration; }
};

/// What an output of the design means to its bench in a cycle: nothing, a word that is given, when things happen, or that a
/// fault was detected, or corrected.
enum Effect : u8 { IGNORED, DATA, FLOW, FLAG, MENDED };

constexpr u32 NONE = ~u32{0};

/// Cycles that a run goes on after it broke a rule, if the design has an output that reports faults: what it saw of the fault
/// takes two cycles to get there.
constexpr u32 LATE = 4;

enum Status : u8 { FINISHED, HUNG, BROKE };  // broke a rule of its interface

struct Result {
    u64 digest;      // of everything that it gave
    u32 end;         // cycles until it was done
    u32 wrong;       // words given that differ from the fault-free ones
    u32 flag;        // first cycle in which it reported an error; ~0 if it did not
    Status status;
    u8 latent;       // state differs at the end, or where the run was left
    u8 escaped;      // whether it was simulated alone: for statistics of the engine
    u8 mended;       // whether it reported that it corrected an error
};
static_assert(sizeof(Result) == 24, "as in engine.py");

/// Digest of a word at a place; digests of all words are added up, so that one can be exchanged for another.
inline u64 mixed(u64 place, u64 word) {
    u64 x = word + 0x9E3779B97F4A7C15 * (place + 1);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (x ^ (x >> 31)) * (2 * place + 1);
}

/// Place in that digest of a word of an external memory, by its number among these.
inline u64 place_of(u32 number, u64 row) { return u64{number} << 40 | row; }

}  // namespace faults
