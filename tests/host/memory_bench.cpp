// The memory on the chip beside the contract of sim/dram.hpp, which stands before this text: a random AXI master drives
// both, and in every cycle the outputs must be equal. A host reads and writes words in between, if asked to.
//
// Arguments: seed, cycles, mode (0: alone, 1: with a host, whose words cost time; then only data and answers count).

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>

#include "Vtop.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

std::mt19937_64 rng;
uint64_t below(uint64_t n) { return rng() % n; }

struct Burst {
    uint64_t address;
    uint32_t beats;
};

int fail(uint64_t cycle, const char* what, uint64_t got, uint64_t wanted) {
    std::fprintf(stderr, "cycle %llu: %s is %llu, the contract has %llu\n", static_cast<unsigned long long>(cycle), what,
                 static_cast<unsigned long long>(got), static_cast<unsigned long long>(wanted));
    return 1;
}

Burst draw(bool upper) {
    Burst b;
    b.beats = 1 + below(below(4) ? 6 : 256 / BUS_BYTES * 16 < 256 ? 256 / BUS_BYTES * 16 : 256);
    const uint64_t page = below(12) == 0 ? SIZE / 4096 + below(4) : (upper ? SIZE / 8192 : 0) + below(SIZE / 8192);
    const uint64_t rows = 4096 / BUS_BYTES;
    if (b.beats > rows) b.beats = rows;
    b.address = page * 4096 + below(rows - b.beats + 1) * BUS_BYTES;
    return b;
}

}  // namespace

