// The accelerator as a machine of registers: dispatcher, queues and semaphores of the engines, and the units of
// units.hpp between them and the memory. One call runs one program.
//
// A cycle is one `step`: first everything that the registers show is read, then all of them take their edge. Cycles
// in which only time moves are left out (`leap`), and so are cycles that only move one more beat of a long run
// (`stream`). Both leave exactly the state that stepping would.

#include "machine.hpp"

#include <algorithm>
#include <new>
#include <vector>

#include "dram.hpp"
#include "units.hpp"

namespace machine {
namespace {

using dram::Timing;

constexpr int64_t NO_TIME = INT64_MAX, NO_OUTCOME = -1;
constexpr uint32_t BEATS = 2;        // that may wait between a far read port and LOAD
constexpr int64_t FLUSH_CYCLES = 4;  // from the packer's last step until LOAD's run is done

/// Queue and semaphores of one engine.
struct Shell {
    explicit Shell(std::size_t depth) : queue(depth), room(depth) {}

    Ring<int64_t> queue;
    std::size_t room;  // of the queue, as the dispatcher has it
    bool busy = false;
    uint8_t signals = 0;  // of the run under way
    uint8_t there = 0;    // engines of which there is at least one token
    uint32_t tokens[ENGINES] = {};
    int64_t current = -1;      // instruction of the run under way
    int64_t end = NO_TIME;     // its last cycle, where that is known
    int64_t waits_since = -1;  // first cycle in which the head lacks a token
    int64_t began = 0, busy_cycles = 0, wait_cycles = 0;
    int64_t packed = 0, packed_before = 0;  // cycles in which LOAD or STORE moved something; before this run

    bool idle() const { return !busy && queue.empty(); }
};

class Machine {
  public:
    Machine(const Settings& settings, const Program& program, Result& result);
    void run();

  private:
    void step(bool drain);
    bool dispatch();
    void memory(bool drain, bool take);
    bool reads(bool drain, bool take, dram::Inputs& bus);
    void writes(bool drain, dram::Inputs& bus);
    void shells();
    void begin(int engine, uint8_t gives[]);
    void begin_run(Shell& shell, int64_t instruction);
    void end(int engine, uint8_t gives[]);
    void take_tokens(Shell& shell, uint8_t engines);
    void give_tokens(int engine, uint8_t engines);
    void next_end();
    void push(int64_t instruction);
    void judge(int64_t position);
    void late();
    void halt(int64_t position);
    void leap();
    void stream();
    void drain();
    void finish();
    bool all_idle() const;

    const Settings& settings_;
    const Program& program_;
    Result& result_;
    Timing dram_;
    Fetch fetch_;
    ReadPort reads_;
    WritePort writes_;
    Walker walker_;
    Packer packer_;
    Store store_;
    Ring<Piece> runs_;
    uint32_t beats_ = 0;  // between the read port and LOAD, if they are far from each other
    std::vector<Shell> shells_;

