// Upsets that come to the same. A bit that is wrong at the start of a cycle and only keeps its place in it, or moves to
// another bit, is the upset of that bit a cycle later; so is a row of a memory until it is read. Following such chains
// brings most upsets of a run together into few, or shows that they vanish. Every step is simulated, so this is exact.

#pragma once

#include <unordered_map>

#include "lanes.hpp"

namespace faults {

/// What differences become in one cycle of an otherwise fault-free run.
template <int L, typename Bench> class Probe : Lanes<L, Bench> {
    using Base = Lanes<L, Bench>;
    using K = Kernels<L>;
    static constexpr int PLANES = L / 64;
    using Base::frame_, Base::side_, Base::state_, Base::in_state_, Base::marked_, Base::differs_, Base::transients_,
        Base::column_reads_, Base::golden_, Base::p_, Base::maker_, Base::touched_, Base::output_of_, Base::reports_, Base::out_;

  public:
    /// A register that differs in a lane at the end of the cycle.
    struct Change {
        int lane;
        u32 reg;
        u64 flip;
    };
    using Base::Base;

    bool only_reports(u32 reg) const { return reports_[p_.registers[reg].q] != 0; }

    void begin(u32 cycle) {
        cycle_ = cycle;
        frame_ = golden_.frame(cycle);
        side_ = static_cast<int>(cycle & 1);
        transients_.clear();
        column_reads_.clear();
    }
    /// A bit of a register is wrong in a lane.
    void flip(int lane, u32 reg, u32 bit) {
        const u32 q = p_.registers[reg].q;
        u8* at = this->lanes(q);
        if (!in_state_[q]) {
            K::fill(p_.type(q), at, this->fault_free(q));
            state_.push_back(q);
            in_state_[q] = 1;
        }
        K::set(p_.type(q), at, lane, K::lane(p_.type(q), at, lane) ^ u64{1} << bit);
    }
    /// What an operation gives is wrong in a lane.
    void strike(int lane, const Target* target) { transients_.push_back({maker_[target->index], lane, target}); }

    /// Registers that differ then, and lanes in which anything else does: what the design gives, or a memory takes.
    const std::vector<Change>& look(u64* shown) {
        std::sort(transients_.begin(), transients_.end(), [](const auto& a, const auto& b) { return a.op < b.op; });
        this->evaluate(cycle_);
        changes_.clear();
        std::fill(shown, shown + PLANES, 0);
        bool known = false;
        for (u32 v : marked_) {
            u64 other[PLANES];
            if (output_of_[v].empty() && p_.stores[v].empty() && p_.loads[v].empty()) continue;
            if (!K::differing(p_.type(v), this->lanes(v), this->fault_free(v), other)) continue;
            for (u32 output : output_of_[v]) {
                if (!known) gather_outputs();
                known = true;
                if (golden_.benches[cycle_].effect(output, out_.data()) != IGNORED) add(shown, other);
            }
            for (u32 m : p_.stores[v]) touched_[m] = 1;
            for (u32 r : p_.loads[v]) {
                if (only_reports(r)) {
                    add(shown, other);
                    continue;
                }
                Base::each_lane(other, [&](int i) {
                    changes_.push_back({i, r, K::lane(p_.type(v), this->lanes(v), i) ^ this->fault_free(v)});
                });
            }
        }
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            if (touched_[m]) writes(m, shown);
            touched_[m] = 0;
        }
        for (u32 v : marked_) differs_[v] = 0;
        marked_.clear();
        for (u32 q : state_) in_state_[q] = 0;
        state_.clear();
        return changes_;
    }

  private:
    static void add(u64* to, const u64* planes) {
        for (int k = 0; k < PLANES; ++k) to[k] |= planes[k];
    }
    void gather_outputs() {
        out_.resize(p_.outputs.size());
        for (u32 i = 0; i < out_.size(); ++i) out_[i] = this->fault_free(p_.outputs[i]);
    }
    /// Lanes in which a memory takes another word, or at another address, or not as without a fault.
    void writes(u32 m, u64* shown) {
        for (const WritePort& port : p_.memories[m].writes) {
            for (u32 v : {port.enable, port.address, port.data}) {
                if (!differs_[v] || (v != port.enable && !this->fault_free(port.enable))) continue;
                u64 other[PLANES];
                if (K::differing(p_.type(v), this->lanes(v), this->fault_free(v), other)) add(shown, other);
            }
        }
    }

    u32 cycle_ = 0;
    std::vector<Change> changes_;
};

/// Faults that have the same result as one of them.
struct Group {
    Fault fault;
    Target target;
    u32 first;  // member; the others by `Groups::next`
};

struct Groups {
    std::vector<Group> groups;
    std::vector<u32> next;  // by fault: another member, or NONE
    std::vector<u32> gone, latent;  // first members of those of which nothing is left, or only state at the end

