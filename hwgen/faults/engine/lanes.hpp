// Many faulty copies of the design beside the fault-free run: a lane per fault, and only what differs is computed.
//
// A value differs in a cycle if it does so in any lane; then its lanes are kept, otherwise its number is in the stored
// run. An operation is computed only if an operand differs. So the cost of a batch is the part of the design that its
// faults reach, and a batch is over when nothing differs any more. Lanes whose faults change when the design hands over
// data, or spread over a large part of it, leave the batch: they are simulated whole (whole.hpp), from the cycle they left.

#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "fault.hpp"
#include "rows.hpp"
#include "scalar.hpp"

namespace faults {

/// A faulty copy at the start of a cycle, to go on alone.
template <typename Bench> struct Escape {
    u32 number;  // of the fault in the caller's list
    const Fault* fault;
    u32 cycle;
    u64 exchanged;  // of the digest, for words that differed before
    u32 wrong;
    u32 flag;  // first cycle in which it reported a fault
    Bench bench;
    std::vector<std::pair<u32, u64>> registers;                    // those that differ
    std::vector<std::pair<std::pair<u32, u32>, u64>> memories;     // (memory, row), those that differ
};

struct Effort {
    u64 operations = 0, cycles = 0, batches = 0, escapes = 0;
};

template <int L, typename Bench> class Lanes {
    using K = Kernels<L>;
    static constexpr int PLANES = L / 64;

  public:
    Lanes(const Program& program, const Golden<Bench>& golden) : p_(program), golden_(golden), rows_(program) {
        const std::size_t values = p_.width.size();
        std::size_t total = 0;
        auto room = [&](u32 v) {
            const std::size_t at = total;
            total += (K::size(p_.type(v)) + 63) / 64 * 64;
            return at;
        };
        std::vector<std::size_t> first(values, 0), second(values, 0);
        is_state_.assign(values, 0);
        for (const Register& r : p_.registers) is_state_[r.q] = 1;
        for (u32 v = 0; v < values; ++v) {
            if (p_.constant[v]) continue;
            first[v] = room(v);
            second[v] = is_state_[v] ? room(v) : first[v];
        }
        arena_.reset(static_cast<u8*>(std::aligned_alloc(64, total + 64)));
        for (u32 v = 0; v < values; ++v) {
            lanes_[0].push_back(arena_.get() + first[v]);
            lanes_[1].push_back(arena_.get() + second[v]);
        }
        differs_.assign(values, 0);
        in_state_.assign(values, 0);
        dirty_.assign((p_.ops.size() + 63) / 64, 0);
        touched_.assign(p_.memories.size(), 0);
        maker_.assign(values, NONE);
        for (u32 i = 0; i < p_.ops.size(); ++i) maker_[p_.ops[i].result] = i;
        reports_.assign(values, 0);
        std::vector<std::pair<u32, u32>> shown;
        for (u32 i = 0; i < p_.outputs.size(); ++i) {
            shown.emplace_back(p_.outputs[i], i);
            if (is_state_[p_.outputs[i]] && golden_.benches[0].reports(i)) reports_[p_.outputs[i]] = 1;
        }
        output_of_ = Lists(values, shown);
    }

    /// Simulate up to L faults; `numbers` are their places in `results`. Lanes that leave go to `escapes`.
    void run(const Fault* const* faults, const u32* numbers, int count, Result* results,
             std::vector<Escape<Bench>>& escapes, Effort& effort) {
        faults_ = faults;
        count_ = count;
        std::fill(std::begin(exchanged_), std::end(exchanged_), 0);
        std::fill(std::begin(wrong_), std::end(wrong_), 0);
        std::fill(std::begin(flag_), std::end(flag_), NONE);
        std::fill(std::begin(mended_), std::end(mended_), u8{0});
        for (int k = 0; k < PLANES; ++k) gone_[k] = 0;
        u32 first = ~u32{0}, last = 0;
        for (int i = 0; i < count; ++i) {
            first = std::min(first, faults[i]->start);
            last = std::max(last, faults[i]->over());
        }
        ++effort.batches;
        waiting_.resize(static_cast<std::size_t>(count));
        std::iota(waiting_.begin(), waiting_.end(), 0);
        std::sort(waiting_.begin(), waiting_.end(), [&](int a, int b) { return faults[a]->start > faults[b]->start; });
        active_.clear();
        u32 t = first;
        busy_ = 0;
        for (; t < golden_.cycles; ++t) {
            frame_ = golden_.frame(t);
            side_ = t & 1;
            for (; !waiting_.empty() && faults[waiting_.back()]->start <= t; waiting_.pop_back()) active_.push_back(waiting_.back());
            const bool reading = columns(t);
            for (u32 v : marked_) differs_[v] = 0;
            marked_.clear();
            const u64 computed = state_.empty() && rows_.empty() && !reading ? 0 : evaluate(t);
            effort.operations += computed;
            ++effort.cycles;
            u64 leaving[PLANES] = {};
            bool leave = outputs(t, leaving);
            busy_ = computed > p_.ops.size() / CROWDED ? busy_ + 1 : 0;
            if (busy_ > PATIENT) {
                busy_ = 0;
                leave |= crowded(leaving);
            }
            for (int k = 0; k < PLANES; ++k) leaving[k] &= ~gone_[k];
            give(leaving);
            if (leave) {
                depart(t, leaving, numbers, escapes, effort);
            }
            edge(t);
            strike(t);
            if (leave) scrub(t + 1, leaving);
            if (t + 1 >= last && state_.empty() && rows_.empty()) break;
        }
        finish(t, numbers, results);
    }

  protected:
    static constexpr u64 CROWDED = 6;   // a part of the operations that is more than a few faults should need
    static constexpr int PATIENT = 8;   // cycles of that before lanes are looked at
    static constexpr u32 MANY = 24;     // registers that differ in a lane that is too much

    u8* lanes(u32 v) { return lanes_[side_][v]; }
    u64 fault_free(u32 v) const { return p_.load(frame_, v); }
    Operand operand(u32 v) { return differs_[v] ? Operand{lanes(v), 0} : Operand{nullptr, fault_free(v)}; }

    void mark(u32 v) {
        differs_[v] = 1;
        marked_.push_back(v);
        for (u32 op : p_.readers[v]) dirty_[op / 64] |= u64{1} << (op % 64);
    }

    /// The combinational part of a cycle: number of operations computed.
    u64 evaluate(u32 t) {
        u64 computed = 0;
        for (u32 v : state_) mark(v);
        for (u32 m = 0; !rows_.empty() && m < p_.memories.size(); ++m) {
            if (rows_.of(m).empty()) continue;
            for (u32 op : p_.reads[m]) {
                const u64 row = fault_free(p_.ops[op].a);
                if (rows_.find(m, row)) dirty_[op / 64] |= u64{1} << (op % 64);
            }
        }
        std::size_t transient = 0;
        for (const Transient& one : transients_) dirty_[one.op / 64] |= u64{1} << (one.op % 64);
        for (u32 op : column_reads_) dirty_[op / 64] |= u64{1} << (op % 64);
        for (std::size_t w = 0; w < dirty_.size(); ++w) {
            while (dirty_[w]) {
                const u32 index = static_cast<u32>(w * 64) + static_cast<u32>(__builtin_ctzll(dirty_[w]));
                dirty_[w] &= dirty_[w] - 1;
                const Op& op = p_.ops[index];
                const u64 golden = fault_free(op.result);
                ++computed;
                const bool struck_now = transient < transients_.size() && transients_[transient].op == index;
                bool other = false;
                if (op.code == READ) {
                    other = read(t, op, golden);
                } else if (!struck_now || any_differs(op)) {
                    other = K::run(p_, op, lanes(op.result), golden, [&](u32 v) { return operand(v); });
                }
                if (struck_now) {
                    const Type type = p_.type(op.result);
                    if (!other) K::fill(type, lanes(op.result), golden);
                    for (; transient < transients_.size() && transients_[transient].op == index; ++transient) {
                        const Transient& one = transients_[transient];
                        const u64 word = K::lane(type, lanes(op.result), one.lane);
                        K::set(type, lanes(op.result), one.lane, struck(word, *one.target));
                    }
                    u64 differing[PLANES];
                    other = K::differing(type, lanes(op.result), golden, differing);
                }
                if (other) mark(op.result);
            }
        }
        return computed;
    }

    bool any_differs(const Op& op) const {
        bool any = false;
        p_.operands(op, [&](u32 v) { any = any || differs_[v]; });
        return any;
    }

    /// Reads of memories whose data are struck in this cycle, and operations whose results are.
    bool columns(u32 t) {
        column_reads_.clear();
        transients_.clear();
        for (int i : active_) {
            for (u32 k = 0; k < faults_[i]->count; ++k) {
                const Target& target = faults_[i]->targets[k];
                if (target.memory == 3 && !gone(i) && faults_[i]->active(t)) {
                    transients_.push_back({maker_[target.index], i, &target});
                }
                if (target.memory != 2 || gone(i) || !faults_[i]->active(t)) continue;
                for (u32 op : p_.reads[target.index]) column_reads_.push_back(op);
            }
        }
        std::sort(transients_.begin(), transients_.end(), [](const Transient& a, const Transient& b) { return a.op < b.op; });
        return !column_reads_.empty() || !transients_.empty();
    }
    bool gone(int lane) const { return gone_[lane / 64] >> (lane % 64) & 1; }

    bool read(u32 t, const Op& op, u64 golden) {
        const u32 m = op.b;
        const Type type = p_.type(op.result);
        u8* out = lanes(op.result);
        const u64 row = fault_free(op.a);
        if (const u8* own = rows_.find(m, row)) K::copy(type, out, own);
        else K::fill(type, out, golden);
        if (differs_[op.a]) {
            u64 other[PLANES];
            K::differing(p_.type(op.a), lanes(op.a), row, other);
            each_lane(other, [&](int i) {
                const u64 address = K::lane(p_.type(op.a), lanes(op.a), i);
                const u8* own = rows_.find(m, address);
                K::set(type, out, i, own ? K::lane(type, own, i) : golden_.word(m, address, t));
            });
        }
        if (!column_reads_.empty()) {
            for (int i : active_) {
                for (u32 k = 0; k < faults_[i]->count; ++k) {
                    const Target& target = faults_[i]->targets[k];
                    if (target.memory != 2 || target.index != m || gone(i) || !faults_[i]->active(t)) continue;
                    K::set(type, out, i, struck(K::lane(type, out, i), target));
                }
            }
        }
        u64 other[PLANES];
        return K::differing(type, out, golden, other);
    }

    template <typename F> static void each_lane(const u64* plane, F f) {
        for (int k = 0; k < PLANES; ++k) {
            for (u64 bits = plane[k]; bits; bits &= bits - 1) f(64 * k + __builtin_ctzll(bits));
        }
    }

    /// Words given that differ; true if lanes must leave.
    bool outputs(u32 t, u64* leaving) {
        bool leave = false, known = false;
        for (u32 v : marked_) {
            for (u32 output : output_of_[v]) {
                if (!known) {
                    out_.resize(p_.outputs.size());
                    for (u32 i = 0; i < out_.size(); ++i) out_[i] = fault_free(p_.outputs[i]);
                    known = true;
                }
                const Bench& bench = golden_.benches[t];
                const Effect effect = bench.effect(output, out_.data());
                if (effect == IGNORED) continue;
                u64 other[PLANES];
                const u64 golden = fault_free(v);
                if (!K::differing(p_.type(v), lanes(v), golden, other)) continue;
                if (effect == MENDED) {
                    each_lane(other, [&](int i) { mended_[i] = 1; });
                    continue;
                }
                if (effect == FLAG) {
                    each_lane(other, [&](int i) { flag_[i] = std::min(flag_[i], t); });
                    continue;
                }
                if (effect == FLOW) {
                    for (int k = 0; k < PLANES; ++k) leaving[k] |= other[k];
                    leave = true;
                    continue;
                }
                const u64 place = bench.place(output);
                each_lane(other, [&](int i) { given_.push_back({i, place, K::lane(p_.type(v), lanes(v), i), golden}); });
            }
        }
        return leave;
    }

    /// Takes the words that this cycle gave; a lane that leaves repeats the cycle alone, and gives them there.
    void give(const u64* leaving) {
        for (const Given& g : given_) {
            if (leaving[g.lane / 64] >> (g.lane % 64) & 1) continue;
            exchanged_[g.lane] += mixed(g.place, g.word) - mixed(g.place, g.golden);
            ++wrong_[g.lane];
        }
        given_.clear();
    }

    /// Lanes in which very much differs.
    bool crowded(u64* leaving) {
        u32 many[L] = {};
        for (u32 v : state_) {
            u64 other[PLANES];
            K::differing(p_.type(v), lanes(v), fault_free(v), other);
            each_lane(other, [&](int i) { ++many[i]; });
        }
        bool leave = false;
        for (int i = 0; i < L; ++i) {
            if (many[i] < MANY) continue;
            leaving[i / 64] |= u64{1} << (i % 64);
            leave = true;
        }
        return leave;
    }

    /// Copies of lanes at the start of the cycle, for those who go on with them.
    void depart(u32 t, const u64* leaving, const u32* numbers, std::vector<Escape<Bench>>& escapes, Effort& effort) {
        each_lane(leaving, [&](int i) {
            Escape<Bench> e{numbers[i], faults_[i], t, exchanged_[i], wrong_[i], flag_[i], golden_.benches[t], {}, {}};
            e.bench.exchange(exchanged_[i]);
            e.bench.report(flag_[i]);
            if (mended_[i]) e.bench.mend();
            for (u32 v : state_) {
                const u64 word = K::lane(p_.type(v), lanes(v), i);
                if (word != fault_free(v)) e.registers.emplace_back(v, word);
            }
            for (u32 m = 0; m < p_.memories.size(); ++m) {
                for (u32 row : rows_.of(m)) {
                    const u64 word = K::lane(rows_.type(m), rows_.find(m, row), i);
                    if (word != golden_.word(m, row, t)) e.memories.push_back({{m, row}, word});
                }
            }
            escapes.push_back(std::move(e));
            gone_[i / 64] |= u64{1} << (i % 64);
            ++effort.escapes;
        });
    }

    u8* row_lanes(u32 m, u32 row, u64 content) { return rows_.at(m, row, content); }
    /// Gives a row back if no lane differs from the fault-free run at the start of a cycle.
    void settle(u32 m, u32 row, u32 cycle) {
        if (rows_.find(m, row)) rows_.settle(m, row, golden_.word(m, row, cycle));
    }

    /// Registers and memories at the end of a cycle.
    void edge(u32 t) {
        next_.clear();
        // Memories first: they look at values of this cycle, which the registers' lanes still are.
        for (u32 v : marked_) {
            for (u32 m : p_.stores[v]) touched_[m] = 1;
        }
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            if (touched_[m] || !rows_.of(m).empty()) write(t, m);
            touched_[m] = 0;
        }
        for (u32 v : marked_) {
            for (u32 r : p_.loads[v]) {
                const u32 q = p_.registers[r].q;
                // A flag stays set: once that is known, the lane goes on as if it were not, and can end.
                if (reports_[q]) {
                    report(t + 1, v, q);
                    continue;
                }
                K::copy(p_.type(q), lanes_[~t & 1][q], lanes(v));
                next_.push_back(q);
            }
        }
        for (u32 q : state_) in_state_[q] = 0;
        for (u32 q : next_) in_state_[q] = 1;
        std::swap(state_, next_);
    }

