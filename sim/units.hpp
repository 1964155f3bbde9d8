// The units around the engines, register for register as in the hardware, without their data.
//
// Every unit has functions for what its registers show in a cycle, and an `edge` that ends the cycle. The machine
// reads all it needs before it calls the first `edge`. Each `edge` says whether a register changed.

#pragma once

#include <algorithm>
#include <cstdint>

#include "dram.hpp"
#include "machine.hpp"

namespace machine {

using dram::Ring;

/// AXI reads for two clients, data in the order of the requests.
struct ReadPort {
    uint32_t outstanding;
    bool far;                          // whether a request is taken, and whose, is known a cycle before
    bool open = true, for_load = true;  // then: it is, and LOAD's
    bool arvalid = false;
    uint32_t arbeats = 0;
    uint32_t flying = 0;
    uint64_t order = 0;  // bit i: the i-th burst in flight is LOAD's

    bool load_next() const { return flying != 0 && (order & 1) != 0; }
    bool fetch_next() const { return flying != 0 && (order & 1) == 0; }
    bool free(bool arready) const { return far ? open : (!arvalid || arready) && flying != outstanding; }
    bool idle() const { return flying == 0 && !arvalid; }

    /// The edge of what is known a cycle before.
    bool look(bool accept, bool fetch_asks) {
        const bool was_open = open, was_load = for_load;
        open = !arvalid && !accept && flying != outstanding;
        for_load = !fetch_asks;
        return open != was_open || for_load != was_load;
    }

    bool edge(bool accept, bool for_load, uint32_t beats, bool arready, bool last) {
        const bool left = arvalid && arready;
        if (last) {
            order >>= 1;
            --flying;
        }
        if (accept) {
            order |= uint64_t{for_load} << flying++;
            arvalid = true;
            arbeats = beats;
        } else if (left) {
            arvalid = false;
        }
        return accept || left || last;
    }
};

/// AXI writes: bursts are asked for, then their beats are given in order.
struct WritePort {
    WritePort(uint32_t most, bool away) : outstanding(most), far(away), owed(most) {}

    uint32_t outstanding;
    bool far;
    bool open = true;  // if it is far: a burst is taken
    bool awvalid = false;
    uint32_t waiting = 0;  // beats in the registers of the data channel: one, or two if it is far
    uint32_t awbeats = 0, flying = 0, sent = 0;
    Ring<uint32_t> owed;

    bool burst_ready(bool awready) const { return far ? open : (!awvalid || awready) && flying != outstanding; }
    bool wvalid() const { return waiting != 0; }
    bool room(bool wready) const { return !owed.empty() && (far ? waiting < 2 : waiting == 0 || wready); }
    /// Coming beats that do not end the burst.
    uint64_t streams_for() const { return owed.empty() ? 0 : owed.front() - sent - 1; }
    bool idle() const { return flying == 0 && !awvalid && waiting == 0; }
    bool rests() const { return idle() && (open || !far); }

    bool edge(bool accept, uint32_t beats, bool awready, bool move, bool wready, bool answered) {
        const bool was_open = open;
        open = !awvalid && !accept && flying != outstanding;
        const bool changed = accept || (awvalid && awready) || move || (wvalid() && wready) || answered;
        if (!changed) return far && open != was_open;
        awvalid = accept || (awvalid && !awready);
        waiting -= wvalid() && wready;
        waiting += move;
        flying += accept;
        flying -= answered;
        if (move && ++sent == owed.front()) {
            sent = 0;
            owed.pop();
        }
        if (accept) {
            awbeats = beats;
            owed.push(beats);
        }
        return true;
    }
};

/// Instruction fetch, and the register with the next instruction.
struct Fetch {
    Fetch(int64_t count, int64_t bus_bytes, int64_t depth, bool away)
        : instructions(count),
          per_beat(static_cast<uint32_t>(bus_bytes / 16)),
          room(static_cast<uint32_t>(depth)),
          far(away) {}

    int64_t instructions;
    uint32_t per_beat;  // instructions per beat; 0: two beats make one
    uint32_t room;      // beats of the buffer
    bool far;           // the register is only filled when it is empty
    bool running = false, valid = false, half = false;
    int64_t left = 0, beats_left = 0;
    uint32_t level = 0, reserved = 0, at = 0;

