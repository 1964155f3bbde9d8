// Runs programs on the rig of test_machine_rtl.py with the memory of sim/dram.hpp behind it.
//
// Standard input: per program seven numbers of 64 bits (bytes, instructions, latency, interval, depth, write latency,
// bytes of the bus) and its bytes. Standard output: a line per event, then one with the results.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "dram.hpp"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

template <typename T> void put(T& port, const uint8_t* bytes, size_t count) {
    T word = 0;
    std::memcpy(&word, bytes, count);
    port = word;
}
template <std::size_t N> void put(VlWide<N>& port, const uint8_t* bytes, size_t count) {
    std::memcpy(port.data(), bytes, count);
}

void tick(Vtop& top) {
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
}

void start(Vtop& top, int64_t count) {
    top.rst = 1;
    top.eval();
    tick(top);
    top.rst = 0;
    top.start = 1;
    top.count = static_cast<uint32_t>(count);
    top.eval();
    tick(top);
    top.start = 0;
}

void show(Vtop& top, const dram::Memory& memory, uint32_t bus) {
    uint8_t data[64];
    memory.read_data(data);
    put(top.m_axi_rdata, data, bus);
    top.m_axi_arready = memory.timing.arready();
    top.m_axi_awready = memory.timing.awready();
    top.m_axi_rvalid = memory.timing.rvalid();
    top.m_axi_rlast = memory.timing.rlast();
    top.m_axi_wready = memory.timing.wready();
    top.m_axi_bvalid = memory.timing.bvalid();
    top.eval();
}

dram::Inputs taken(const Vtop& top) {
    dram::Inputs in;
    in.arvalid = top.m_axi_arvalid;
    in.araddr = top.m_axi_araddr;
    in.arbeats = top.m_axi_arlen + 1u;
    in.awvalid = top.m_axi_awvalid;
    in.awaddr = top.m_axi_awaddr;
    in.awbeats = top.m_axi_awlen + 1u;
    in.wvalid = top.m_axi_wvalid;
    in.rready = top.m_axi_rready;
    in.bready = top.m_axi_bready;
    return in;
}

void run(Vtop& top, dram::Memory& memory, uint32_t bus) {
    long counts[24] = {}, traffic[4] = {}, stopped[3] = {-1, -1, -1}, cycle = 0;
    uint64_t missing = 0;
    const uint8_t nothing[64] = {};
    for (;; ++cycle) {
        show(top, memory, bus);
        if (!top.running) break;
        const uint64_t states = top.states;
        for (int i = 0; i < 24; ++i) counts[i] += states >> i & 1;
        for (int e = 0; e < 6; ++e) {
            if (top.began >> e & 1) std::printf("start %d %ld\n", e, cycle);
            if (top.ended >> e & 1) std::printf("end %d %ld\n", e, cycle);
        }
        if (top.dispatched) std::printf("dispatched 0 %ld\n", cycle);
        const dram::Inputs in = taken(top);
        traffic[0] += in.rready && memory.timing.rvalid();
        traffic[1] += in.arvalid && memory.timing.arready();
        traffic[2] += in.wvalid && memory.timing.wready();
        traffic[3] += in.awvalid && memory.timing.awready();
        if (top.stop && stopped[0] < 0) {
            stopped[0] = top.code;
            stopped[1] = cycle;
            stopped[2] = top.position;
            missing = top.missing;
        }
        memory.edge(in, nothing, 0, top.m_axi_wlast);
        tick(top);
    }
    if (memory.violation()) std::printf("violation %s\n", memory.violation());
    std::printf("result %ld %ld %ld %ld", stopped[0], stopped[1], cycle - 1, stopped[2]);
    for (const long value : traffic) std::printf(" %ld", value);
    for (const long value : counts) std::printf(" %ld", value);
    for (int e = 0; e < 6; ++e) std::printf(" %d", static_cast<int>(missing >> (8 * e) & 0xFF));
    std::printf("\n");
}

}  // namespace

int main() {
    int64_t head[7];
    while (std::fread(head, sizeof head[0], 7, stdin) == 7) {
        std::vector<uint8_t> bytes(static_cast<size_t>(head[0]) + 64);
        if (std::fread(bytes.data(), 1, static_cast<size_t>(head[0]), stdin) != static_cast<size_t>(head[0])) return 3;
        const auto bus = static_cast<uint32_t>(head[6]);
        const dram::Config config{static_cast<uint64_t>(head[2]), static_cast<uint32_t>(head[3]),
                                  static_cast<uint32_t>(head[4]), static_cast<uint64_t>(head[5])};
        dram::Memory memory(config, bus, bytes);
        const auto top = std::make_unique<Vtop>();
        start(*top, head[1]);
        run(*top, memory, bus);
    }
    return 0;
}