    /// Lanes whose flag is set in a cycle.
    void report(u32 cycle, u32 next, u32 q) {
        if (cycle >= golden_.cycles) return;
        u64 other[PLANES];
        K::differing(p_.type(q), lanes(next), fault_free(next), other);
        each_lane(other, [&](int i) { flag_[i] = std::min(flag_[i], cycle); });
    }

    void write(u32 t, u32 m) {
        const Memory& memory = p_.memories[m];
        const Type type = rows_.type(m);
        bool strays = false;
        for (const WritePort& port : memory.writes) strays |= differs_[port.enable] || differs_[port.address];
        changed_.clear();
        for (const WritePort& port : memory.writes) {
            const bool enabled = fault_free(port.enable) != 0;
            const u64 row = fault_free(port.address);
            if (!strays) {
                if (!enabled || row >= memory.depth) continue;
                if (!differs_[port.data] && !rows_.find(m, row)) continue;
                u8* to = row_lanes(m, static_cast<u32>(row), 0);
                if (differs_[port.data]) K::copy(type, to, lanes(port.data));
                else K::fill(type, to, fault_free(port.data));
                changed_.push_back(static_cast<u32>(row));
                continue;
            }
            const Operand enable = operand(port.enable), address = operand(port.address), data = operand(port.data);
            for (int i = 0; i < L; ++i) {
                if (!K::lane(PLANE, enable, i)) continue;
                const u64 own = K::lane(p_.type(port.address), address, i);
                if (own >= memory.depth) continue;
                u8* to = row_lanes(m, static_cast<u32>(own), golden_.word(m, own, t));
                K::set(type, to, i, K::lane(type, data, i));
                changed_.push_back(static_cast<u32>(own));
            }
            // Lanes that do not write where the fault-free run does keep what they had.
            if (enabled && row < memory.depth) {
                row_lanes(m, static_cast<u32>(row), golden_.word(m, row, t));
                changed_.push_back(static_cast<u32>(row));
            }
        }
        if (changed_.empty()) return;
        std::sort(changed_.begin(), changed_.end());
        changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
        for (u32 row : changed_) settle(m, row, t + 1);
    }