    void go() {
        running = true;
        left = instructions;
        beats_left = per_beat == 0 ? 2 * left : (left + per_beat - 1) / per_beat;
    }
    bool asks() const { return beats_left != 0 && reserved <= room / 2; }
    uint32_t beats() const { return static_cast<uint32_t>(std::min<int64_t>(beats_left, room / 2)); }

    bool edge(bool asked, bool push, bool take) {
        const bool wants = (!valid || (take && !far)) && left != 0;
        bool pop = false, fill = false;
        if (level != 0) {
            fill = wants && (per_beat != 0 || half);
            pop = per_beat == 0 ? !half || wants : fill && at + 1 == per_beat;
        }
        if (!(asked || push || take || fill || pop)) return false;
        if (pop && per_beat == 0) half = !half;
        if (fill && per_beat != 0) at = at + 1 == per_beat ? 0 : at + 1;
        if (asked) {
            const uint32_t count = beats();
            reserved += count;
            beats_left -= count;
        }
        reserved -= pop;
        level += push;
        level -= pop;
        left -= fill;
        valid = fill || (valid && !take);
        return true;
    }
};

/// What LOAD's walker hands to its packer: a run as bytes of padding, data, padding.
struct Piece {
    uint32_t lead, data, trail, low;
    bool group_end, run_end;
};

inline int log2(int64_t power) {
    int bits = 0;
    while (int64_t{1} << bits < power) ++bits;
    return bits;
}

/// Beats of the next burst: not more than there are, than a burst may have, and than 4 KiB of addresses hold.
inline uint32_t burst_at(int64_t address, int64_t beats, int64_t most, int shift) {
    const int64_t to_boundary = (4096 >> shift) - ((address & 4095) >> shift);
    return static_cast<uint32_t>(std::min({beats, most, to_boundary}));
}

/// Two's complement number of so many bits, as a register of that width keeps it.
inline int64_t wrap(int64_t value, int bits) {
    const int64_t half = int64_t{1} << (bits - 1);
    return ((value + half) & (2 * half - 1)) - half;
}

/// First two stages of LOAD: one run every four cycles at most, and the requests for its bytes.
struct Walker {
    enum Phase : uint8_t { IDLE, WAIT, CLIP, COUNT, BEATS, ASK };

    Walker(int64_t bus, int64_t burst, bool waits) : shift(log2(bus)), burst_beats(burst), starts(waits ? WAIT : CLIP) {}

    int shift;  // of a bus word
    int64_t burst_beats;
    Phase starts;  // first phase of a run
    Phase phase = IDLE;
    bool pushed = false;
    LoadRun run{};
    int64_t rows_left = 0, groups_left = 0, address = 0, group_address = 0, x = 0, y = 0;
    int64_t first = 0, beats = 0;
    Piece piece{};

    bool ready(bool full) const { return phase == ASK && (pushed || !full); }
    bool asks(bool full) const { return beats != 0 && ready(full); }
    uint32_t burst() const { return burst_at(first, beats, burst_beats, shift); }

    void begin(const LoadRun& parameters) {
        run = parameters;
        rows_left = run.run_count;
        groups_left = run.windowed ? run.group_count : 1;
        address = group_address = run.address;
        x = run.x_start;
        y = run.y_start;
        phase = starts;
    }

    bool edge(bool accepted, Ring<Piece>& runs, bool full) {
        if (phase == IDLE) return false;
        if (phase != ASK) {
            if (phase == BEATS) prepare();
            phase = static_cast<Phase>(phase + 1);
            return true;
        }
        if (!ready(full)) return false;
        const bool first_time = !pushed;
        if (first_time) runs.push(piece);
        pushed = true;
        if (beats == 0) {
            next();
            return true;
        }
        if (!accepted) return first_time;
        const int64_t count = burst();
        first = ((first >> shift) + count) << shift;  // later bursts begin at the start of a bus word
        beats -= count;
        if (beats == 0) next();
        return true;
    }

  private:
    bool last_row() const { return rows_left == 1; }

