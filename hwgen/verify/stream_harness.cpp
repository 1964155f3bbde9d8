// Drives a block with AXI-Stream ports. The lists of ports stand at the end of this file, written by harness.py.
//
// A producer offers its next beat in the first open cycle in which it holds none, and holds it until it is taken;
// a consumer is ready exactly in its open cycles. Cycle 0 is the first after reset.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

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
    port[N - 1] = 0;
    std::memcpy(port.data(), bytes, count);
}
template <typename T> void get(const T& port, uint8_t* bytes, size_t count) { std::memcpy(bytes, &port, count); }
template <std::size_t N> void get(const VlWide<N>& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, port.data(), count);
}

struct Input {
    uint64_t beats = 0, period = 0, sent = 0;
    bool holds = false;
    std::vector<uint8_t> gate, data, last;
    std::vector<uint64_t> times;
};

struct Output {
    uint64_t beats = 0, period = 0;
    std::vector<uint8_t> gate, data, last;
    std::vector<uint64_t> times;
};

uint64_t word(FILE* file) {
    uint64_t value = 0;
    if (std::fread(&value, sizeof value, 1, file) != 1) std::exit(3);
    return value;
}
void bytes(FILE* file, std::vector<uint8_t>& into, size_t count) {
    into.resize(count);
    if (count && std::fread(into.data(), 1, count, file) != count) std::exit(3);
}
template <typename T> void dump(FILE* file, const std::vector<T>& values) {
    const uint64_t count = values.size();
    std::fwrite(&count, sizeof count, 1, file);
    std::fwrite(values.data(), sizeof(T), count, file);
}

int run(FILE* in, FILE* out);

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 3;
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    if (!in || !out) return 3;
    const int status = run(in, out);
    std::fclose(in);
    return std::fclose(out) ? 3 : status;
}