    /// Faults of this cycle, on what the next one begins with.
    void strike(u32 t) {
        for (int i : active_) {
            if (!faults_[i]->active(t) || gone(i)) continue;
            for (u32 k = 0; k < faults_[i]->count; ++k) {
                const Target& target = faults_[i]->targets[k];
                if (target.memory == 4) {
                    exchange(i, p_.registers[target.index].q, p_.registers[target.row].q, t);
                    continue;
                }
                if (target.memory >= 2) continue;
                if (target.memory) {
                    u8* to = row_lanes(target.index, target.row, golden_.word(target.index, target.row, t + 1));
                    const Type type = rows_.type(target.index);
                    K::set(type, to, i, struck(K::lane(type, to, i), target));
                    struck_rows_.push_back({target.index, target.row});
                    continue;
                }
                const u32 q = p_.registers[target.index].q;
                u8* to = coming(q, t);
                K::set(p_.type(q), to, i, struck(K::lane(p_.type(q), to, i), target));
            }
        }
        active_.erase(
            std::remove_if(active_.begin(), active_.end(), [&](int i) { return gone(i) || faults_[i]->over() <= t + 1; }),
            active_.end());
        for (const auto& [m, row] : struck_rows_) settle(m, row, t + 1);
        struck_rows_.clear();
        for (u32 q : struck_values_) keep_if_differs(q, t + 1);
        struck_values_.clear();
    }
    /// Lanes of a register at the start of the next cycle, kept from now on.
    u8* coming(u32 q, u32 t) {
        u8* to = lanes_[~t & 1][q];
        if (!in_state_[q]) {
            K::fill(p_.type(q), to, p_.load(golden_.frame(t + 1), q));
            state_.push_back(q);
            in_state_[q] = 1;
        }
        struck_values_.push_back(q);
        return to;
    }
    void exchange(int i, u32 one, u32 two, u32 t) {
        u8 *a = coming(one, t), *b = coming(two, t);
        const u64 word = K::lane(p_.type(one), a, i);
        K::set(p_.type(one), a, i, K::lane(p_.type(two), b, i));
        K::set(p_.type(two), b, i, word);
    }
    void keep_if_differs(u32 q, u32 cycle) {
        u64 other[PLANES];
        if (K::differing(p_.type(q), lanes_[cycle & 1][q], p_.load(golden_.frame(cycle), q), other)) return;
        if (!in_state_[q]) return;
        in_state_[q] = 0;
        state_.erase(std::find(state_.begin(), state_.end(), q));
    }

