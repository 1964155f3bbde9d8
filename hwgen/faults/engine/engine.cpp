// The lane engine as a library: a netlist and a job become a fault-free run, on which faults are simulated. One library
// for each kind of bench: FAULTS_BENCH is its header, FAULTS_JOB and FAULTS_CLASS are the names in it.

#include <algorithm>
#include <exception>
#include <memory>
#include <string>

#include FAULTS_BENCH
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
        r.status = bench.status();
        return r;
    }
    u64 value(u32 cycle, u32 v) const { return program_.load(golden_.frame(cycle), v); }

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

    void inject(const FaultList& list, const u32* order, const u32* batches, u32 count, int lanes, u32 limit,
                Result* results, u64* effort) {
        if (lanes == 64) go<64>(list, order, batches, count, limit, results, effort);
        else if (lanes == 256) go<256>(list, order, batches, count, limit, results, effort);
        else go<512>(list, order, batches, count, limit, results, effort);
    }

  private:
    template <int L>
    void go(const FaultList& list, const u32* order, const u32* batches, u32 count, u32 limit, Result* results, u64* effort) {
        Lanes<L, Bench> lanes(program_, golden_);
        std::unique_ptr<Whole<WHOLE, Bench>> whole;
        std::vector<Escape<Bench>> escapes;
        Effort spent;
        std::vector<const Fault*> faults;
        for (u32 b = 0; b < count; ++b) {
            faults.clear();
            for (u32 i = batches[b]; i < batches[b + 1]; ++i) faults.push_back(&list.faults[order[i]]);
            lanes.run(faults.data(), order + batches[b], static_cast<int>(faults.size()), results, escapes, spent);
            if (escapes.size() < ENOUGH && b + 1 < count) continue;
            if (escapes.empty()) continue;
            if (!whole) whole = std::make_unique<Whole<WHOLE, Bench>>(program_, golden_, limit);
            whole->run(escapes, results);
        }
        effort[0] = spent.operations;
        effort[1] = spent.cycles;
        effort[2] = spent.batches;
        effort[3] = spent.escapes;
    }
    static constexpr int WHOLE = 64;         // copies at once that are simulated whole: more would leave the cache
    static constexpr std::size_t ENOUGH = 2048;  // copies that wait for it

    Program program_;
    Job job_;
    Golden<Bench> golden_;
};

std::string complaint;

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

/// `batches` are `count + 1` places in `order`, which has a number of a fault for each lane.
int faults_inject(Engine* engine, const uint64_t* list, uint64_t faults_count, const uint32_t* order, const uint32_t* batches,
                  uint32_t count, int lanes, uint32_t limit, faults::Result* results, uint64_t* effort) {
    try {
        const faults::FaultList faults({list}, faults_count);
        engine->inject(faults, order, batches, count, lanes, limit, results, effort);
        return 0;
    } catch (const std::exception& error) {
        faults::complaint = error.what();
        return 1;
    }
}
}