int main(int, char** argv) {
    rng.seed(std::strtoull(argv[1], nullptr, 10));
    const uint64_t cycles = std::strtoull(argv[2], nullptr, 10);
    const bool host = argv[3][0] == '1';
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    Vtop& t = *top;
    dram::Config config;
    config.latency = LATENCY;
    config.interval = 1;
    config.depth = DEPTH;
    config.write_latency = WRITE_LATENCY;
    dram::Memory memory(config, BUS_BYTES, std::vector<uint8_t>(SIZE));
    t.rst = 1;
    for (int i = 0; i < 3; ++i) {
        t.clk = 0;
        t.eval();
        t.clk = 1;
        t.eval();
    }
    t.rst = 0;

    // With a host: what the master asked for, to compare data and answers in order.
    std::deque<Burst> asked_reads, asked_writes;
    std::deque<bool> refused;
    std::vector<uint8_t> bytes(SIZE);
    uint64_t read_beat = 0, reads = 0, writes = 0, words = 0;
    bool write_refused = false;

    std::deque<Burst> owed;  // writes whose beats are to be sent
    uint64_t sent = 0, bursts_out = 0;
    bool upper = false;  // writes go there, reads go to the other half: none overtakes a write to its row
    uint64_t turn = 0;
    uint8_t data[64], got[64];
    bool ar = false, aw = false, w = false;
    Burst next_read{}, next_write{};
    uint64_t strobe = 0;
    int hosts = 0;  // 0 rests, 1 writes, 2 reads
    uint64_t host_address = 0, host_word = 0;
    bool host_a = false, host_d = false;

    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        t.clk = 0;
        if (turn == 0 && !ar && !aw && owed.empty() && bursts_out == 0 && asked_reads.empty()) {
            upper = !upper;
            turn = 200 + below(400);
        }
        const bool quiet = turn == 0;
        if (turn) --turn;
        if (!ar && !quiet && below(3) == 0) {
            ar = true;
            next_read = draw(!upper);
        }
        if (!aw && !quiet && owed.size() < 3 && below(4) == 0) {
            aw = true;
            next_write = draw(upper);
        }
        if (!w && !owed.empty() && below(4)) {
            w = true;
            for (auto& byte : data) byte = static_cast<uint8_t>(rng());
            strobe = below(3) ? rng() : below(2) ? ~uint64_t{0} : 0;
            if (BUS_BYTES < 64) strobe &= (uint64_t{1} << BUS_BYTES) - 1;
        }
        dram::Inputs in;
        in.arvalid = t.s_axi_arvalid = ar;
        in.araddr = t.s_axi_araddr = next_read.address;
        t.s_axi_arlen = next_read.beats - 1;
        in.arbeats = next_read.beats;
        in.awvalid = t.s_axi_awvalid = aw;
        in.awaddr = t.s_axi_awaddr = next_write.address;
        t.s_axi_awlen = next_write.beats - 1;
        in.awbeats = next_write.beats;
        in.wvalid = t.s_axi_wvalid = w;
        std::memcpy(&t.s_axi_wdata, data, BUS_BYTES);
        t.s_axi_wstrb = strobe;
        in.rready = t.s_axi_rready = below(4) != 0;
        in.bready = t.s_axi_bready = host ? below(4) != 0 : true;
        if (host) {
            if (hosts == 0 && below(20) == 0) {
                hosts = 1 + static_cast<int>(below(2));
                host_address = 4 * below(SIZE / 4 + 8);
                host_word = static_cast<uint32_t>(rng());
                host_a = host_d = true;
                // Words of rows that a burst may be about to write have no order; leave those alone.
                if (bursts_out || !owed.empty() || aw || ar || !asked_reads.empty()) hosts = below(2) ? 0 : 3;
            }
            const bool active = hosts == 1 || hosts == 2;
            t.host_awvalid = hosts == 1 && host_a;
            t.host_wvalid = hosts == 1 && host_d;
            t.host_arvalid = hosts == 2 && host_a;
            // A read that nobody compares makes the two entrances compete.
            if (hosts == 3) t.host_arvalid = host_a;
            t.host_awaddr = t.host_araddr = static_cast<uint16_t>(host_address);
            t.host_wdata = static_cast<uint32_t>(host_word);
            t.host_wstrb = 15;
            t.host_bready = active && below(2);
            t.host_rready = (active || hosts == 3) && below(2);
        }
        t.eval();
        const dram::Timing& timing = memory.timing;
        std::memcpy(got, &t.s_axi_rdata, BUS_BYTES);
        if (!host) {
            uint8_t expected[64];
            memory.read_data(expected);
#define SAME(name, wanted) \
    if (t.name != (wanted)) return fail(cycle, #name, t.name, (wanted))
            SAME(s_axi_arready, timing.arready());
            SAME(s_axi_awready, timing.awready());
            SAME(s_axi_wready, timing.wready());
            SAME(s_axi_rvalid, timing.rvalid());
            SAME(s_axi_bvalid, timing.bvalid());
            if (timing.rvalid()) {
                SAME(s_axi_rlast, timing.rlast());
                SAME(s_axi_rresp, memory.rresp());
                if (memory.inside() && std::memcmp(expected, got, BUS_BYTES)) return fail(cycle, "rdata", got[0], expected[0]);
            }
            if (timing.bvalid()) SAME(s_axi_bresp, memory.bresp());
        }
        const bool takes_ar = ar && t.s_axi_arready, takes_aw = aw && t.s_axi_awready, takes_w = w && t.s_axi_wready;
        const bool last = takes_w && sent + 1 == owed.front().beats;
        if (takes_ar) asked_reads.push_back(next_read);
        if (t.s_axi_rvalid && in.rready) {
            const Burst& burst = asked_reads.front();
            const uint64_t address = burst.address + read_beat * BUS_BYTES;
            const bool there = address < SIZE;
            if (t.s_axi_rresp != (there ? 0 : 3)) return fail(cycle, "a read's response", t.s_axi_rresp, there ? 0 : 3);
            if (there && std::memcmp(&bytes[address], got, BUS_BYTES)) return fail(cycle, "a read's data", got[0], bytes[address]);
            const bool ends = ++read_beat == burst.beats;
            if (t.s_axi_rlast != ends) return fail(cycle, "rlast", t.s_axi_rlast, ends);
            if (ends) {
                asked_reads.pop_front();
                read_beat = 0;
                ++reads;
            }
        }
        if (t.s_axi_bvalid && in.bready) {
            if (refused.empty()) return fail(cycle, "bvalid", 1, 0);
            if (t.s_axi_bresp != (refused.front() ? 3 : 0)) return fail(cycle, "a write's response", t.s_axi_bresp, 0);
            refused.pop_front();
            --bursts_out;
            ++writes;
        }
        if (takes_w) {
            const uint64_t address = owed.front().address + sent * BUS_BYTES;
            for (uint32_t i = 0; i < BUS_BYTES; ++i) {
                if (!(strobe >> i & 1)) continue;
                if (address + i < SIZE) {
                    bytes[address + i] = data[i];
                } else {
                    write_refused = true;
                }
            }
        }
        if (host) {
            const bool there = host_address < SIZE;
            if (t.host_bvalid && t.host_bready) {
                if (t.host_bresp != (there ? 0 : 3)) return fail(cycle, "the host's write response", t.host_bresp, 0);
                if (there) std::memcpy(&bytes[host_address], &host_word, 4);
                hosts = 0;
                ++words;
            } else if (t.host_rvalid && t.host_rready) {
                uint32_t wanted = 0;
                if (there) std::memcpy(&wanted, &bytes[host_address], 4);
                if (t.host_rresp != (there ? 0 : 3)) return fail(cycle, "the host's read response", t.host_rresp, 0);
                if (hosts == 2 && there && t.host_rdata != wanted) return fail(cycle, "the host's word", t.host_rdata, wanted);
                hosts = 0;
                ++words;
            } else {
                if ((t.host_awvalid && t.host_awready) || (t.host_arvalid && t.host_arready)) host_a = false;
                if (t.host_wvalid && t.host_wready) host_d = false;
            }
        }
        if (!host) memory.edge(in, data, strobe, last);
        if (takes_ar) ar = false;
        if (takes_aw) {
            owed.push_back(next_write);
            ++bursts_out;
            aw = false;
        }
        if (takes_w) {
            w = false;
            if (++sent == owed.front().beats) {
                owed.pop_front();
                refused.push_back(write_refused);
                write_refused = false;
                sent = 0;
            }
        }
        t.clk = 1;
        t.eval();
    }
    top->final();
    std::printf("%llu %llu %llu\n", static_cast<unsigned long long>(reads), static_cast<unsigned long long>(writes),
                static_cast<unsigned long long>(words));
    return 0;
}
