// Runs hooked Verilog with faults, one after the other. Before this text stand the bench's headers, the same ones that
// the lane engine has, and behind it what copies pins, written by verilated.py.
//
// Reads a job and a list of faults, runs without a fault first, then with each one; writes a result for each.
//   serial: every run begins with a reset;
//   forked: one fault-free run, from which a process splits off in the cycle in which a fault begins.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>

#include "Vtop.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace faults {

template <typename T> void put(T& port, const u64* words) { port = static_cast<T>(*words); }
template <std::size_t N> void put(VlWide<N>& port, const u64* words) {
    for (std::size_t i = 0; i < N; ++i) port[i] = static_cast<u32>(words[i / 2] >> (i % 2 * 32));
}
template <typename T> void get(const T& port, u64* words) { *words = static_cast<u64>(port); }
template <std::size_t N> void get(const VlWide<N>& port, u64* words) {
    for (std::size_t i = 0; i < (N + 1) / 2; ++i) words[i] = 0;
    for (std::size_t i = 0; i < N; ++i) words[i / 2] |= static_cast<u64>(port[i]) << (i % 2 * 32);
}

void put_pins(Vtop& top, const u64* in);
void get_pins(const Vtop& top, u64* out);
extern const u32 INPUTS, OUTPUTS, RESET;

/// A fault as the hooks' ports have it.
struct Hooked {
    Fault when;
    u32 word, row, column, clear, flip;
};

/// Memory of an accelerator, or nothing.
struct Bytes {
    std::vector<u8> now;
    u32 bus = 0, shown = 0, row = 0, target = 0, take = 0, data = 0, strobe = 0, valid = 0;

    explicit Bytes(Reader& r) {
        bus = r.small();
        for (u32* pin : {&shown, &row, &target, &take, &data, &strobe, &valid}) *pin = r.small();
        now.resize(r.next());
        for (std::size_t i = 0; i < now.size(); i += 8) {
            const u64 word = r.next();
            std::memcpy(&now[i], &word, std::min<std::size_t>(8, now.size() - i));
        }
    }
    void show(u64* in) const {
        if (!bus) return;
        for (u32 k = 0; k < (bus + 7) / 8; ++k) in[shown + k] = 0;
        if (in[row] < now.size() / bus) std::memcpy(&in[shown], &now[in[row] * bus], bus);
    }
    void keep(const u64* in, const u64* out) {
        if (!bus || !in[take] || !out[valid]) return;
        const u8* from = reinterpret_cast<const u8*>(&out[data]);
        for (u32 i = 0; i < bus; ++i) {
            if (out[strobe + i / 64] >> (i % 64) & 1) now[in[target] * bus + i] = from[i];
        }
    }
    u64 digest(const std::vector<u8>& golden, u32& wrong) const {
        u64 sum = 0;
        for (std::size_t i = 0; bus && i < now.size() / bus * bus; ++i) {
            sum += mixed(place_of(static_cast<u32>(i % bus), i / bus), now[i]);
            wrong += now[i] != golden[i];
        }
        return sum;
    }
};

struct Machine {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vtop> top = std::make_unique<Vtop>(context.get());
    FAULTS_CLASS bench;
    Bytes memory;
    std::vector<u64> in, out;

    Machine(const FAULTS_CLASS& b, const Bytes& m) : bench(b), memory(m), in(INPUTS), out(OUTPUTS) {}

    void reset() {
        std::fill(in.begin(), in.end(), 0);
        in[RESET] = 1;
        top->fault_select = 0;
        top->fault_strobe = 0;
        for (int i = 0; i < 4; ++i) {
            put_pins(*top, in.data());
            top->clk = 0;
            top->eval();
            top->clk = 1;
            top->eval();
        }
        in[RESET] = 0;
    }
    void aim(const Hooked& f) {
        top->fault_select = 1;
#ifdef FAULTS_GATES
        top->fault_gate = f.word;
    }
#else
        top->fault_word = f.word;
        top->fault_row = f.row;
        top->fault_column = f.column;
        top->fault_clear = f.clear;
        top->fault_flip = f.flip;
    }
