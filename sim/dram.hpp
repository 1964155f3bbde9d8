// The memory behind the accelerator's AXI4 master: one deterministic contract for simulator and test bench.
//
// The simulator uses `dram::Timing`, which moves no data; a test bench of the Verilog uses `dram::Memory`, which is
// the same and holds bytes. Header only, C++17, nothing but the standard library.
//
// The contract. There is one data bus, which both directions share, and one queue of bursts per direction.
//
//   In cycle t the outputs follow from the state at its start alone, never from the inputs of the same cycle:
//     arready, awready   fewer than `depth` bursts of the direction are queued; a burst is queued from its
//                        handshake until its last beat has moved
//     rvalid             the burst on the bus is a read, and `wait` is 0; rlast on its last beat
//     wready             the burst on the bus is a write, and `wait` is 0
//     bvalid             the oldest response is due
//
//   At the edge that ends cycle t:
//     1. a response that was shown and taken goes
//     2. AR and AW handshakes queue their bursts: reads may use the bus from cycle t + latency on, writes from t + 1
//     3. if a beat moved, wait = interval - 1; otherwise wait counts down to 0, used or not
//     4. the last beat of a burst frees the bus; of a write, it makes a response that is due in cycle
//        t + write_latency
//     5. if the bus is free, the oldest read and the oldest write that may use it in cycle t + 1 are candidates;
//        if there are both, the direction that was not served last gets it; the very first time, the read
//
//   A burst keeps the bus from its grant to its last beat, also while the other side holds its beats back.
//
// A bench calls, once per cycle: the outputs, then (its own model evaluated with them) `edge` with the inputs.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace dram {

constexpr uint64_t NEVER = std::numeric_limits<uint64_t>::max();

/// AXI responses.
constexpr uint8_t OKAY = 0, SLVERR = 2, DECERR = 3;

/// A queue in a circle of memory. It grows if it must; the caller keeps it below the depth that it models.
template <typename T> class Ring {
  public:
    explicit Ring(std::size_t room = 1) {
        std::size_t size = 1;
        while (size < room) size *= 2;
        items_.resize(size);
    }
    bool empty() const { return count_ == 0; }
    uint32_t size() const { return count_; }
    T& front() { return items_[first_]; }
    const T& front() const { return items_[first_]; }
    void push(const T& item) {
        if (count_ == items_.size()) grow();
        items_[(first_ + count_++) & mask()] = item;
    }
    void pop() {
        first_ = (first_ + 1) & mask();
        --count_;
    }

  private:
    std::size_t mask() const { return items_.size() - 1; }
    void grow() {
        std::rotate(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_), items_.end());
        first_ = 0;
        items_.resize(2 * items_.size());
    }

    std::vector<T> items_;
    std::size_t first_ = 0;
    uint32_t count_ = 0;
};

/// Parameters, all at least 1.
struct Config {
    uint64_t latency = 1;        // cycles from a read's handshake to the first cycle that may show its data
    uint32_t interval = 1;       // cycles per beat
    uint32_t depth = 1;          // bursts that it accepts ahead, per direction
    uint64_t write_latency = 1;  // cycles from a write's last beat to its response
};

/// What the master drives in one cycle. `beats` are 1..256, that is AxLEN + 1.
struct Inputs {
    bool arvalid = false, awvalid = false, wvalid = false;
    bool rready = false, bready = false;
    uint64_t araddr = 0, awaddr = 0;
    uint32_t arbeats = 0, awbeats = 0;
};

/// The contract without data.
class Timing {
  public:
    explicit Timing(const Config& config)
        : config_(config), bursts_{Ring<Burst>(config.depth), Ring<Burst>(config.depth)}, responses_(config.depth) {}

    // Outputs of the current cycle.
    bool arready() const { return bursts_[READ].size() < config_.depth; }
    bool awready() const { return bursts_[WRITE].size() < config_.depth; }
    bool rvalid() const { return owner_ == READ && wait_ == 0; }
    bool rlast() const { return left_ == 1; }
    bool wready() const { return owner_ == WRITE && wait_ == 0; }
    bool bvalid() const { return !responses_.empty() && responses_.front().due <= now_; }
    uint8_t rresp() const { return rvalid() ? bursts_[READ].front().response : OKAY; }
    uint8_t bresp() const { return bvalid() ? responses_.front().code : OKAY; }

    /// Number of the current cycle; the first is 0.
    uint64_t cycle() const { return now_; }
    /// The burst on the bus: address as asked for, its number of beats, beats that have not moved yet.
    uint64_t burst_address() const { return bursts_[owner_].front().address; }
    uint32_t burst_beats() const { return bursts_[owner_].front().beats; }
    uint32_t beats_left() const { return left_; }
    /// Makes the write on the bus answer with `response`.
    void spoil_write(uint8_t response) { bursts_[WRITE].front().response = response; }

