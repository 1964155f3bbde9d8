// The lane engine as a library: a netlist and a job become a fault-free run, on which faults are simulated. One library
// for each kind of bench: FAULTS_BENCH is its header, FAULTS_JOB and FAULTS_CLASS are the names in it.

#include <algorithm>
#include <exception>
#include <memory>
#include <string>

#include FAULTS_BENCH
#include "collapse.hpp"
#include "whole.hpp"

namespace faults {
namespace {

/// Faults in the order in which they share batches, with their targets.
struct FaultList {
    std::vector<Target> targets;
    std::vector<Fault> faults;

    /// Per fault: start, duration, period, on, number of targets; per target: memory, index, row, clear, flip.
    FaultList(Reader r, u64 count) {
        std::vector<u32> sizes;
        for (u64 i = 0; i < count; ++i) {
            Fault f{};
            f.start = r.small();
            f.duration = r.small();
            f.period = r.small();
            f.on = r.small();
            f.count = r.small();
            for (u32 k = 0; k < f.count; ++k) {
                Target t{};
                t.memory = static_cast<u8>(r.next());
                t.index = r.small();
                t.row = r.small();
                t.clear = r.next();
                t.flip = r.next();
                targets.push_back(t);
            }
            faults.push_back(f);
        }
        std::size_t at = 0;
        for (Fault& f : faults) {
            f.targets = targets.data() + at;
            at += f.count;
        }
    }
};

class Engine {
    using Job = FAULTS_JOB;
    using Bench = FAULTS_CLASS;

  public:
    Engine(Reader program, Reader job, u32 limit)
        : program_(program), job_(job), golden_(program_, Bench(job_), limit) { job_.recording = false; }

    u32 cycles() const { return golden_.cycles; }
    Result fault_free() const {
        const Bench& bench = golden_.benches.back();
        Result r{};
        r.digest = bench.digest() + golden_.contents;
        r.end = bench.end();
        r.flag = bench.flag();
        r.mended = bench.mended();
        r.status = bench.status();
        return r;
    }
    u64 value(u32 cycle, u32 v) const { return program_.load(golden_.frame(cycle), v); }

    /// What wrong values of one cycle leave behind: bits of registers that differ, in `changes()`; a fault's `shown` is set if it
    /// changes what the design gives, or what a memory takes, in that cycle. Then there are none of it.
    void spread(const u64* values, const u32* cycles, u64 count, u8* shown) {
        static constexpr int L = 512;
        Probe<L, Bench> probe(program_, golden_);
        std::vector<std::pair<u64, u32>> order;
        for (u32 i = 0; i < count; ++i) order.push_back({u64{cycles[i]} << 32 | values[i], i});
        std::sort(order.begin(), order.end());
        changes_.clear();
        std::vector<Target> targets(L);
        for (std::size_t at = 0, end; at < order.size(); at = end) {
            const u32 cycle = cycles[order[at].second];
            probe.begin(cycle);
            for (end = at; end < order.size() && end < at + L && cycles[order[end].second] == cycle; ++end) {
                Target& target = targets[end - at];
                target = {3, static_cast<u32>(values[order[end].second]), 0, 0, 1};
                probe.strike(static_cast<int>(end - at), &target);
            }
            u64 known[L / 64];
            const auto& found = probe.look(known);
            for (std::size_t i = at; i < end; ++i) shown[order[i].second] = known[(i - at) / 64] >> ((i - at) % 64) & 1;
            for (const auto& change : found) {
                const u32 number = order[at + static_cast<std::size_t>(change.lane)].second;
                if (shown[number]) continue;
                for (u64 left = change.flip; left; left &= left - 1) {
                    changes_.push_back({number, change.reg, static_cast<u32>(__builtin_ctzll(left))});
                }
            }
        }
    }
    struct Left {
        u32 fault, reg, bit;
    };
    const std::vector<Left>& changes() const { return changes_; }

