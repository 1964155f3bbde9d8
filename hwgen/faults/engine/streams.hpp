// The other side of a block with AXI-Stream ports, by the two rules of verify/: a producer offers its next beat in the
// first open cycle in which it holds none, and holds it until it is taken; a consumer is ready exactly in open cycles.
//
// Nothing here knows how the design is simulated. Pins are 64-bit words, in the order of the job.

#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "fault.hpp"

namespace faults {

struct Stream {
    bool input;
    u32 beats, words;  // how many are sent or expected; 64-bit words of a beat
    u32 data, valid, ready, last;  // pins: of the inputs or of the outputs; `last` may be NONE
    std::vector<u8> gate;
    std::vector<u64> payload;  // input: beats * words
    std::vector<u8> lasts;
    u32 place;  // output: number of its first word among all that are given
};

struct StreamJob {
    std::vector<Stream> streams;
    u32 quiet;  // cycles without a beat that end a finished run
    u32 error, detected, corrected;  // output pins that report an error, a fault, and that one was put right; or NONE
    mutable std::vector<u64> expected;  // what the first run, the fault-free one, gave
    mutable bool recording = true;

    explicit StreamJob(Reader& r) {
        quiet = r.small();
        error = r.small();
        detected = r.small();
        corrected = r.small();
        u32 place = 0;
        for (u32 n = r.small(); n--;) {
            Stream s{};
            s.input = r.next() != 0;
            s.beats = r.small();
            s.words = r.small();
            s.data = r.small();
            s.valid = r.small();
            s.ready = r.small();
            s.last = r.small();
            for (u32 k = r.small(); k--;) s.gate.push_back(static_cast<u8>(r.next()));
            for (u32 k = r.small(); k--;) s.payload.push_back(r.next());
            for (u32 k = r.small(); k--;) s.lasts.push_back(static_cast<u8>(r.next()));
            s.place = place;
            if (!s.input) place += s.beats * (s.words + 1);
            streams.push_back(s);
        }
        expected.resize(place);
    }
};

class StreamBench {
  public:
    static constexpr u32 MOST = 8;  // streams

    StreamBench() = default;
    explicit StreamBench(const StreamJob& job) : job_(&job) {}

    void drive(u64* in) {
        for (u32 i = 0; i < job_->streams.size(); ++i) {
            const Stream& s = job_->streams[i];
            const bool open = s.gate[cycle_ % s.gate.size()] != 0;
            if (!s.input) {
                in[s.ready] = open;
                continue;
            }
            if (!holds_[i] && moved_[i] < s.beats && open) {
                holds_[i] = true;
                for (u32 k = 0; k < s.words; ++k) in[s.data + k] = s.payload[std::size_t{moved_[i]} * s.words + k];
                if (s.last != NONE) in[s.last] = s.lasts[moved_[i]];
            }
            in[s.valid] = holds_[i];
        }
    }
    void edge(const u64* out) {
        bool finished = true, extra = false;
        for (u32 i = 0; i < job_->streams.size(); ++i) {
            const Stream& s = job_->streams[i];
            if (s.input) {
                if (holds_[i] && out[s.ready]) {
                    holds_[i] = false;
                    ++moved_[i];
                    last_ = cycle_;
                }
            } else if (out[s.valid] && s.gate[cycle_ % s.gate.size()]) {
                if (moved_[i] < s.beats) {
                    const u32 place = s.place + moved_[i] * (s.words + 1);
                    for (u32 k = 0; k < s.words; ++k) give(place + k, out[s.data + k]);
                    give(place + s.words, s.last == NONE ? 0 : out[s.last]);
                } else {
                    extra = true;
                }
                ++moved_[i];
                last_ = cycle_;
            }
            finished = finished && moved_[i] >= s.beats;
        }
        for (const u32 pin : {job_->error, job_->detected}) {
            if (pin != NONE && out[pin] && flag_ == NONE) flag_ = cycle_;
        }
        if (job_->corrected != NONE && out[job_->corrected]) mended_ = true;
        if (extra && status_ != BROKE) {
            status_ = BROKE;
            broke_ = cycle_;
        }
        const bool over = status_ == BROKE && (job_->detected == NONE || flag_ != NONE || cycle_ - broke_ == LATE);
        done_ = over || (status_ != BROKE && finished && cycle_ - last_ >= job_->quiet);
        ++cycle_;
    }
    bool done() const { return done_; }
    /// Whether nothing can happen any more unless the design does something.
    bool still() const {
        bool open = true, finished = true;
        for (u32 i = 0; i < job_->streams.size(); ++i) {
            open = open && job_->streams[i].gate.size() == 1;
            finished = finished && moved_[i] >= job_->streams[i].beats;
        }
        return open && !finished && last_ + 1 < cycle_;
    }
    /// Whether this looks at an output.
    bool acts_on(u32) const { return true; }
    u32 cycle() const { return cycle_; }
    Status status() const { return done_ ? status_ : HUNG; }
    u64 digest() const { return digest_; }
    u32 flag() const { return flag_; }
    /// Words given that differ from the fault-free ones.
    u32 wrong() const { return wrong_; }
    /// Length of the run: last beat plus one.
    u32 end() const { return last_ + 1; }