    /// The n-th read (write) burst from now on, 0 being the next handshake, answers with `response`.
    void fail_read(uint64_t n, uint8_t response) { failures_[READ].push_back({accepted_[READ] + n, response}); }
    void fail_write(uint64_t n, uint8_t response) { failures_[WRITE].push_back({accepted_[WRITE] + n, response}); }

    /// Ends the current cycle.
    void edge(const Inputs& in) {
        const bool takes_read = in.arvalid && arready();
        const bool takes_write = in.awvalid && awready();
        if (in.bready && bvalid()) responses_.pop();
        if (takes_read) accept(READ, in.araddr, in.arbeats, now_ + config_.latency);
        if (takes_write) accept(WRITE, in.awaddr, in.awbeats, now_ + 1);
        if (wait_ != 0) {
            --wait_;
        } else if ((owner_ == READ && in.rready) || (owner_ == WRITE && in.wvalid)) {
            move();
        }
        if (owner_ == NONE) grant();
        ++now_;
    }

    // For simulators that leave out cycles.

    static constexpr uint32_t ARREADY = 1, AWREADY = 2, RVALID = 4, WREADY = 8, BVALID = 16;
    /// All ready and valid outputs in one number.
    uint32_t outputs() const {
        const uint32_t data = wait_ != 0 ? 0 : owner_ == READ ? RVALID : owner_ == WRITE ? WREADY : 0;
        return data | (arready() ? ARREADY : 0) | (awready() ? AWREADY : 0) | (bvalid() ? BVALID : 0);
    }
    /// If the outputs of this cycle are those of the one before, and nothing is handed over meanwhile: the next cycle
    /// whose outputs, or whose edge, do something.
    uint64_t still_until() const {
        uint64_t next = responses_.empty() ? NEVER : responses_.front().due;
        if (owner_ != NONE) return std::min(next, wait_ ? now_ + wait_ : NEVER);
        for (const auto& queue : bursts_) {
            if (!queue.empty()) next = std::min(next, queue.front().eligible - 1);
        }
        return next;
    }
    /// Moves on to `cycle`, which is not behind `still_until()`.
    void skip_to(uint64_t cycle) {
        wait_ -= static_cast<uint32_t>(std::min<uint64_t>(wait_, cycle - now_));
        now_ = cycle;
    }
    /// If the last cycle moved a beat: how many more can follow, each as soon as it can, before `cycle` and before
    /// anything but the beats happens. A burst's last beat is not among them.
    uint64_t streams_until(uint64_t cycle) const {
        const uint64_t end = std::min(cycle, responses_.empty() ? NEVER : responses_.front().due);
        if (owner_ == NONE || end <= now_) return 0;
        const uint64_t room = end - now_;
        return std::min<uint64_t>(left_ - 1, config_.interval == 1 ? room : room / config_.interval);
    }
    /// Moves on by so many beats; returns the cycles that they took.
    uint64_t stream(uint64_t beats) {
        left_ -= static_cast<uint32_t>(beats);
        now_ += beats * config_.interval;
        return beats * config_.interval;
    }

  private:
    enum Direction : uint8_t { READ = 0, WRITE = 1, NONE = 2 };
    struct Burst {
        uint64_t address, eligible;
        uint32_t beats;
        uint8_t response;
    };
    struct Response {
        uint64_t due;
        uint8_t code;
    };
    struct Failure {
        uint64_t burst;
        uint8_t response;
    };

    void accept(Direction way, uint64_t address, uint32_t beats, uint64_t eligible) {
        uint8_t response = OKAY;
        for (const Failure& failure : failures_[way]) {
            if (failure.burst == accepted_[way]) response = failure.response;
        }
        ++accepted_[way];
        bursts_[way].push({address, eligible, beats, response});
    }
    void move() {
        wait_ = config_.interval - 1;
        if (--left_ != 0) return;
        if (owner_ == WRITE) responses_.push({now_ + config_.write_latency, bursts_[WRITE].front().response});
        bursts_[owner_].pop();
        owner_ = NONE;
    }
    bool wants(Direction way) const { return !bursts_[way].empty() && bursts_[way].front().eligible <= now_ + 1; }
    void grant() {
        const bool read = wants(READ), write = wants(WRITE);
        if (!read && !write) return;
        owner_ = read && (!write || served_ == WRITE) ? READ : WRITE;
        served_ = owner_;
        left_ = bursts_[owner_].front().beats;
    }

