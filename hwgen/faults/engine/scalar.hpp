// The design alone, one value at a time: the fault-free run, kept cycle by cycle.

#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "fault.hpp"
#include "program.hpp"

namespace faults {

inline u64 sign_extended(u64 x, u8 bits) {
    const u64 sign = u64{1} << (bits - 1);
    return (x ^ sign) - sign;
}

/// Result of an operation that reads no memory.
template <typename Get> u64 compute(const Program& p, const Op& op, Get get) {
    const u8 bits = op.immediate_bits;
    const u64 mask = ones(p.width[op.result]);
    switch (op.code) {
        case NOT: return ~get(op.a) & mask;
        case AND: return get(op.a) & get(op.b);
        case OR: return get(op.a) | get(op.b);
        case XOR: return get(op.a) ^ get(op.b);
        case MUX: return get(op.c) ? get(op.b) : get(op.a);
        case ADD: return (get(op.a) + get(op.b)) & mask;
        case SUB: return (get(op.a) - get(op.b)) & mask;
        case MUL: return (get(op.a) * get(op.b)) & mask;
        case EQUAL: return get(op.a) == get(op.b);
        case LESS: return get(op.a) < get(op.b);
        case LESS_SIGNED:
            return static_cast<int64_t>(sign_extended(get(op.a), bits)) < static_cast<int64_t>(sign_extended(get(op.b), bits));
        case ANY: return get(op.a) != 0;
        case PARITY: return static_cast<u64>(__builtin_parityll(get(op.a)));
        case SHIFT_LEFT: { const u64 n = get(op.b); return n < 64 ? get(op.a) << n & mask : 0; }
        case SHIFT_RIGHT: { const u64 n = get(op.b); return n < 64 ? get(op.a) >> n & mask : 0; }
        case SHIFT_RIGHT_SIGNED: {
            const u64 n = std::min<u64>(get(op.b), 63);
            return static_cast<u64>(static_cast<int64_t>(sign_extended(get(op.a), bits)) >> n) & mask;
        }
        case SLICE: return get(op.a) >> bits & mask;
        case SIGN_EXTEND: return sign_extended(get(op.a), bits) & mask;
        case CONCAT: {
            u64 x = 0;
            for (u32 i = 0; i < op.pieces; ++i) {
                const Piece& piece = p.pieces[op.first_piece + i];
                x |= get(piece.value) << piece.shift;
            }
            return x;
        }
        default: return 0;
    }
}

constexpr int RESET_CYCLES = 4;

/// A word that was written, for those who want the contents of a memory at another time.
struct Written {
    u32 cycle;
    u64 word;  // from the next cycle on
};

/// The fault-free run.
///
/// `Bench` drives the inputs and takes the outputs: `drive(u64* inputs)` at the start of a cycle, then
/// `edge(const u64* outputs)` at its end, until `done()`. It is copied once per cycle.
template <typename Bench> struct Golden {
    const Program& program;
    std::vector<u8> frames;
    std::vector<Bench> benches;  // at the start of every cycle, and of the one after the last
    std::vector<std::vector<std::vector<Written>>> history;  // by memory and row
    u32 cycles = 0;
    u64 contents = 0;  // digest of external memories at the end

    Golden(const Program& p, Bench bench, u32 limit)
        : program(p), writes(p.memories.size()), value(p.known), memory(p.memories.size()) {
        for (u32 m = 0; m < memory.size(); ++m) {
            memory[m] = p.memories[m].init;
            memory[m].resize(p.memories[m].depth);
            history.emplace_back(p.memories[m].depth);
        }
        for (const Register& r : p.registers) value[r.q] = r.init;
        std::vector<u64> in(p.inputs.size()), out(p.outputs.size());
        in[p.reset] = 1;
        for (int i = 0; i < RESET_CYCLES; ++i) {
            evaluate(in);
            edge();
        }
        in[p.reset] = 0;
        base = memory;
        for (; cycles < limit && !bench.done(); ++cycles) {
            benches.push_back(bench);
            bench.drive(in.data());
            evaluate(in);
            keep();
            for (u32 i = 0; i < out.size(); ++i) out[i] = value[p.outputs[i]];
            for (const auto& [m, row] : edge()) {
                auto& list = history[m][row];
                if (!list.empty() && list.back().cycle == cycles) list.pop_back();
                list.push_back({cycles, memory[m][row]});
                writes[m].emplace_back(cycles, static_cast<u32>(row));
            }
            bench.edge(out.data());
        }
        benches.push_back(bench);
        keep();  // registers after the last edge, for faults that strike at the very end
        for (u32 m = 0; m < memory.size(); ++m) {
            if (!p.memories[m].external) continue;
            for (u64 row = 0; row < memory[m].size(); ++row) contents += mixed(place_of(p.memories[m].number, row), memory[m][row]);
        }
    }

    const u8* frame(u32 cycle) const { return frames.data() + std::size_t{cycle} * program.frame; }

    /// A word of a memory at the start of a cycle; zero beyond its end.
    u64 word(u32 memory, u64 row, u32 cycle) const {
        if (row >= history[memory].size()) return 0;
        const auto& list = history[memory][row];
        auto after = std::partition_point(list.begin(), list.end(), [&](const Written& w) { return w.cycle < cycle; });
        if (after != list.begin()) return (after - 1)->word;
        return base[memory][row];
    }

    /// Rows of a memory that were written in a cycle or after it, each once.
    template <typename F> void each_written_since(u32 memory, u32 cycle, F visit) const {
        const auto& log = writes[memory];
        std::vector<u32> rows;
        for (auto at = std::lower_bound(log.begin(), log.end(), std::make_pair(cycle, u32{0})); at != log.end(); ++at) {
            rows.push_back(at->second);
        }
        std::sort(rows.begin(), rows.end());
        rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
        for (u32 row : rows) visit(row);
    }

  private:
    std::vector<std::vector<std::pair<u32, u32>>> writes;  // by memory: cycle and row
    std::vector<u64> value;
    std::vector<std::vector<u64>> memory, base;

    void evaluate(const std::vector<u64>& in) {
        const Program& p = program;
        for (u32 i = 0; i < in.size(); ++i) value[p.inputs[i]] = in[i] & ones(p.width[p.inputs[i]]);
        for (const Op& op : p.ops) {
            if (op.code == READ) {
                const std::vector<u64>& rows = memory[op.b];
                const u64 row = value[op.a];
                value[op.result] = row < rows.size() ? rows[row] : 0;
            } else {
                value[op.result] = compute(p, op, [&](u32 v) { return value[v]; });
            }
        }
    }
    /// Ends a cycle; gives the rows that were written.
    std::vector<std::pair<u32, u64>> edge() {
        const Program& p = program;
        std::vector<std::pair<u32, u64>> written;
        std::vector<u64> next(p.registers.size());
        for (u32 i = 0; i < next.size(); ++i) next[i] = value[p.registers[i].d];
        for (u32 m = 0; m < memory.size(); ++m) {
            for (const WritePort& port : p.memories[m].writes) {
                const u64 row = value[port.address];
                if (!value[port.enable] || row >= memory[m].size()) continue;
                memory[m][row] = value[port.data];
                written.emplace_back(m, row);
            }
        }
        for (u32 i = 0; i < next.size(); ++i) value[p.registers[i].q] = next[i];
        return written;
    }
    void keep() {
        frames.resize(frames.size() + program.frame);
        u8* at = frames.data() + frames.size() - program.frame;
        for (u32 v = 0; v < value.size(); ++v) {
            if (!program.constant[v]) program.store(at, v, value[v]);
        }
    }
};

}  // namespace faults
