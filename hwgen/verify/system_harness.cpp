// Drives an accelerator: control over AXI4-Lite, memory by the contract of sim/dram.hpp, which stands before this text.
//
// Reads a job (see system_harness.py), starts the program, and records in which cycle each engine began or ended an
// instruction. Cycle 0 is the first in which `running` is high.

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "Vtop.h"
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
template <typename T> void get(const T& port, uint8_t* bytes, size_t count) { std::memcpy(bytes, &port, count); }
template <std::size_t N> void get(const VlWide<N>& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, port.data(), count);
}

struct Event {
    uint64_t cycle;
    uint32_t began, ended;
};

struct Bench {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vtop> top = std::make_unique<Vtop>(context.get());
    dram::Memory* memory = nullptr;
    std::vector<Event> events;
    uint64_t cycle = 0, first = 0, cycles = 0;
    bool began = false;
    uint8_t data[128];

    /// One clock cycle: the memory's outputs, the design, the edge.
    void step() {
        Vtop& t = *top;
        t.clk = 0;
        const dram::Timing& timing = memory->timing;
        t.m_axi_arready = timing.arready();
        t.m_axi_awready = timing.awready();
        t.m_axi_wready = timing.wready();
        t.m_axi_rvalid = timing.rvalid();
        t.m_axi_rlast = timing.rlast();
        t.m_axi_rresp = memory->rresp();
        t.m_axi_bvalid = timing.bvalid();
        t.m_axi_bresp = memory->bresp();
        memory->read_data(data);
        put(t.m_axi_rdata, data, BUS_BYTES);
        t.eval();
        dram::Inputs in;
        in.arvalid = t.m_axi_arvalid;
        in.awvalid = t.m_axi_awvalid;
        in.wvalid = t.m_axi_wvalid;
        in.rready = t.m_axi_rready;
        in.bready = t.m_axi_bready;
        in.araddr = t.m_axi_araddr;
        in.awaddr = t.m_axi_awaddr;
        in.arbeats = t.m_axi_arlen + 1u;
        in.awbeats = t.m_axi_awlen + 1u;
        get(t.m_axi_wdata, data, BUS_BYTES);
        memory->edge(in, data, t.m_axi_wstrb, t.m_axi_wlast);
        if (t.running) {
            if (!began) first = cycle;
            began = true;
            cycles = cycle - first + 1;
            if (t.event_began | t.event_ended) events.push_back({cycle - first, t.event_began, t.event_ended});
        }
        t.clk = 1;
        t.eval();
        ++cycle;
    }
    void write(uint32_t address, uint32_t value) {
        Vtop& t = *top;
        t.s_axi_awaddr = address;
        t.s_axi_wdata = value;
        t.s_axi_wstrb = 15;
        t.s_axi_bready = 1;
        bool address_sent = false, data_sent = false, answered = false;
        while (!answered) {
            t.s_axi_awvalid = !address_sent;
            t.s_axi_wvalid = !data_sent;
            t.clk = 0;
            t.eval();
            const bool takes_address = t.s_axi_awready, takes_data = t.s_axi_wready;
            answered = t.s_axi_bvalid;
            step();
            address_sent |= takes_address;
            data_sent |= takes_data;
        }
        t.s_axi_awvalid = t.s_axi_wvalid = t.s_axi_bready = 0;
    }
    uint32_t read(uint32_t address) {
        Vtop& t = *top;
        t.s_axi_araddr = address;
        t.s_axi_rready = 1;
        bool sent = false;
        for (;;) {
            t.s_axi_arvalid = !sent;
            t.clk = 0;
            t.eval();
            const bool takes = t.s_axi_arready, answered = t.s_axi_rvalid;
            const uint32_t value = t.s_axi_rdata;
            step();
            sent |= takes;
            if (answered) {
                t.s_axi_arvalid = t.s_axi_rready = 0;
                return value;
            }
        }
    }
};

uint64_t word(FILE* file) {
    uint64_t value = 0;
    if (std::fread(&value, sizeof value, 1, file) != 1) std::exit(3);
    return value;
}
void put_word(FILE* file, uint64_t value) { std::fwrite(&value, sizeof value, 1, file); }

int run(FILE* in, FILE* out) {
    dram::Config config;
    config.latency = word(in);
    config.interval = static_cast<uint32_t>(word(in));
    config.depth = static_cast<uint32_t>(word(in));
    config.write_latency = word(in);
    const uint64_t program = word(in), count = word(in), limit = word(in), stop_at = word(in);
    const uint64_t fail_read = word(in), fail_write = word(in), response = word(in), registers = word(in);
    std::vector<uint32_t> wanted(registers);
    for (auto& address : wanted) address = static_cast<uint32_t>(word(in));
    std::vector<uint8_t> bytes(word(in));
    if (!bytes.empty() && std::fread(bytes.data(), 1, bytes.size(), in) != bytes.size()) return 3;
    dram::Memory memory(config, BUS_BYTES, std::move(bytes));
    if (fail_read != dram::NEVER) memory.timing.fail_read(fail_read, static_cast<uint8_t>(response));
    if (fail_write != dram::NEVER) memory.timing.fail_write(fail_write, static_cast<uint8_t>(response));

    Bench bench;
    bench.memory = &memory;
    bench.top->rst = 1;
    for (int i = 0; i < 4; ++i) bench.step();
    bench.top->rst = 0;
    bench.write(IRQ_ENABLE, 3);
    bench.write(PROGRAM_LOW, static_cast<uint32_t>(program));
    bench.write(PROGRAM_HIGH, static_cast<uint32_t>(program >> 32));
    bench.write(PROGRAM_COUNT, static_cast<uint32_t>(count));
    bench.write(CONTROL, 1);
    int status = 0;
    bool stopped = false;
    while (!bench.top->irq) {
        bench.step();
        if (bench.cycle > limit) {
            status = 2;
            break;
        }
        if (!stopped && bench.cycles > stop_at) {
            stopped = true;
            bench.write(CONTROL, 2);
        }
    }
    put_word(out, bench.cycles);
    for (uint32_t address : wanted) put_word(out, bench.read(address));
    put_word(out, bench.events.size());
    std::fwrite(bench.events.data(), sizeof(Event), bench.events.size(), out);
    std::fwrite(memory.bytes().data(), 1, memory.bytes().size(), out);
    bench.top->final();
    if (memory.violation()) {
        std::fprintf(stderr, "%s\n", memory.violation());
        return 4;
    }
    return status;
}

}  // namespace

int main(int, char** argv) {
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    if (!in || !out) return 3;
    const int status = run(in, out);
    if (std::fclose(out) != 0) return 3;
    std::fclose(in);
    return status;
}