    /// Words that one faulty copy gives, and then bytes that external memories hold.
    u64 observed() const {
        u64 words = golden_.benches[0].places();
        for (const Memory& m : program_.memories) words += m.external ? m.depth : 0;
        return words;
    }
    /// Everything that faulty copies give; `observed()` words for each. What a copy does not give is as without a fault.
    void observe(const FaultList& list, u32 limit, u64* words, Result* results) {
        const u64 size = observed(), places = golden_.benches[0].places();
        std::vector<Escape<Bench>> copies;
        for (u32 i = 0; i < list.faults.size(); ++i) {
            const u32 start = list.faults[i].start;
            u64* own = words + i * size;
            const std::vector<u64>& expected = golden_.benches[0].expected();
            std::copy(expected.begin(), expected.end(), own);
            copies.push_back({i, &list.faults[i], start, 0, 0, NONE, golden_.benches[start], {}, {}});
            copies.back().bench.keep(own);
        }
        Whole<WHOLE, Bench> whole(program_, golden_, limit);
        whole.observe([&](u32 number, const Bench&, const std::function<u64(u32, u64)>& word) {
            u64* at = words + number * size + places;
            for (u32 m = 0; m < program_.memories.size(); ++m) {
                if (!program_.memories[m].external) continue;
                for (u32 row = 0; row < program_.memories[m].depth; ++row) *at++ = word(m, row);
            }
        });
        whole.run(copies, results);
    }

    void inject(const FaultList& list, int lanes, u32 window, u32 limit, Result* results, u64* effort) {
        with(lanes, [&](auto collapse) { go(collapse, collapse.run(list.faults), window, limit, results, effort); });
    }
    /// Upsets of a bit of a register each; bits are counted through all registers.
    void upsets(const u32* bits, const u32* cycles, u64 count, int lanes, u32 window, u32 limit, Result* results, u64* effort) {
        with(lanes, [&](auto collapse) { go(collapse, collapse.run(bits, cycles, count), window, limit, results, effort); });
    }

  private:
    template <typename F> void with(int lanes, F f) {
        if (lanes == 64) f(Collapse<64, Bench>(program_, golden_));
        else if (lanes == 256) f(Collapse<256, Bench>(program_, golden_));
        else f(Collapse<512, Bench>(program_, golden_));
    }
    /// Faults that come to the same are simulated once, `window` cycles after another, neighbours together.
    template <int L> void go(const Collapse<L, Bench>&, Groups found, u32 window, u32 limit, Result* results, u64* effort) {
        std::vector<Group>& groups = found.groups;
        const std::vector<u32> order = ordered(groups, window);
        std::vector<Result> own(groups.size());
        Lanes<L, Bench> lanes(program_, golden_);
        std::unique_ptr<Whole<WHOLE, Bench>> whole;
        std::vector<Escape<Bench>> escapes;
        Effort spent;
        std::vector<const Fault*> faults;
        for (std::size_t at = 0; at < order.size(); at += L) {
            const std::size_t end = std::min(order.size(), at + L);
            faults.clear();
            for (std::size_t i = at; i < end; ++i) faults.push_back(&groups[order[i]].fault);
            lanes.run(faults.data(), order.data() + at, static_cast<int>(faults.size()), own.data(), escapes, spent);
            if (escapes.empty() || (escapes.size() < ENOUGH && end < order.size())) continue;
            if (!whole) whole = std::make_unique<Whole<WHOLE, Bench>>(program_, golden_, limit);
            whole->run(escapes, own.data());
        }
        Result quiet = fault_free();
        for (u32 i : found.gone) found.each(i, [&](u32 member) { results[member] = quiet; });
        quiet.latent = 1;
        for (u32 i : found.latent) found.each(i, [&](u32 member) { results[member] = quiet; });
        for (u32 i = 0; i < groups.size(); ++i) found.each(groups[i].first, [&](u32 member) { results[member] = own[i]; });
        effort[0] = spent.operations;
        effort[1] = spent.cycles;
        effort[2] = spent.batches;
        effort[3] = spent.escapes;
        effort[4] = groups.size();
    }
    /// Numbers of groups in the order in which they share batches.
    static std::vector<u32> ordered(std::vector<Group>& groups, u32 window) {
        struct Key {
            u64 place, rest;
            u32 group;
            bool operator<(const Key& b) const { return place != b.place ? place < b.place : rest < b.rest; }
        };
        std::vector<Key> keys;
        keys.reserve(groups.size());
        for (u32 i = 0; i < groups.size(); ++i) {
            Fault& fault = groups[i].fault;
            if (!fault.targets) fault.targets = &groups[i].target;
            const Target& first = fault.targets[0];
            const u64 bit = first.flip ? 64 - static_cast<u64>(__builtin_clzll(first.flip)) : 0;
            keys.push_back({u64{fault.start / window} << 32 | first.index, (bit << 3 | first.memory) << 32 | fault.start, i});
        }
        std::sort(keys.begin(), keys.end());
        std::vector<u32> order;
        order.reserve(keys.size());
        for (const Key& key : keys) order.push_back(key.group);
        return order;
    }
    static constexpr int WHOLE = 64;         // copies at once that are simulated whole: more would leave the cache
    static constexpr std::size_t ENOUGH = 2048;  // copies that wait for it