    /// Makes lanes fault-free again at the start of a cycle: they have left.
    void scrub(u32 cycle, const u64* leaving) {
        const u8* frame = golden_.frame(cycle);
        for (std::size_t n = state_.size(); n--;) {
            const u32 q = state_[n];
            const u64 golden = p_.load(frame, q);
            each_lane(leaving, [&](int i) { K::set(p_.type(q), lanes_[cycle & 1][q], i, golden); });
            keep_if_differs(q, cycle);
        }
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            const std::vector<u32> rows = rows_.of(m);
            for (u32 row : rows) {
                u8* to = rows_.find(m, row);
                const u64 golden = golden_.word(m, row, cycle);
                each_lane(leaving, [&](int i) { K::set(rows_.type(m), to, i, golden); });
                settle(m, row, cycle);
            }
        }
    }

    /// Results of the lanes that stayed; everything is as before the batch then.
    void finish(u32 t, const u32* numbers, Result* results) {
        const u32 end = std::min(t + 1, golden_.cycles);
        u64 latent[PLANES] = {};
        for (u32 q : state_) {
            if (reports_[q]) continue;
            u64 other[PLANES];
            K::differing(p_.type(q), lanes_[end & 1][q], p_.load(golden_.frame(end), q), other);
            for (int k = 0; k < PLANES; ++k) latent[k] |= other[k];
        }
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            for (u32 row : rows_.of(m)) {
                u64 other[PLANES];
                const u8* lanes = rows_.find(m, row);
                const u64 golden = golden_.word(m, row, end);
                K::differing(rows_.type(m), lanes, golden, other);
                if (p_.memories[m].external) {
                    const u64 place = place_of(p_.memories[m].number, row);
                    each_lane(other, [&](int i) {
                        exchanged_[i] += mixed(place, K::lane(rows_.type(m), lanes, i)) - mixed(place, golden);
                        ++wrong_[i];
                    });
                } else {
                    for (int k = 0; k < PLANES; ++k) latent[k] |= other[k];
                }
            }
        }
        rows_.clear();
        for (u32 v : marked_) differs_[v] = 0;
        marked_.clear();
        for (u32 q : state_) in_state_[q] = 0;
        state_.clear();
        const Bench& bench = golden_.benches.back();
        for (int i = 0; i < count_; ++i) {
            if (gone(i)) continue;
            Result& r = results[numbers[i]];
            r = {};
            r.digest = bench.digest() + golden_.contents + exchanged_[i];
            r.end = bench.end();
            r.wrong = wrong_[i];
            r.flag = std::min(bench.flag(), flag_[i]);
            r.mended = bench.mended() || mended_[i];
            r.status = bench.status();
            r.latent = latent[i / 64] >> (i % 64) & 1;
        }
    }

    struct Transient {
        u32 op;
        int lane;
        const Target* target;
    };
    struct Given {
        int lane;
        u64 place, word, golden;
    };
    struct Free {
        void operator()(u8* at) const { std::free(at); }
    };

    const Program& p_;
    const Golden<Bench>& golden_;
    std::unique_ptr<u8, Free> arena_;
    std::vector<u8*> lanes_[2];  // by the cycle's last bit; the same for values that are no registers
    std::vector<u8> is_state_, in_state_, differs_, touched_;
    std::vector<u8> reports_;  // by value: whether it is a register that only reports faults
    std::vector<u64> dirty_, out_;
    std::vector<u32> marked_, state_, next_, changed_, struck_values_, column_reads_;
    std::vector<std::pair<u32, u32>> struck_rows_;
    Lists output_of_;
    Rows<L> rows_;
    std::vector<Given> given_;
    std::vector<Transient> transients_;
    std::vector<u32> maker_;  // by value: the operation that gives it
    std::vector<int> waiting_, active_;  // lanes whose faults come, by their beginning; that have begun and are not over
    const Fault* const* faults_ = nullptr;
    const u8* frame_ = nullptr;
    int count_ = 0, side_ = 0, busy_ = 0;
    u64 exchanged_[L], gone_[PLANES];
    u32 wrong_[L], flag_[L];
    u8 mended_[L];
};

}  // namespace faults