    uint32_t token_limit_;
    int64_t now_ = 0;
    int64_t position_ = 0;         // instructions that the dispatcher has passed on
    int64_t next_end_ = NO_TIME;   // the earliest of the known ends of runs
    int64_t outcome_ = NO_OUTCOME;
    uint8_t busy_ = 0;    // engines with a run under way
    uint8_t awake_ = 0;   // engines whose queue, semaphores or run changed at the last edge
    uint8_t ends_ = 0;    // engines whose run ends in this cycle
    uint8_t begun_ = 0;   // engines whose instruction begins in this cycle
    uint8_t gave_ = 0;    // engines whose tokens of the cycle before are on their way
    uint8_t gifts_[ENGINES] = {};
    uint8_t left_ = 0;    // engines whose queue has room of which the dispatcher does not know yet
    bool still_ = true;   // nothing ran or began in the cycle before
    bool stuck_ = false;  // the dispatcher waits for an engine
    bool were_idle_ = true;  // all engines, a cycle before: what a far dispatcher sees
    bool halted_ = false, illegal_ = false, truncated_ = false, overflow_ = false;
    uint32_t wires_ = 0;    // the memory's outputs in this cycle
    bool changed_ = false;  // in this cycle, more happened than that a beat of a long run moved
    bool loads_ = false;    // in this cycle, such a beat went to the packer
    bool stores_ = false;   // in this cycle, such a beat came from STORE
};

Machine::Machine(const Settings& settings, const Program& program, Result& result)
    : settings_(settings),
      program_(program),
      result_(result),
      dram_({static_cast<uint64_t>(settings.latency), static_cast<uint32_t>(settings.interval),
             static_cast<uint32_t>(settings.depth), static_cast<uint64_t>(settings.write_latency)}),
      fetch_(program.count, settings.bus_bytes, settings.fetch_beats, settings.far != 0),
      reads_{static_cast<uint32_t>(settings.outstanding), settings.far != 0},
      writes_(static_cast<uint32_t>(settings.outstanding), settings.far != 0),
      walker_(settings.bus_bytes, settings.burst_beats, settings.far != 0),
      packer_(settings.bus_bytes, settings.lanes, settings.far != 0),
      store_(settings.bus_bytes, settings.burst_beats, settings.store_fifo, settings.buffer_latency,
             settings.far != 0),
      runs_(static_cast<std::size_t>(settings.run_fifo)),
      shells_(ENGINES, Shell(static_cast<std::size_t>(settings.queue_depth))),
      token_limit_((1u << settings.token_bits) - 1) {}

bool Machine::all_idle() const {
    return std::all_of(shells_.begin(), shells_.end(), [](const Shell& shell) { return shell.idle(); });
}

void Machine::run() {
    // Cycle 0 only loads the registers of the fetch.
    dram_.edge({});
    wires_ = dram_.outputs();
    fetch_.go();
    result_.steps = 1;
    for (now_ = 1; outcome_ == NO_OUTCOME;) {
        const int64_t position = position_;
        step(false);
        judge(position);
        if (settings_.far != 0 && outcome_ != NO_OUTCOME && outcome_ != FINISHED) late();
        ++now_;
        if (settings_.skip == 0 || changed_ || outcome_ != NO_OUTCOME) continue;
        if (loads_ || stores_) {
            stream();
        } else {
            leap();
        }
        wires_ = dram_.outputs();
    }
    drain();
    finish();
}

/// One cycle. In the first one of the drain nothing is reset yet, but the ports are closed.
void Machine::step(bool drain) {
    ++result_.steps;
    changed_ = loads_ = stores_ = overflow_ = false;
    begun_ = ends_ = 0;
    if (now_ == next_end_) {
        for (int e = 0; e < ENGINES; ++e) ends_ |= static_cast<uint8_t>((shells_[e].end == now_) << e);
    }
    if (store_.done(writes_.idle())) ends_ |= 1 << STORE;
    const bool take = dispatch();
    if (settings_.far != 0) {
        const bool idle = all_idle();
        changed_ |= idle != were_idle_;
        were_idle_ = idle;
    }
    if (left_ != 0) {
        for (int e = 0; e < ENGINES; ++e) shells_[e].room += left_ >> e & 1;
        left_ = 0;
        changed_ = true;
    }
    memory(drain, take);
    // After the units' edge: a run that begins now moves from the next cycle on.
    if ((awake_ | ends_ | gave_) != 0) shells();
    if (take) push(position_++);
}

/// What the dispatcher does with its instruction; true if it takes it off the register.
bool Machine::dispatch() {
    stuck_ = halted_ = illegal_ = truncated_ = false;
    if (!fetch_.running) return false;
    if (!fetch_.valid) {
        truncated_ = fetch_.left == 0;
        return false;
    }
    const uint8_t kind = program_.kind[position_];
    if (kind == ILLEGAL) {
        illegal_ = true;
        return false;
    }
    if (kind == HALT || kind == FENCE) {
        stuck_ = !(settings_.far != 0 ? were_idle_ : all_idle());
        halted_ = kind == HALT && !stuck_;
        return kind == FENCE && !stuck_;
    }
    stuck_ = shells_[program_.engine[position_]].room == 0;
    return !stuck_;
}

/// What leaves the dispatcher: to an engine's queue, or it is done at once.
void Machine::push(int64_t instruction) {
    changed_ = true;
    result_.dispatched[instruction] = now_;
    if (program_.kind[instruction] == FENCE) {
        result_.starts[instruction] = result_.ends[instruction] = now_;
        return;
    }
    const int engine = program_.engine[instruction];
    shells_[engine].queue.push(instruction);
    --shells_[engine].room;
    awake_ |= static_cast<uint8_t>(1 << engine);
}

void Machine::memory(bool drain, bool take) {
    dram::Inputs bus;
    bus.bready = true;
    bus.rready = reads(drain, take, bus);
    if (store_.running || store_.ending || !writes_.rests()) writes(drain, bus);
    dram_.edge(bus);
    const uint32_t outputs = dram_.outputs();
    // Between two beats of a load, only the packer sees RVALID.
    const uint32_t ignored = loads_ ? Timing::RVALID : 0;
    changed_ |= ((outputs ^ wires_) & ~ignored) != 0;
    wires_ = outputs;
}

/// Fetch, LOAD and the read port; true if a beat is taken when there is one.
bool Machine::reads(bool drain, bool take, dram::Inputs& bus) {
    const bool arready = (wires_ & Timing::ARREADY) != 0, rvalid = (wires_ & Timing::RVALID) != 0;
    const bool full = runs_.size() == static_cast<uint32_t>(settings_.run_fifo);
    const bool far = settings_.far != 0;
    const bool free = !drain && reads_.free(arready);
    const bool fetch_asks = free && fetch_.asks() && !(far && reads_.for_load);
    const bool load_asks = free && !fetch_asks && walker_.asks(full) && (!far || reads_.for_load);
    const bool to_fetch = !drain && rvalid && reads_.fetch_next();
    const bool takes = far ? beats_ < BEATS : packer_.takes();
    const bool to_load = !drain && rvalid && reads_.load_next() && takes;
    const bool packed = far ? beats_ != 0 && packer_.takes() : to_load;
    const bool ready = drain || reads_.fetch_next() || (reads_.load_next() && takes);
    const bool last = rvalid && ready && dram_.rlast();
    bus.arvalid = reads_.arvalid;
    bus.arbeats = reads_.arbeats;
    result_.read_beats += rvalid && ready;
    result_.read_bursts += reads_.arvalid && arready;

    loads_ = to_load && packed && !last && packer_.streams_for() != 0 && (!far || settings_.interval == 1);
    if (packer_.flushes()) {
        shells_[LOAD].end = now_ + FLUSH_CYCLES;
        next_end_ = std::min(next_end_, shells_[LOAD].end);
    }
    if (far) changed_ |= reads_.look(fetch_asks || load_asks, fetch_.asks());
    if (fetch_asks || load_asks || last || reads_.arvalid) {
        const uint32_t beats = fetch_asks ? fetch_.beats() : load_asks ? walker_.burst() : 0;
        changed_ |= reads_.edge(fetch_asks || load_asks, load_asks, beats, arready, last);
    }
    changed_ |= fetch_.edge(fetch_asks, to_fetch, take);
    if (far) {
        beats_ += to_load;
        beats_ -= packed;
        changed_ |= to_load != packed;
    }
    const bool packs = packer_.edge(packed, runs_);
    changed_ |= packs && !loads_;
    shells_[LOAD].packed += packer_.packed;
    changed_ |= walker_.edge(load_asks, runs_, full);
    return ready;
}

/// STORE and the write port.
void Machine::writes(bool drain, dram::Inputs& bus) {
    const bool idle = writes_.idle();
    const bool awready = (wires_ & Timing::AWREADY) != 0, wready = (wires_ & Timing::WREADY) != 0;
    const bool answered = (wires_ & Timing::BVALID) != 0;
    const bool accept = !drain && store_.asks() && writes_.burst_ready(awready);
    const bool room = writes_.room(wready);
    const bool move = room && (drain || store_.has_beat());
    const bool pop = move && !drain;
    bus.awvalid = writes_.awvalid;
    bus.awbeats = writes_.awbeats;
    bus.wvalid = writes_.wvalid();
    result_.write_beats += writes_.wvalid() && wready;
    result_.write_bursts += writes_.awvalid && awready;
    shells_[STORE].packed += pop;
    const bool steady = settings_.far == 0 || (settings_.interval == 1 && wready);
    stores_ = pop && steady && writes_.wvalid() && !accept && !answered && !writes_.awvalid && writes_.streams_for() != 0 &&
              store_.streams_for() != 0;
    const uint32_t beats = accept ? store_.burst() : 0;
    const bool port = writes_.edge(accept, beats, awready, move, wready, answered);
    const bool unit = store_.edge(accept, pop, idle);
    changed_ |= (port || unit) && !stores_;
}

/// Ends and begins instructions, and moves tokens. Nothing that ends now lets anything begin before the next cycle.
void Machine::shells() {
    const auto candidates = static_cast<uint8_t>(awake_ & ~busy_);
    uint8_t gives[ENGINES] = {};
    awake_ = 0;
    for (int e = 0; e < ENGINES; ++e) {
        if ((ends_ >> e & 1) != 0) end(e, gives);
        if ((candidates >> e & 1) != 0) begin(e, gives);
    }
    for (int e = 0; e < ENGINES; ++e) {
        if (settings_.far != 0) std::swap(gives[e], gifts_[e]);
        if (gives[e] != 0) give_tokens(e, gives[e]);
    }
    changed_ |= gave_ != 0;
    gave_ = 0;
    for (int e = 0; e < ENGINES; ++e) gave_ |= static_cast<uint8_t>((gifts_[e] != 0) << e);
    if (ends_ != 0) next_end();
}

void Machine::begin(int engine, uint8_t gives[]) {
    Shell& shell = shells_[engine];
    if (shell.queue.empty()) return;
    const int64_t i = shell.queue.front();
    if ((program_.wait[i] & ~shell.there) != 0) {
        if (shell.waits_since < 0) shell.waits_since = now_;
        return;
    }
    if (shell.waits_since >= 0) {
        result_.waited[i] = now_ - shell.waits_since;
        shell.wait_cycles += result_.waited[i];
        shell.waits_since = -1;
    }
    shell.queue.pop();
    if (settings_.far != 0) {
        left_ |= static_cast<uint8_t>(1 << engine);
    } else {
        ++shell.room;
    }
    ++shell.began;
    begun_ |= static_cast<uint8_t>(1 << engine);
    changed_ = true;
    result_.starts[i] = now_;
    take_tokens(shell, program_.wait[i]);
    if (program_.kind[i] == SINGLE) {
        result_.ends[i] = now_;
        gives[engine] = program_.signal[i];
        awake_ |= static_cast<uint8_t>(1 << engine);
    } else {
        busy_ |= static_cast<uint8_t>(1 << engine);
        begin_run(shell, i);
    }
}

void Machine::begin_run(Shell& shell, int64_t i) {
    shell.busy = true;
    shell.signals = program_.signal[i];
    shell.current = i;
    shell.packed_before = shell.packed;
    if (program_.kind[i] == LOAD_RUN) {
        walker_.begin(program_.loads[program_.run[i]]);
        packer_.begin();
    } else if (program_.kind[i] == STORE_RUN) {
        store_.begin(program_.stores[program_.run[i]]);
    } else {
        shell.end = now_ + program_.duration[i] - 1;
        next_end_ = std::min(next_end_, shell.end);
    }
}

void Machine::end(int engine, uint8_t gives[]) {
    Shell& shell = shells_[engine];
    const int64_t i = shell.current;
    gives[engine] = shell.signals;
    result_.ends[i] = now_;
    shell.busy_cycles += now_ - result_.starts[i];
    if (engine == LOAD || engine == STORE) {
        result_.stalled[i] = now_ - result_.starts[i] - (shell.packed - shell.packed_before);
    }
    shell.busy = false;
    shell.end = NO_TIME;
    busy_ &= static_cast<uint8_t>(~(1 << engine));
    awake_ |= static_cast<uint8_t>(1 << engine);
    changed_ = true;
}

void Machine::take_tokens(Shell& shell, uint8_t engines) {
    for (int e = 0; e < ENGINES; ++e) {
        if ((engines >> e & 1) != 0 && --shell.tokens[e] == 0) shell.there &= static_cast<uint8_t>(~(1 << e));
    }
}

/// After all takes of the cycle, so that a full semaphore may be given one that it loses at once.
void Machine::give_tokens(int engine, uint8_t engines) {
    for (int e = 0; e < ENGINES; ++e) {
        if ((engines >> e & 1) == 0) continue;
        Shell& shell = shells_[e];
        overflow_ |= shell.tokens[engine] == token_limit_;
        shell.tokens[engine] = (shell.tokens[engine] + 1) & token_limit_;
        const auto bit = static_cast<uint8_t>(1 << engine);
        shell.there = static_cast<uint8_t>(shell.tokens[engine] != 0 ? shell.there | bit : shell.there & ~bit);
        awake_ |= static_cast<uint8_t>(1 << e);
    }
}

void Machine::next_end() {
    next_end_ = NO_TIME;
    for (const Shell& shell : shells_) next_end_ = std::min(next_end_, shell.end);
}

/// Whether this cycle ends the program, and why; the order is the hardware's.
void Machine::judge(int64_t position) {
    const bool still = begun_ == 0 && busy_ == 0 && ends_ == 0;
    const bool stood = settings_.far == 0 || still_;
    changed_ |= still != still_;
    still_ = still;
    if (halted_) {
        outcome_ = FINISHED;
        halt(position);
    }
    if (truncated_) outcome_ = TRUNCATED;
    if (stuck_ && still && stood) outcome_ = DEADLOCK;
    if (overflow_) outcome_ = OVERFLOW;
    if (illegal_) outcome_ = WRONG;
    if (outcome_ == NO_OUTCOME) return;
    if (halted_ || illegal_ || truncated_) fetch_.running = false;
    result_.outcome = outcome_;
    result_.cycle = now_;
    result_.position = position;
    for (int e = 0; e < ENGINES; ++e) {
        const Shell& shell = shells_[e];
        const bool waits = outcome_ == DEADLOCK && !shell.queue.empty();
        result_.head[e] = waits ? shell.queue.front() : -1;
        result_.missing[e] = waits ? program_.wait[shell.queue.front()] & ~shell.there : 0;
    }
}

/// One cycle more before an error ends the program, in which the instruction may be one that halts.
void Machine::late() {
    const int64_t position = position_;
    ++now_;
    step(false);
    if (halted_) halt(position);
    result_.cycle = now_;
}

void Machine::halt(int64_t position) {
    result_.dispatched[position] = result_.starts[position] = result_.ends[position] = now_;
}

/// To the next cycle in which anything happens: nothing did in the last one.
void Machine::leap() {
    const auto still = static_cast<int64_t>(std::min<uint64_t>(dram_.still_until(), NO_TIME));
    const int64_t next = std::min(next_end_, still);
    if (next == NO_TIME) {
        outcome_ = result_.outcome = HUNG;
        result_.cycle = now_;
        result_.position = position_;
    } else if (next > now_) {
        dram_.skip_to(static_cast<uint64_t>(next));
        now_ = next;
    }
}

/// Over the cycles that only move one more beat each: nothing else happened in the last one.
void Machine::stream() {
    uint64_t beats = dram_.streams_until(static_cast<uint64_t>(next_end_));
    if (loads_) {
        beats = std::min(beats, packer_.streams_for());
        packer_.stream(beats);
        result_.read_beats += static_cast<int64_t>(beats);
        shells_[LOAD].packed += static_cast<int64_t>(beats);
    } else {
        beats = std::min({beats, writes_.streams_for(), store_.streams_for()});
        writes_.sent += static_cast<uint32_t>(beats);
        store_.read_beats -= static_cast<int64_t>(beats);
        result_.write_beats += static_cast<int64_t>(beats);
        shells_[STORE].packed += static_cast<int64_t>(beats);
    }
    now_ += static_cast<int64_t>(dram_.stream(beats));
}

/// The ports bring to its end what they began; `drained` is the cycle in which they are idle.
void Machine::drain() {
    result_.drained = now_;
    if (outcome_ == HUNG) return;
    const bool far = settings_.far != 0;  // then it is seen a cycle later that the ports are idle
    bool idle = reads_.idle() && writes_.idle();
    bool settled = idle && !far;
    step(true);
    // The edge of that cycle resets everything but the ports.
    walker_.phase = Walker::IDLE;
    packer_.phase = Packer::EMPTY;
    store_.running = store_.ending = false;
    runs_ = Ring<Piece>();
    beats_ = 0;
    while (!settled) {
        result_.drained = ++now_;
        const bool before = idle;
        idle = reads_.idle() && writes_.idle();
        settled = far ? before : idle;
        ++result_.steps;
        memory(true, false);
    }
}

void Machine::finish() {
    const int64_t last = result_.cycle + 1;  // in which the shells are as they were, before their reset
    for (int e = 0; e < ENGINES; ++e) {
        Shell& shell = shells_[e];
        if (shell.busy) shell.busy_cycles += last - result_.starts[shell.current];
        if (shell.waits_since >= 0) {
            result_.waited[shell.queue.front()] = last - shell.waits_since + 1;
            shell.wait_cycles += last - shell.waits_since + 1;
        }
        const bool stalls = e == LOAD || e == STORE;
        result_.stall[e] = stalls ? shell.busy_cycles - shell.packed : 0;
        result_.run[e] = shell.began + shell.busy_cycles - result_.stall[e];
        result_.wait[e] = shell.wait_cycles;
        result_.idle[e] = result_.drained + 1 - result_.run[e] - result_.stall[e] - result_.wait[e];
    }
}

}  // namespace
}  // namespace machine

int machine_run(const machine::Settings* settings, const machine::Program* program, machine::Result* result) {
    try {
        machine::Machine(*settings, *program, *result).run();
    } catch (const std::bad_alloc&) {
        return 1;
    }
    return 0;
}

void machine_sizes(int64_t* sizes) {
    sizes[0] = sizeof(machine::Settings);
    sizes[1] = sizeof(machine::LoadRun);
    sizes[2] = sizeof(machine::StoreRun);
    sizes[3] = sizeof(machine::Program);
    sizes[4] = sizeof(machine::Result);
}
