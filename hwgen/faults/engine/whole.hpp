// Faulty copies that have little in common with the fault-free run: a lane per copy, each in its own cycle, everything
// computed. A copy that ends makes room for the next one.

#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "lanes.hpp"
#include "straight.hpp"

namespace faults {

/// Words of memories that a copy has and the fault-free run at its first cycle has not: a hash table, open addressing.
class Overlay {
  public:
    void clear() {
        if (used_) std::fill(keys_.begin(), keys_.end(), EMPTY);
        used_ = 0;
    }
    const u64* find(u64 key) const {
        if (!used_) return nullptr;
        for (std::size_t at = hash(key);; ++at) {
            const u64 there = keys_[at & (keys_.size() - 1)];
            if (there == key) return &words_[at & (keys_.size() - 1)];
            if (there == EMPTY) return nullptr;
        }
    }
    void set(u64 key, u64 word) {
        if (2 * (used_ + 1) > keys_.size()) grow();
        for (std::size_t at = hash(key);; ++at) {
            u64& there = keys_[at & (keys_.size() - 1)];
            if (there != key && there != EMPTY) continue;
            used_ += there == EMPTY;
            there = key;
            words_[at & (keys_.size() - 1)] = word;
            return;
        }
    }
    template <typename F> void each(F f) const {
        for (std::size_t i = 0; used_ && i < keys_.size(); ++i) {
            if (keys_[i] != EMPTY) f(keys_[i], words_[i]);
        }
    }

  private:
    static constexpr u64 EMPTY = ~u64{0};
    static std::size_t hash(u64 key) { return key * 0x9E3779B97F4A7C15 >> 20; }
    void grow() {
        std::vector<u64> keys(std::max<std::size_t>(64, 2 * keys_.size()), EMPTY), words(keys.size());
        std::swap(keys, keys_);
        std::swap(words, words_);
        used_ = 0;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (keys[i] != EMPTY) set(keys[i], words[i]);
        }
    }
    std::vector<u64> keys_, words_;
    std::size_t used_ = 0;
};