#endif
    void step(const Fault* fault) {
        bench.drive(in.data());
        memory.show(in.data());
        put_pins(*top, in.data());
        top->fault_strobe = fault && fault->active(bench.cycle());
        top->clk = 0;
        top->eval();
        get_pins(*top, out.data());
        memory.keep(in.data(), out.data());
        bench.edge(out.data());
        top->clk = 1;
        top->eval();
    }
    Result result(const std::vector<u8>& golden) const {
        Result r{};
        r.wrong = bench.wrong();
        r.digest = bench.digest() + memory.digest(golden, r.wrong);
        r.end = bench.end();
        r.flag = bench.flag();
        r.mended = bench.mended();
        r.status = bench.status();
        return r;
    }
};

std::vector<u64> words(const char* path) {
    std::vector<u64> found;
    FILE* file = std::fopen(path, "rb");
    if (!file) std::exit(3);
    std::fseek(file, 0, SEEK_END);
    found.resize(static_cast<std::size_t>(std::ftell(file)) / 8);
    std::rewind(file);
    if (std::fread(found.data(), 8, found.size(), file) != found.size()) std::exit(3);
    std::fclose(file);
    return found;
}

int main_of(const char* input, const char* output) {
    const std::vector<u64> given = words(input);
    Reader r{given.data()};
    const bool forked = r.next() != 0;
    const u32 processes = r.small(), most = r.small();
    const FAULTS_JOB job(r);
    const Bytes memory(r);
    std::vector<Hooked> list(r.next());
    for (Hooked& f : list) {
        f.when.start = r.small();
        f.when.duration = r.small();
        f.when.period = r.small();
        f.when.on = r.small();
        for (u32* x : {&f.word, &f.row, &f.column, &f.clear, &f.flip}) *x = r.small();
    }
    const std::size_t bytes = (list.size() + 1) * sizeof(Result);
    Result* results = static_cast<Result*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (results == MAP_FAILED) return 3;

    const FAULTS_CLASS start(job);
    Machine golden(start, memory);
    golden.reset();
    while (!golden.bench.done() && golden.bench.cycle() < most) golden.step(nullptr);
    const std::vector<u8> after = golden.memory.now;
    results[list.size()] = golden.result(after);
    job.recording = false;
    const u32 cycles = golden.bench.cycle(), limit = 2 * cycles + 64;

    const auto began = std::chrono::steady_clock::now();
    if (!forked) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            // A new one: a reset leaves memories, and registers that need none, as they were.
            Machine machine(start, memory);
            machine.reset();
            machine.aim(list[i]);
            while (!machine.bench.done() && machine.bench.cycle() < limit) machine.step(&list[i].when);
            results[i] = machine.result(after);
        }
    } else {
        std::vector<u32> order(list.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](u32 a, u32 b) { return list[a].when.start < list[b].when.start; });
        Machine parent(start, memory);
        parent.reset();
        u32 children = 0;
        for (u32 i : order) {
            while (parent.bench.cycle() < list[i].when.start && parent.bench.cycle() < cycles) parent.step(nullptr);
            if (children == processes) {
                int status = 0;
                if (wait(&status) < 0 || status) return 4;
                --children;
            }
            parent.top->prepareClone();
            const pid_t child = fork();
            if (child < 0) return 3;
            ++children;
            if (child) continue;
            parent.top->atClone();
            parent.aim(list[i]);
            while (!parent.bench.done() && parent.bench.cycle() < limit) parent.step(&list[i].when);
            results[i] = parent.result(after);
            _exit(0);
        }
        for (; children; --children) {
            int status = 0;
            if (wait(&status) < 0 || status) return 4;
        }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;

    FILE* out = std::fopen(output, "wb");
    if (!out) return 3;
    const double spent = seconds.count();
    std::fwrite(&spent, sizeof spent, 1, out);
    const u64 length = cycles;
    std::fwrite(&length, sizeof length, 1, out);
    std::fwrite(results, sizeof(Result), list.size() + 1, out);
    return std::fclose(out) ? 3 : 0;
}

}  // namespace faults

int main(int argc, char** argv) { return argc == 3 ? faults::main_of(argv[1], argv[2]) : 3; }