    std::vector<Left> changes_;
    Program program_;
    Job job_;
    Golden<Bench> golden_;
};

thread_local std::string complaint;  // campaigns call from several threads

}  // namespace
}  // namespace faults

using faults::Engine;

extern "C" {

/// What went wrong in the last call that returned nothing.
const char* faults_complaint() { return faults::complaint.c_str(); }

Engine* faults_open(const uint64_t* program, const uint64_t* job, uint32_t limit) {
    try {
        return new Engine({program}, {job}, limit);
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return nullptr;
    }
}
void faults_close(Engine* engine) { delete engine; }
uint32_t faults_cycles(const Engine* engine) { return engine->cycles(); }
void faults_fault_free(const Engine* engine, faults::Result* result) { *result = engine->fault_free(); }
uint64_t faults_value(const Engine* engine, uint32_t cycle, uint32_t value) { return engine->value(cycle, value); }

uint64_t faults_observed(const Engine* engine) { return engine->observed(); }
/// `words` has room for `faults_observed` numbers for each fault.
int faults_observe(Engine* engine, const uint64_t* list, uint64_t count, uint32_t limit, uint64_t* words, faults::Result* results) {
    try {
        engine->observe(faults::FaultList({list}, count), limit, words, results);
        return 0;
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return 1;
    }
}

/// How many bits `faults_changes` tells of.
int64_t faults_spread(Engine* engine, const uint64_t* values, const uint32_t* cycles, uint64_t count, uint8_t* shown) {
    try {
        engine->spread(values, cycles, count, shown);
        return static_cast<int64_t>(engine->changes().size());
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return -1;
    }
}
void faults_changes(const Engine* engine, void* out) {
    std::memcpy(out, engine->changes().data(), engine->changes().size() * sizeof engine->changes()[0]);
}

/// Upsets of a bit of a register each; bits are counted through all registers, in their order. As `faults_inject`.
int faults_upsets(Engine* engine, const uint32_t* bits, const uint32_t* cycles, uint64_t count, int lanes, uint32_t window,
                  uint32_t limit, faults::Result* results, uint64_t* effort) {
    try {
        engine->upsets(bits, cycles, count, lanes, window, limit, results, effort);
        return 0;
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return 1;
    }
}
/// Results do not depend on `lanes` and `window`.
int faults_inject(Engine* engine, const uint64_t* list, uint64_t count, int lanes, uint32_t window, uint32_t limit,
                  faults::Result* results, uint64_t* effort) {
    try {
        engine->inject(faults::FaultList({list}, count), lanes, window, limit, results, effort);
        return 0;
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return 1;
    }
}
}
