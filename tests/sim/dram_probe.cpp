// The memory model behind one function: what goes in and what comes out, cycle by cycle, as rows of 64-bit numbers.

#include <cstdint>
#include <vector>

#include "dram.hpp"

struct In {
    int64_t arvalid, araddr, arbeats, awvalid, awaddr, awbeats, wvalid, wdata, wstrb, wlast, rready, bready;
};
struct Out {
    int64_t arready, awready, rvalid, rlast, wready, bvalid, rresp, bresp, rdata, still;
};
struct Fail {
    int64_t write, burst, response;
};

extern "C" const char* probe(const int64_t* config, int64_t cycles, const In* in, Out* out, uint8_t* bytes,
                             int64_t size, int64_t fails, const Fail* fail) {
    const dram::Config parameters{static_cast<uint64_t>(config[0]), static_cast<uint32_t>(config[1]),
                                  static_cast<uint32_t>(config[2]), static_cast<uint64_t>(config[3])};
    dram::Memory memory(parameters, 8, std::vector<uint8_t>(bytes, bytes + size));
    for (int64_t i = 0; i < fails; ++i) {
        const auto burst = static_cast<uint64_t>(fail[i].burst);
        const auto response = static_cast<uint8_t>(fail[i].response);
        if (fail[i].write) {
            memory.timing.fail_write(burst, response);
        } else {
            memory.timing.fail_read(burst, response);
        }
    }
    for (int64_t t = 0; t < cycles; ++t) {
        const dram::Timing& now = memory.timing;
        uint8_t data[8];
        memory.read_data(data);
        int64_t word = 0;
        for (int i = 7; i >= 0; --i) word = word << 8 | data[i];
        out[t] = {now.arready(), now.awready(), now.rvalid(), now.rvalid() && now.rlast(), now.wready(), now.bvalid(),
                  memory.rresp(), memory.bresp(), word, static_cast<int64_t>(now.still_until() - now.cycle())};
        const In& q = in[t];
        dram::Inputs bus;
        bus.arvalid = q.arvalid;
        bus.araddr = static_cast<uint64_t>(q.araddr);
        bus.arbeats = static_cast<uint32_t>(q.arbeats);
        bus.awvalid = q.awvalid;
        bus.awaddr = static_cast<uint64_t>(q.awaddr);
        bus.awbeats = static_cast<uint32_t>(q.awbeats);
        bus.wvalid = q.wvalid;
        bus.rready = q.rready;
        bus.bready = q.bready;
        for (int i = 0; i < 8; ++i) data[i] = static_cast<uint8_t>(q.wdata >> (8 * i));
        memory.edge(bus, data, static_cast<uint64_t>(q.wstrb), q.wlast);
    }
    std::copy(memory.bytes().begin(), memory.bytes().end(), bytes);
    return memory.violation() ? memory.violation() : "";
}