    /// What the hardware works out in CLIP, COUNT and BEATS.
    void prepare() {
        const int64_t bytes = run.run_bytes;
        int64_t lead = 0, trail = 0;
        if (run.windowed) {
            lead = std::min(std::max<int64_t>(-x, 0), bytes);
            trail = std::min(std::max<int64_t>(x + bytes - run.row_bytes, 0), bytes);
            if (y < 0 || y >= run.row_count) {
                lead = bytes;
                trail = 0;
            }
        }
        const int64_t data = bytes - lead - trail;
        first = address + lead;
        const int64_t whole = (int64_t{1} << shift) - 1;
        const int64_t low = first & whole;
        beats = data ? (low + data + whole) >> shift : 0;
        piece = {static_cast<uint32_t>(lead),
                 static_cast<uint32_t>(data),
                 static_cast<uint32_t>(trail),
                 static_cast<uint32_t>(low),
                 last_row(),
                 last_row() && groups_left == 1};
        pushed = false;
    }

    void next() {
        phase = last_row() && groups_left == 1 ? IDLE : CLIP;
        if (last_row()) {
            rows_left = run.run_count;
            groups_left = (groups_left - 1) & 0xFFFF;
            group_address += run.x_step;
            address = group_address;
            x = wrap(x + run.x_step, 24);
            y = run.y_start;
        } else {
            --rows_left;
            address += run.row_pitch;
            y = wrap(y + 1, 18);
        }
    }
};

/// Third stage of LOAD: takes a beat or a bus word of padding per cycle, and aligns the ends of groups.
struct Packer {
    enum Phase : uint8_t { EMPTY, DATA, ALIGN, FLUSH };

    Packer(int64_t bus, int64_t word, bool late)
        : shift(log2(bus)), bus_bytes(static_cast<uint32_t>(bus)), lanes(static_cast<uint32_t>(word)), far(late) {}

    int shift;
    uint32_t bus_bytes, lanes;
    bool far;            // what aligning takes is worked out in a cycle of its own
    bool known = false;  // it is
    Phase phase = EMPTY;
    Piece left{};
    uint32_t offset = 0;  // bytes packed, modulo a word of activations
    bool packed = false;  // something was, in the cycle that the last edge ended

    bool takes() const { return phase == DATA && left.lead == 0 && left.data != 0; }
    bool flushes() const { return phase == FLUSH; }
    void begin() { offset = 0; }

    bool edge(bool data_valid, Ring<Piece>& runs) {
        packed = false;
        switch (phase) {
        case EMPTY:
            return load(runs);
        case DATA:
            return pack(data_valid, runs);
        case ALIGN:
            if (far && !known) {
                known = true;
            } else {
                align(runs);
            }
            return true;
        default:
            phase = EMPTY;
            return true;
        }
    }

    /// Coming cycles that can take a whole beat each and do not end the run.
    uint64_t streams_for() const { return takes() && left.low == 0 ? (left.data - 1) >> shift : 0; }
    void stream(uint64_t cycles) {
        const uint64_t bytes = cycles * bus_bytes;
        left.data -= static_cast<uint32_t>(bytes);
        offset = static_cast<uint32_t>((offset + bytes) & (lanes - 1));
    }

  private:
    bool load(Ring<Piece>& runs) {
        phase = runs.empty() ? EMPTY : DATA;
        if (phase == EMPTY) return false;
        left = runs.front();
        runs.pop();
        return true;
    }
    bool pack(bool data_valid, Ring<Piece>& runs) {
        const bool in_data = takes();
        if (in_data && !data_valid) return false;
        uint32_t& part = left.lead ? left.lead : in_data ? left.data : left.trail;
        const uint32_t amount = std::min(part, in_data ? bus_bytes - left.low : bus_bytes);
        part -= amount;
        if (in_data) left.low = 0;
        add(amount);
        if (left.lead + left.data + left.trail != 0) return true;
        if (left.group_end) {
            phase = ALIGN;
        } else {
            load(runs);
        }
        return true;
    }
    void align(Ring<Piece>& runs) {
        known = false;
        const uint32_t to_word = lanes - offset;
        const bool ragged = offset != 0;
        if (ragged) add(std::min(to_word, bus_bytes));
        if (ragged && to_word > bus_bytes) return;
        if (left.run_end) {
            phase = FLUSH;
        } else {
            load(runs);
        }
    }
    void add(uint32_t amount) {
        packed = true;
        offset = (offset + amount) & (lanes - 1);
    }
};

/// STORE: one walker asks for bursts, the other reads the buffer ahead of the bus.
struct Store {
    enum Ask : uint8_t { IDLE, ROW, ASK };
    enum Read : uint8_t { REST, START, READ, LAST };