    // For runs that differ from the fault-free one in some words only. The fault-free bench at the start of the cycle.

    /// What it means if an output differs.
    Effect effect(u32 output, const u64* out) const {
        if (output == job_->error) return FLOW;
        if (reports(output)) return FLAG;
        if (output == job_->corrected) return MENDED;
        for (u32 i = 0; i < job_->streams.size(); ++i) {
            const Stream& s = job_->streams[i];
            const bool open = s.gate[cycle_ % s.gate.size()] != 0;
            if (s.input) {
                if (output == s.ready) return holds_[i] || (moved_[i] < s.beats && open) ? FLOW : IGNORED;
            } else {
                if (output == s.valid) return open ? FLOW : IGNORED;
                if (output == s.last || (output >= s.data && output < s.data + s.words)) {
                    return open && out[s.valid] ? DATA : IGNORED;
                }
            }
        }
        return IGNORED;
    }
    /// Where a word of an output goes; only of those that are DATA.
    u32 place(u32 output) const {
        for (u32 i = 0; i < job_->streams.size(); ++i) {
            const Stream& s = job_->streams[i];
            if (s.input) continue;
            const u32 first = s.place + moved_[i] * (s.words + 1);
            if (output == s.last) return first + s.words;
            if (output >= s.data && output < s.data + s.words) return first + (output - s.data);
        }
        return 0;
    }
    /// Keep words as they are given; there is room for `places()` of them.
    void keep(u64* words) { given_ = words; }
    std::size_t places() const { return job_->expected.size(); }
    const std::vector<u64>& expected() const { return job_->expected; }
    /// Exchange a word that was given before.
    void exchange(u64 difference) { digest_ += difference; }
    /// Whether an output does nothing but report faults.
    bool reports(u32 output) const { return output == job_->detected; }
    /// It did in a cycle before, or never.
    void report(u32 cycle) { flag_ = std::min(flag_, cycle); }
    /// Whether it ever told that it corrected something.
    bool mended() const { return mended_; }
    void mend() { mended_ = true; }

  private:
    void give(u32 place, u64 word) {
        digest_ += mixed(place, word);
        if (given_) given_[place] = word;
        if (job_->recording) job_->expected[place] = word;
        else wrong_ += word != job_->expected[place];
    }

    const StreamJob* job_ = nullptr;
    u64* given_ = nullptr;
    std::array<u32, MOST> moved_{};
    std::array<bool, MOST> holds_{};
    u64 digest_ = 0;
    u32 cycle_ = 0, last_ = 0, broke_ = 0, flag_ = NONE, wrong_ = 0;
    Status status_ = FINISHED;
    bool done_ = false, mended_ = false;
};

}  // namespace faults