template <int L, typename Bench> class Whole {
    using K = Kernels<L>;
    static constexpr int PLANES = L / 64;

  public:
    Whole(const Program& program, const Golden<Bench>& golden, u32 limit)
        : p_(program), golden_(golden), limit_(limit), lane_(L) {
        std::size_t total = 0;
        std::vector<std::size_t> at;
        for (u32 v = 0; v < p_.width.size(); ++v) {
            at.push_back(total);
            total += (K::size(p_.type(v)) + 63) / 64 * 64;
        }
        arena_.reset(static_cast<u8*>(std::aligned_alloc(64, total + 64)));
        std::memset(arena_.get(), 0, total + 64);
        for (std::size_t a : at) values_.push_back(arena_.get() + a);
        for (u32 v = 0; v < values_.size(); ++v) {
            if (p_.constant[v]) K::fill(p_.type(v), values_[v], p_.known[v]);
        }
        for (const Op& op : p_.ops) {
            if (op.code == READ) asked_.emplace_back(K::size(p_.type(op.a)));
            steps_.add(p_, op, [&](u32 v) { return values_[v]; });
        }
        reports_.assign(p_.width.size(), 0);
        for (u32 i = 0; i < p_.outputs.size(); ++i) reports_[p_.outputs[i]] = golden_.benches[0].reports(i);
        wrote_.resize(p_.memories.size());
        look();
        maker_.assign(values_.size(), NONE);
        for (u32 i = 0; i < p_.ops.size(); ++i) maker_[p_.ops[i].result] = i;
        std::vector<u8> state(values_.size(), 0);
        for (const Register& r : p_.registers) state[r.q] = 1;
        next_.reserve(p_.registers.size());
        for (u32 i = 0; i < p_.registers.size(); ++i) {
            const Register& r = p_.registers[i];
            const Type type = p_.type(r.q);
            Move move{type, K::size(type), r.d, r.q, values_[r.d], vital_[i] != 0};
            if (state[r.d]) {  // a register behind a register: its next value has to be kept first
                next_.emplace_back(move.size);
                move.next = next_.back().data();
                staged_.push_back(move);
            }
            moves_.push_back(move);
        }
        for (Copy& copy : lane_) {
            copy.in.resize(p_.inputs.size());
            copy.was.resize(p_.inputs.size());
            copy.out.resize(p_.outputs.size());
        }
    }

    /// Whom to tell of every copy that ended: its number, its bench, and a way to read memories as the copy left them.
    using Observer = std::function<void(u32 number, const Bench& bench, const std::function<u64(u32 memory, u64 row)>& word)>;
    void observe(Observer observer) { observer_ = std::move(observer); }

    /// Simulate copies to their ends.
    void run(std::vector<Escape<Bench>>& escapes, Result* results) {
        std::size_t taken = 0, busy = 0;
        for (;;) {
            for (int i = 0; i < L && taken < escapes.size(); ++i) {
                if (lane_[i].escape) continue;
                enter(i, &escapes[taken++]);
                ++busy;
            }
            if (!busy) break;
            busy -= step(results);
        }
        escapes.clear();
    }

  private:
    struct Copy {
        const Escape<Bench>* escape = nullptr;
        Bench bench{};
        u32 cycle = 0, still = 0;
        std::vector<u64> in, was, out;
        Overlay overlay;
    };
    struct Free {
        void operator()(u8* at) const { std::free(at); }
    };

    struct Move {
        Type type;
        u32 size, d, q;
        u8* next;
        bool vital;
    };

    /// Registers and memories that can have a say in what the design does: all but those that only reports depend on.
    void look() {
        std::vector<u32> maker(p_.width.size(), NONE), waiting;
        std::vector<u8> seen(p_.width.size(), 0);
        for (u32 i = 0; i < p_.ops.size(); ++i) maker[p_.ops[i].result] = i;
        std::vector<u32> owner(p_.width.size(), NONE);
        for (u32 i = 0; i < p_.registers.size(); ++i) owner[p_.registers[i].q] = i;
        vital_.assign(p_.registers.size(), 0);
        vital_memory_.assign(p_.memories.size(), 0);
        auto need = [&](u32 v) {
            if (!seen[v]) waiting.push_back(v);
            seen[v] = 1;
        };
        auto need_memory = [&](u32 m) {
            if (vital_memory_[m]) return;
            vital_memory_[m] = 1;
            for (const WritePort& port : p_.memories[m].writes) {
                for (u32 v : {port.address, port.data, port.enable}) need(v);
            }
        };
        for (u32 i = 0; i < p_.outputs.size(); ++i) {
            if (golden_.benches[0].acts_on(i)) need(p_.outputs[i]);
        }
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            if (p_.memories[m].external) need_memory(m);
        }
        while (!waiting.empty()) {
            const u32 v = waiting.back();
            waiting.pop_back();
            if (owner[v] != NONE) {
                vital_[owner[v]] = 1;
                need(p_.registers[owner[v]].d);
            }
            if (maker[v] == NONE) continue;
            const Op& op = p_.ops[maker[v]];
            p_.operands(op, need);
            if (op.code == READ) need_memory(op.b);
        }
    }

    static u64 key(u32 m, u64 row) { return u64{m} << 40 | row; }

    template <typename F> static void each_lane(const u64* plane, F f) {
        for (int k = 0; k < PLANES; ++k) {
            for (u64 bits = plane[k]; bits; bits &= bits - 1) f(64 * k + __builtin_ctzll(bits));
        }
    }

    void enter(int i, const Escape<Bench>* e) {
        Copy& copy = lane_[i];
        copy.escape = e;
        copy.bench = e->bench;
        copy.cycle = e->cycle;
        copy.still = 0;
        copy.overlay.clear();
        const u8* frame = golden_.frame(e->cycle);
        // Inputs that nobody drives keep what they had.
        const u8* before = golden_.frame(e->cycle ? e->cycle - 1 : 0);
        for (u32 k = 0; k < p_.inputs.size(); ++k) copy.in[k] = e->cycle ? p_.load(before, p_.inputs[k]) : 0;
        copy.in[p_.reset] = 0;
        // The lane's pins are another copy's.
        for (u32 k = 0; k < p_.inputs.size(); ++k) {
            K::set(p_.type(p_.inputs[k]), values_[p_.inputs[k]], i, copy.in[k] & ones(p_.width[p_.inputs[k]]));
            copy.was[k] = copy.in[k];
        }
        for (const Register& r : p_.registers) {
            if (!p_.constant[r.q]) K::set(p_.type(r.q), values_[r.q], i, p_.load(frame, r.q));
        }
        for (const auto& [q, word] : e->registers) K::set(p_.type(q), values_[q], i, word);
        for (const auto& [place, word] : e->memories) copy.overlay.set(key(place.first, place.second), word);
        for (u32 k = 0; k < e->fault->count; ++k) {
            columns_ |= e->fault->targets[k].memory == 2;
            values_struck_ |= e->fault->targets[k].memory == 3;
        }
        for (auto& planes : wrote_) planes[static_cast<std::size_t>(i / 64)] |= u64{1} << (i % 64);
    }

    u64 content(const Copy& copy, u32 m, u64 row) const {
        if (row >= p_.memories[m].depth) return 0;
        const u64* own = copy.overlay.find(key(m, row));
        return own ? *own : golden_.word(m, row, copy.escape->cycle);
    }

    struct Transient {
        u32 op;
        int lane;
        const Target* target;
    };
    /// Operations whose results are struck in this cycle, in order.
    const std::vector<Transient>& transients() {
        transients_.clear();
        for (int i = 0; values_struck_ && i < L; ++i) {
            const Copy& copy = lane_[static_cast<std::size_t>(i)];
            if (!copy.escape || !copy.escape->fault->active(copy.cycle)) continue;
            const Fault& fault = *copy.escape->fault;
            for (u32 k = 0; k < fault.count; ++k) {
                if (fault.targets[k].memory == 3) transients_.push_back({maker_[fault.targets[k].index], i, &fault.targets[k]});
            }
        }
        std::sort(transients_.begin(), transients_.end(), [](const Transient& a, const Transient& b) { return a.op < b.op; });
        return transients_;
    }
    void run(std::size_t first, std::size_t end, std::size_t& port) {
        for (std::size_t i = first; i < end; ++i) {
            if (p_.ops[i].code == READ) read(p_.ops[i], asked_[port++]);
            else steps_.run(i);
        }
    }

    /// One cycle of all copies; how many ended.
    std::size_t step(Result* results) {
        for (int i = 0; i < L; ++i) {
            Copy& copy = lane_[i];
            if (!copy.escape) continue;
            copy.bench.drive(copy.in.data());
            for (u32 k = 0; k < p_.inputs.size(); ++k) {
                const u32 v = p_.inputs[k];
                if (copy.in[k] != copy.was[k]) K::set(p_.type(v), values_[v], i, copy.in[k] & ones(p_.width[v]));
                copy.was[k] = copy.in[k];
            }
        }
        std::size_t port = 0, first = 0;
        for (const Transient& one : transients()) {
            if (first <= one.op) run(first, one.op + 1, port);
            first = one.op + 1;
            const u32 v = p_.ops[one.op].result;
            K::set(p_.type(v), values_[v], one.lane, struck(K::lane(p_.type(v), values_[v], one.lane), *one.target));
        }
        run(first, p_.ops.size(), port);
        for (u32 k = 0; k < p_.outputs.size(); ++k) {
            const u32 v = p_.outputs[k];
            for (int i = 0; i < L; ++i) lane_[static_cast<std::size_t>(i)].out[k] = K::lane(p_.type(v), values_[v], i);
        }
        for (auto& planes : wrote_) planes.fill(0);
        // Lanes in which something that matters changes; of interest only if a copy might stand still.
        u64 moving[PLANES] = {};
        bool watched = false;
        for (const Copy& copy : lane_) watched = watched || (copy.escape && copy.bench.still());
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            write(m);
            for (int k = 0; watched && vital_memory_[m] && k < PLANES; ++k) moving[k] |= wrote_[m][static_cast<std::size_t>(k)];
        }
        for (const Move& move : staged_) K::copy(move.type, move.next, values_[move.d]);
        for (const Move& move : moves_) {
            u8* q = values_[move.q];
            if (watched && move.vital) K::changed(move.type, q, move.next, moving);
            K::copy(move.type, q, move.next);
        }
        std::size_t ended = 0;
        for (int i = 0; i < L; ++i) {
            Copy& copy = lane_[i];
            if (!copy.escape) continue;
            strike(i);
            copy.bench.edge(copy.out.data());
            ++copy.cycle;
            // Two cycles alike, nobody at work outside, no fault to come: all cycles will be.
            const bool still = watched && !(moving[i / 64] >> (i % 64) & 1) && copy.bench.still() && copy.cycle >= copy.escape->fault->over();
            copy.still = still ? copy.still + 1 : 0;
            if (copy.bench.done() || copy.cycle >= limit_ || copy.still == 2) {
                leave(i, results);
                ++ended;
            }
        }
        return ended;
    }

    void read(const Op& op, std::vector<u8>& asked) {
        const u32 m = op.b;
        const Type type = p_.type(op.a), kept = p_.type(op.result);
        const bool struck_now = columns_ && columns(m);
        u64 other[PLANES];
        for (int k = 0; k < PLANES; ++k) other[k] = struck_now ? ~u64{0} : wrote_[m][k];
        K::changed(type, asked.data(), values_[op.a], other);
        bool any = false;
        for (int k = 0; k < PLANES; ++k) any |= other[k] != 0;
        if (!any) return;
        K::copy(type, asked.data(), values_[op.a]);
        each_lane(other, [&](int i) {
            const Copy& copy = lane_[static_cast<std::size_t>(i)];
            if (!copy.escape) return;
            u64 word = content(copy, m, K::lane(type, values_[op.a], i));
            if (struck_now && copy.escape->fault->active(copy.cycle)) {
                const Fault& fault = *copy.escape->fault;
                for (u32 k = 0; k < fault.count; ++k) {
                    const Target& target = fault.targets[k];
                    if (target.memory == 2 && target.index == m) word = struck(word, target);
                }
            }
            K::set(kept, values_[op.result], i, word);
        });
    }
    /// Whether what is read from a memory may be struck.
    bool columns(u32 m) const {
        for (const Copy& copy : lane_) {
            if (!copy.escape) continue;
            const Fault& fault = *copy.escape->fault;
            for (u32 k = 0; k < fault.count; ++k) {
                if (fault.targets[k].memory == 2 && fault.targets[k].index == m) return true;
            }
        }
        return false;
    }

    void write(u32 m) {
        for (const WritePort& port : p_.memories[m].writes) {
            const u64* enable = reinterpret_cast<const u64*>(values_[port.enable]);
            for (int k = 0; k < L / 64; ++k) {
                for (u64 bits = enable[k]; bits; bits &= bits - 1) {
                    const int i = 64 * k + __builtin_ctzll(bits);
                    Copy& copy = lane_[i];
                    if (!copy.escape) continue;
                    const u64 row = K::lane(p_.type(port.address), values_[port.address], i);
                    if (row >= p_.memories[m].depth) continue;
                    copy.overlay.set(key(m, row), K::lane(p_.type(port.data), values_[port.data], i));
                    wrote_[m][static_cast<std::size_t>(k)] |= u64{1} << (i % 64);
                }
            }
        }
    }

    void strike(int i) {
        Copy& copy = lane_[i];
        const Fault& fault = *copy.escape->fault;
        if (!fault.active(copy.cycle)) return;
        for (u32 k = 0; k < fault.count; ++k) {
            const Target& target = fault.targets[k];
            if (target.memory == 4) {
                const u32 one = p_.registers[target.index].q, two = p_.registers[target.row].q;
                const u64 word = K::lane(p_.type(one), values_[one], i);
                K::set(p_.type(one), values_[one], i, K::lane(p_.type(two), values_[two], i));
                K::set(p_.type(two), values_[two], i, word);
                continue;
            }
            if (target.memory >= 2) continue;
            if (target.memory) {
                copy.overlay.set(key(target.index, target.row), struck(content(copy, target.index, target.row), target));
                wrote_[target.index][static_cast<std::size_t>(i / 64)] |= u64{1} << (i % 64);
            } else {
                const u32 q = p_.registers[target.index].q;
                K::set(p_.type(q), values_[q], i, struck(K::lane(p_.type(q), values_[q], i), target));
            }
        }
    }

    void leave(int i, Result* results) {
        Copy& copy = lane_[i];
        Result& r = results[copy.escape->number];
        r = {};
        r.digest = copy.bench.digest() + golden_.contents;
        r.wrong = copy.escape->wrong + copy.bench.wrong();
        bool latent = false;
        // Memories: what the copy wrote, and what the fault-free run wrote after the copy left it.
        auto compare = [&](u32 m, u32 row, u64 word) {
            const u64 golden = golden_.word(m, row, golden_.cycles);
            if (word == golden) return;
            if (p_.memories[m].external) {
                ++r.wrong;
                r.digest += mixed(place_of(p_.memories[m].number, row), word) - mixed(place_of(p_.memories[m].number, row), golden);
            } else {
                latent = true;
            }
        };
        copy.overlay.each([&](u64 place, u64 word) { compare(static_cast<u32>(place >> 40), static_cast<u32>(place), word); });
        for (u32 m = 0; m < p_.memories.size(); ++m) {
            if (latent && !p_.memories[m].external) continue;  // nothing more to learn
            golden_.each_written_since(m, copy.escape->cycle, [&](u32 row) {
                if (!copy.overlay.find(key(m, row))) compare(m, row, golden_.word(m, row, copy.escape->cycle));
            });
        }
        const u8* after = golden_.frame(golden_.cycles);
        for (const Register& reg : p_.registers) {
            if (latent) break;
            if (!p_.constant[reg.q] && !reports_[reg.q] && K::lane(p_.type(reg.q), values_[reg.q], i) != p_.load(after, reg.q)) latent = true;
        }
        r.end = copy.bench.end();
        r.flag = copy.bench.flag();
        r.mended = copy.bench.mended();
        r.status = copy.bench.status();
        r.latent = latent;
        r.escaped = 1;
        if (observer_) observer_(copy.escape->number, copy.bench, [&](u32 m, u64 row) { return content(copy, m, row); });
        copy.escape = nullptr;
    }

    const Program& p_;
    const Golden<Bench>& golden_;
    const u32 limit_;
    std::vector<Copy> lane_;
    std::unique_ptr<u8, Free> arena_;
    std::vector<u8*> values_;
    std::vector<std::vector<u8>> asked_, next_;
    std::vector<Move> staged_, moves_;
    std::vector<u8> vital_, vital_memory_;
    std::vector<u8> reports_;
    std::vector<std::array<u64, PLANES>> wrote_;  // by memory: lanes whose words may be others than those read before
    Straight<L> steps_;
    std::vector<Transient> transients_;
    std::vector<u32> maker_;  // by value: the operation that gives it
    bool values_struck_ = false;
    Observer observer_;
    bool columns_ = false;  // whether there ever was a fault on what is read
};

}  // namespace faults