    Store(int64_t bus, int64_t burst, int64_t depth, int64_t buffer_latency, bool late)
        : shift(log2(bus)),
          burst_beats(burst),
          room(static_cast<uint32_t>(depth)),
          latency(static_cast<uint32_t>(buffer_latency)),
          late(late) {}

    int shift;  // of a bus word
    int64_t burst_beats;
    uint32_t room;  // beats of the queue
    uint32_t latency;  // of the buffer
    bool late;         // a run begins a cycle after its start, and ends one later
    bool ending = false;  // the run stopped in the cycle before
    bool waiting = false, running = false, asked = true, read = true;
    Ask ask = IDLE;
    Read reader = REST;
    int64_t row_beats = 0, row_pitch = 0, rows = 0;
    int64_t address = 0, row_address = 0, beats = 0, rows_left = 0;
    int64_t read_beats = 0, read_rows = 0;
    uint32_t on_way = 0, level = 0, reserved = 0;  // on_way: one bit per cycle of the buffer's latency

    bool asks() const { return ask == ASK; }
    bool has_beat() const { return level != 0; }
    bool stopped(bool port_idle) const { return running && asked && read && level == 0 && port_idle; }
    bool done(bool port_idle) const { return late ? ending : stopped(port_idle); }
    uint32_t burst() const { return burst_at(address, beats, burst_beats, shift); }

    /// Coming cycles that can each read a beat and hand one over, with all that is between as it is.
    uint64_t streams_for() const {
        const bool steady = ask != ROW && reader == READ && on_way == (1u << latency) - 1 && level != 0 && reserved != room;
        return steady ? static_cast<uint64_t>(read_beats - 1) : 0;
    }

    void begin(const StoreRun& run) {
        running = true;
        waiting = late;
        asked = read = false;
        ask = ROW;
        reader = START;
        row_beats = (run.run_bytes + (int64_t{1} << shift) - 1) >> shift;
        row_pitch = run.row_pitch;
        row_address = run.address;
        rows_left = read_rows = run.run_count;
    }

    bool edge(bool accepted, bool pop, bool port_idle) {
        const bool ended = ending;
        ending = stopped(port_idle);
        if (!running) return ended;
        if (waiting) {
            waiting = false;
            return true;
        }
        running = !ending;
        const bool asks_changed = ask_edge(accepted);
        return read_edge(pop) || asks_changed || ending;
    }

  private:
    bool ask_edge(bool accepted) {
        if (ask == ROW) {
            beats = row_beats;
            address = row_address;
            ask = ASK;
            return true;
        }
        if (!accepted) return false;
        const int64_t count = burst();
        beats -= count;
        address += count << shift;
        if (beats != 0) return true;
        row_address += row_pitch;
        asked = --rows_left == 0;
        ask = asked ? IDLE : ROW;
        return true;
    }

    bool read_edge(bool pop) {
        const Read was = reader;
        const uint32_t way = on_way;
        bool reads = false;
        if (reader == START) {
            read_beats = row_beats;
            reader = READ;
        } else if (reader == READ) {
            reads = reserved != room;
            if (reads && --read_beats == 0) reader = --read_rows == 0 ? LAST : START;
        } else if (reader == LAST && way == 0) {
            read = true;
            reader = REST;
        }
        level += way >> (latency - 1) & 1;
        level -= pop;
        reserved += reads;
        reserved -= pop;
        on_way = (way << 1 | reads) & ((1u << latency) - 1);
        return pop || reads || way != 0 || was != reader;
    }
};

}  // namespace machine