    template <typename F> void each(u32 first, F visit) const {
        for (u32 i = first; i != NONE; i = next[i]) visit(i);
    }
};

template <int L, typename Bench> class Collapse {
    static constexpr int PLANES = L / 64;

  public:
    Collapse(const Program& program, const Golden<Bench>& golden) : p_(program), golden_(golden), probe_(program, golden) {
        for (const Register& r : p_.registers) {
            base_.push_back(bits_);
            bits_ += p_.width[r.q];
        }
        owner_.resize(bits_);
        for (u32 r = 0; r < base_.size(); ++r) {
            std::fill_n(owner_.begin() + base_[r], p_.width[p_.registers[r].q], r);
        }
        events_.resize(p_.memories.size());
        sorted_.assign(p_.memories.size(), 0);
    }

    Groups run(const std::vector<Fault>& faults) {
        begin(faults.size());
        std::unordered_map<u64, std::vector<u32>> others;  // by digest: groups
        for (u32 i = 0; i < faults.size(); ++i) {
            const Fault& fault = faults[i];
            const Target& target = fault.targets[0];
            const bool once = fault.duration == 1;
            if (once && fault.count == 1 && target.memory == 1 && !target.clear && !p_.memories[target.index].external) {
                row(i, fault, others);
            } else if (once && fault.count == 1 && target.memory == 0 && !target.clear && target.flip &&
                       !(target.flip & (target.flip - 1)) && !probe_.only_reports(target.index)) {
                upsets_.push_back({i, base_[target.index] + static_cast<u32>(__builtin_ctzll(target.flip)), fault.start});
            } else {
                join(i, fault, others);
            }
        }
        follow();
        return std::move(found_);
    }
    /// Upsets of a bit of a register each; bits are counted through all registers.
    Groups run(const u32* bits, const u32* cycles, u64 count) {
        begin(count);
        for (u32 i = 0; i < count; ++i) {
            if (probe_.only_reports(owner_[bits[i]])) alone(bits[i], cycles[i], i);
            else upsets_.push_back({i, bits[i], cycles[i]});
        }
        follow();
        return std::move(found_);
    }

  private:
    struct Upset {
        u32 number, bit, start;
    };
    struct Event {
        u32 row, cycle;
        bool read;
        bool operator<(const Event& b) const { return row != b.row ? row < b.row : cycle != b.cycle ? cycle < b.cycle : read > b.read; }
    };

    /// An upset of a row: what it is when the row is read for the first time.
    void row(u32 i, Fault fault, std::unordered_map<u64, std::vector<u32>>& others) {
        const Target& target = fault.targets[0];
        const std::vector<Event>& list = events(target.index);
        const auto next = std::lower_bound(list.begin(), list.end(), Event{target.row, fault.start + 1, true});
        if (next == list.end() || next->row != target.row) {
            (target.flip ? found_.latent : found_.gone).push_back(i);
        } else if (!next->read) {
            found_.gone.push_back(i);
        } else {
            fault.start = next->cycle - 1;
            join(i, fault, others);
        }
    }
    /// Rows read and written by the fault-free run; a row that is read and written in a cycle is read first.
    const std::vector<Event>& events(u32 m) {
        std::vector<Event>& list = events_[m];
        if (sorted_[m]) return list;
        sorted_[m] = 1;
        for (u32 t = 0; t < golden_.cycles; ++t) {
            const u8* frame = golden_.frame(t);
            for (u32 op : p_.reads[m]) list.push_back({static_cast<u32>(p_.load(frame, p_.ops[op].a)), t, true});
            for (const WritePort& port : p_.memories[m].writes) {
                if (p_.load(frame, port.enable)) list.push_back({static_cast<u32>(p_.load(frame, port.address)), t, false});
            }
        }
        std::sort(list.begin(), list.end());
        return list;
    }

    /// Faults that are equal to the last mask.
    void join(u32 i, const Fault& fault, std::unordered_map<u64, std::vector<u32>>& others) {
        u64 digest = mixed(fault.start, u64{fault.duration} << 32 | fault.period);
        for (u32 k = 0; k < fault.count; ++k) {
            const Target& t = fault.targets[k];
            digest += mixed(u64{t.memory} << 32 | t.index, t.row) * 3 + mixed(t.clear + 2 * k, t.flip);
        }
        for (u32 group : others[digest]) {
            Group& one = found_.groups[group];
            if (!equal(one.fault, fault)) continue;
            found_.next[i] = one.first;
            one.first = i;
            return;
        }
        others[digest].push_back(static_cast<u32>(found_.groups.size()));
        found_.groups.push_back({fault, {}, i});
    }
    static bool equal(const Fault& a, const Fault& b) {
        if (a.start != b.start || a.duration != b.duration || a.period != b.period || a.on != b.on || a.count != b.count) return false;
        return std::equal(a.targets, a.targets + a.count, b.targets, [](const Target& x, const Target& y) {
            return x.memory == y.memory && x.index == y.index && x.row == y.row && x.clear == y.clear && x.flip == y.flip;
        });
    }

    void begin(u64 faults) {
        found_ = {};
        found_.next.assign(faults, NONE);
        upsets_.clear();
        upsets_.reserve(faults);
    }
    /// A group of upsets of a bit, to be simulated.
    void alone(u32 bit, u32 start, u32 first) {
        const u32 reg = owner_[bit];
        found_.groups.push_back({{nullptr, 1, start, 1, 1, 1}, {0, reg, 0, 0, u64{1} << (bit - base_[reg])}, first});
    }

    /// Upsets of single bits, cycle by cycle.
    void follow() {
        const std::vector<Upset> upsets = by_start();
        Front now(bits_), next(bits_);
        std::size_t taken = 0;
        u32 cycle = upsets.empty() ? golden_.cycles : upsets[0].start + 1;
        for (; cycle <= golden_.cycles; ++cycle) {
            for (; taken < upsets.size() && upsets[taken].start + 1 == cycle; ++taken) {
                const Upset& one = upsets[taken];
                now.put(one.bit, one.number, one.number, found_);
            }
            if (cycle == golden_.cycles) {
                now.each([&](u32 bit) { found_.latent.push_back(now.head[bit]); });
                break;
            }
            u32 batch[L];
            int count = 0;
            now.each([&](u32 bit) {
                batch[count++] = bit;
                if (count == L) {
                    step(cycle, batch, count, now, next);
                    count = 0;
                }
            });
            if (count) step(cycle, batch, count, now, next);
            now.clear();
            std::swap(now, next);
            if (now.empty && taken == upsets.size()) break;
            if (now.empty) cycle = upsets[taken].start;
        }
    }

    /// Sorts by counting: there are many faults, and few cycles.
    std::vector<Upset> by_start() const {
        std::vector<u32> at(golden_.cycles + 1);
        std::vector<Upset> sorted(upsets_.size());
        for (const Upset& one : upsets_) ++at[one.start + 1];
        for (u32 t = 1; t < at.size(); ++t) at[t] += at[t - 1];
        for (const Upset& one : upsets_) sorted[at[one.start]++] = one;
        return sorted;
    }

    /// Groups of upsets by the bit that is wrong.
    struct Front {
        explicit Front(u32 bits) : head(bits), tail(bits), marks((bits + 63) / 64) {}
        void put(u32 bit, u32 first, u32 last, Groups& groups) {
            u64& word = marks[bit / 64];
            if (word >> (bit % 64) & 1) {
                groups.next[tail[bit]] = first;
            } else {
                head[bit] = first;
                word |= u64{1} << (bit % 64);
            }
            tail[bit] = last;
            empty = false;
        }
        template <typename F> void each(F visit) const {
            for (std::size_t w = 0; w < marks.size(); ++w) {
                for (u64 left = marks[w]; left; left &= left - 1) visit(static_cast<u32>(w * 64) + static_cast<u32>(__builtin_ctzll(left)));
            }
        }
        void clear() {
            std::fill(marks.begin(), marks.end(), 0);
            empty = true;
        }
        std::vector<u32> head, tail;
        std::vector<u64> marks;
        bool empty = true;
    };

    void step(u32 cycle, const u32* batch, int count, const Front& now, Front& next) {
        probe_.begin(cycle);
        for (int i = 0; i < count; ++i) probe_.flip(i, owner_[batch[i]], batch[i] - base_[owner_[batch[i]]]);
        u64 shown[PLANES];
        const auto& changes = probe_.look(shown);
        u32 many[L] = {}, to[L];
        for (const auto& change : changes) {
            many[change.lane] += change.flip & (change.flip - 1) ? 2 : 1;
            to[change.lane] = base_[change.reg] + static_cast<u32>(__builtin_ctzll(change.flip));
        }
        for (int i = 0; i < count; ++i) {
            const u32 bit = batch[i];
            if (shown[i / 64] >> (i % 64) & 1 || many[i] > 1) {
                alone(bit, cycle - 1, now.head[bit]);
            } else if (many[i]) {
                next.put(to[i], now.head[bit], now.tail[bit], found_);
            } else {
                found_.gone.push_back(now.head[bit]);
            }
        }
    }

    const Program& p_;
    const Golden<Bench>& golden_;
    Probe<L, Bench> probe_;
    std::vector<u32> base_, owner_;  // first bit of each register; register of each bit
    u32 bits_ = 0;
    std::vector<std::vector<Event>> events_;  // by memory
    std::vector<u8> sorted_;
    std::vector<Upset> upsets_;
    Groups found_;
};

}  // namespace faults
