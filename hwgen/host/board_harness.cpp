// Runs a board's system at its pins: clk, rst, uart_rx, uart_tx, leds.
//
// Reads commands from standard input and answers on standard output, so the clock stands still between two commands:
//   S n bytes      send n bytes at the line's rate                            -> nothing
//   L level cycles hold uart_rx at a level                                    -> nothing
//   P cycles       let the clock run                                          -> nothing
//   R n cycles     run until n bytes came, or so many cycles passed           -> count, bytes
//   X cycles       hold reset; what came over the line so far is forgotten    -> nothing
//   Q              -> cycles so far, leds, bytes that had no stop bit
// Numbers are 8 bytes, little endian. It ends with its input.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

/// The other end of uart_tx: looks at every bit in its middle.
struct Listener {
    std::deque<uint8_t> bytes;
    uint64_t broken = 0;
    uint32_t wait = 0, bits = 0, shift = 0;
    bool busy = false, armed = false;

    void hear(bool line) {
        if (!busy) {
            if (line) armed = true;
            if (!line && armed) {
                busy = true;
                armed = false;
                wait = DIVISOR / 2;
                bits = shift = 0;
            }
        } else if (--wait == 0) {
            wait = DIVISOR;
            shift |= static_cast<uint32_t>(line) << bits;
            if (++bits == 10) {
                busy = false;
                if (line) {
                    bytes.push_back(static_cast<uint8_t>(shift >> 1));
                } else {
                    ++broken;
                }
            }
        }
    }
};

struct Board {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vtop> top = std::make_unique<Vtop>(context.get());
    Listener listener;
    uint64_t cycles = 0;

    void step() {
        top->clk = 0;
        top->eval();
        listener.hear(top->uart_tx);
        top->clk = 1;
        top->eval();
        ++cycles;
    }
    void run(uint64_t count) {
        for (uint64_t i = 0; i < count; ++i) step();
    }
    void level(bool line, uint64_t count) {
        top->uart_rx = line;
        run(count);
    }
    void send(uint8_t byte) {
        level(false, DIVISOR);
        for (int i = 0; i < 8; ++i) level(byte >> i & 1, DIVISOR);
        level(true, DIVISOR);
    }
    void reset(uint64_t count) {
        top->rst = 1;
        run(count);
        top->rst = 0;
        listener = Listener();
    }
};

uint64_t number() {
    uint64_t value = 0;
    if (std::fread(&value, sizeof value, 1, stdin) != 1) std::exit(3);
    return value;
}
void answer(uint64_t value) { std::fwrite(&value, sizeof value, 1, stdout); }

}  // namespace

int main() {
    Board board;
    board.top->uart_rx = 1;
    board.reset(4);
    for (int command; (command = std::getchar()) != EOF;) {
        if (command == 'S') {
            std::vector<uint8_t> bytes(number());
            if (std::fread(bytes.data(), 1, bytes.size(), stdin) != bytes.size()) return 3;
            for (uint8_t byte : bytes) board.send(byte);
        } else if (command == 'L') {
            const uint64_t level = number();
            board.level(level & 1, number());
            board.top->uart_rx = 1;
        } else if (command == 'P') {
            board.run(number());
        } else if (command == 'R') {
            const uint64_t wanted = number(), end = board.cycles + number();
            auto& bytes = board.listener.bytes;
            while (bytes.size() < wanted && board.cycles < end) board.step();
            const uint64_t count = bytes.size() < wanted ? bytes.size() : wanted;
            answer(count);
            for (uint64_t i = 0; i < count; ++i) {
                std::putchar(bytes.front());
                bytes.pop_front();
            }
            std::fflush(stdout);
        } else if (command == 'X') {
            board.reset(number());
        } else if (command == 'Q') {
            answer(board.cycles);
            answer(board.top->leds);
            answer(board.listener.broken);
            std::fflush(stdout);
        } else {
            return 3;
        }
    }
    board.top->final();
    return 0;
}