    Config config_;
    Ring<Burst> bursts_[2];
    Ring<Response> responses_;
    std::vector<Failure> failures_[2];
    uint64_t accepted_[2] = {0, 0};
    uint64_t now_ = 0;
    uint32_t wait_ = 0, left_ = 0;
    Direction owner_ = NONE, served_ = WRITE;
};

/// The contract with addresses, and with a watch on the master's side of the protocol; whose bytes they are is left open.
///
/// Addresses count from 0. What lies outside of `size` bytes answers DECERR.
class Protocol {
  public:
    Protocol(const Config& config, uint32_t bus_bytes, uint64_t size)
        : timing(config), bus_bytes_(bus_bytes), size_(size) {}

    Timing timing;

    uint8_t rresp() const { return timing.rvalid() && !inside() ? DECERR : timing.rresp(); }
    uint8_t bresp() const { return timing.bresp(); }

    /// Ends the current cycle; bit i of `strobe` enables byte i of the beat that may be written.
    void edge(const Inputs& in, uint64_t strobe, bool last) {
        watch(in, last);
        if (in.wvalid && timing.wready() && !inside() && strobe != 0) timing.spoil_write(DECERR);
        timing.edge(in);
    }

    /// Of the beat on the bus: its address in bus words, and whether all of it lies in the memory.
    uint64_t row() const { return beat_address() / bus_bytes_; }
    bool inside() const {
        const uint64_t address = beat_address();
        return address < size_ && size_ - address >= bus_bytes_;
    }

    /// The first promise of AXI that the master broke, or null.
    const char* violation() const { return violation_; }

  protected:
    uint64_t beat_address() const {
        const uint64_t moved = timing.burst_beats() - timing.beats_left();
        return (timing.burst_address() & ~uint64_t{bus_bytes_ - 1}) + moved * bus_bytes_;
    }
    uint32_t bus_bytes() const { return bus_bytes_; }

  private:
    void complain(bool wrong, const char* text) {
        if (wrong && !violation_) violation_ = text;
    }
    bool crosses(uint64_t address, uint32_t beats) const {
        const uint64_t first = address & ~uint64_t{bus_bytes_ - 1};
        return first / 4096 != (first + uint64_t{beats} * bus_bytes_ - 1) / 4096;
    }
    void watch(const Inputs& in, bool last) {
        const Inputs& was = before_;
        complain(in.arvalid && crosses(in.araddr, in.arbeats), "a read burst crosses 4 KiB");
        complain(in.awvalid && crosses(in.awaddr, in.awbeats), "a write burst crosses 4 KiB");
        complain(was.arvalid && (!in.arvalid || in.araddr != was.araddr || in.arbeats != was.arbeats),
                 "a read address changed before it was taken");
        complain(was.awvalid && (!in.awvalid || in.awaddr != was.awaddr || in.awbeats != was.awbeats),
                 "a write address changed before it was taken");
        complain(was.wvalid && !in.wvalid, "a write beat went before it was taken");
        complain(in.wvalid && timing.wready() && last != (timing.beats_left() == 1), "WLAST is wrong");
        before_ = in;
        before_.arvalid = in.arvalid && !timing.arready();
        before_.awvalid = in.awvalid && !timing.awready();
        before_.wvalid = in.wvalid && !timing.wready();
    }

    uint32_t bus_bytes_;
    uint64_t size_;
    Inputs before_;
    const char* violation_ = nullptr;
};

/// The contract with bytes. What lies outside of them reads as zero, and is not written.
class Memory : public Protocol {
  public:
    Memory(const Config& config, uint32_t bus_bytes, std::vector<uint8_t> bytes)
        : Protocol(config, bus_bytes, bytes.size()), bytes_(std::move(bytes)) {}

    std::vector<uint8_t>& bytes() { return bytes_; }

    /// Copies the beat that is shown to `data`, as wide as the bus; zeros while `rvalid` is low.
    void read_data(uint8_t* data) const {
        std::memset(data, 0, bus_bytes());
        if (timing.rvalid() && inside()) std::memcpy(data, &bytes_[beat_address()], bus_bytes());
    }
    /// Ends the current cycle. `data` is WDATA; bit i of `strobe` enables byte i.
    void edge(const Inputs& in, const uint8_t* data, uint64_t strobe, bool last) {
        if (in.wvalid && timing.wready() && inside()) {
            uint8_t* place = &bytes_[beat_address()];
            for (uint32_t i = 0; i < bus_bytes(); ++i) {
                if (strobe >> i & 1) place[i] = data[i];
            }
        }
        Protocol::edge(in, strobe, last);
    }

  private:
    std::vector<uint8_t> bytes_;
};

}  // namespace dram
