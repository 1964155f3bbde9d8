// What the engine interprets: a netlist as operations on words, given as flat arrays (see lower.py, tables.py).

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace faults {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

enum Code : u8 {
    NOT, AND, OR, XOR, MUX, ADD, SUB, MUL, EQUAL, LESS, LESS_SIGNED, ANY, PARITY,
    SHIFT_LEFT, SHIFT_RIGHT, SHIFT_RIGHT_SIGNED, SLICE, SIGN_EXTEND, CONCAT, READ
};

/// How a value is kept: a bit per lane, or a word of so many bytes.
enum Type : u8 { PLANE, BYTE, HALF, WORD, LONG };
inline Type type_of(u8 width) { return width == 1 ? PLANE : width <= 8 ? BYTE : width <= 16 ? HALF : width <= 32 ? WORD : LONG; }
inline u32 bytes_of(Type type) { return type <= BYTE ? 1 : type == HALF ? 2 : type == WORD ? 4 : 8; }
inline u64 ones(u8 width) { return width >= 64 ? ~u64{0} : (u64{1} << width) - 1; }

struct Op {
    Code code;
    u8 immediate_bits;  // width of the first operand, for those that look at its sign
    u32 result, a, b, c;
    u32 first_piece, pieces;
};
struct Piece {
    u32 value, shift;
};
struct Register {
    u32 d, q;
    u64 init;
};
struct WritePort {
    u32 address, data, enable;
};
struct Memory {
    u32 width, depth;
    bool external;  // outside of the design: its contents are what the design gives
    u32 number;     // among the external ones
    std::vector<u64> init;
    std::vector<WritePort> writes;
};

/// A list of numbers for each of many keys, all in one array.
class Lists {
  public:
    struct List {
        const u32 *first, *last;
        const u32* begin() const { return first; }
        const u32* end() const { return last; }
        bool empty() const { return first == last; }
    };
    Lists() = default;
    Lists(std::size_t keys, std::vector<std::pair<u32, u32>> pairs) : begins_(keys + 1) {
        std::sort(pairs.begin(), pairs.end());
        pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
        for (const auto& [key, number] : pairs) {
            ++begins_[key + 1];
            numbers_.push_back(number);
        }
        for (std::size_t k = 0; k < keys; ++k) begins_[k + 1] += begins_[k];
    }
    List operator[](u32 key) const { return {numbers_.data() + begins_[key], numbers_.data() + begins_[key + 1]}; }

  private:
    std::vector<u32> begins_, numbers_;
};

/// Reads numbers from one flat array.
struct Reader {
    const u64* at;
    u64 next() { return *at++; }
    u32 small() { return static_cast<u32>(*at++); }
};

struct Program {
    std::vector<u8> width;
    std::vector<u8> constant;  // whether it is one
    std::vector<u64> known;    // and which
    std::vector<Op> ops;
    std::vector<Piece> pieces;
    std::vector<Register> registers;
    std::vector<Memory> memories;
    std::vector<u32> inputs, outputs;
    u32 reset = 0;  // which of the inputs
    // Derived: readers of values, and where a frame of the trace has them.
    Lists readers;  // operations
    Lists loads;    // registers whose next value it is
    Lists stores;   // memories with a write port that looks at it
    std::vector<std::vector<u32>> reads;      // by memory: operations
    std::vector<u32> place;
    u32 frame = 0;

    explicit Program(Reader r) {
        const u32 values = r.small();
        for (u32 i = 0; i < values; ++i) width.push_back(static_cast<u8>(r.next()));
        constant.assign(values, 0);
        known.assign(values, 0);
        for (u32 n = r.small(); n--;) {
            const u32 v = r.small();
            constant[v] = 1;
            known[v] = r.next();
        }
        for (u32 n = r.small(); n--;) {
            Op op{};
            op.code = static_cast<Code>(r.next());
            op.result = r.small();
            const u64 immediate = r.next();
            const u32 count = r.small();
            op.first_piece = static_cast<u32>(pieces.size());
            op.pieces = count;
            u32* slots[] = {&op.a, &op.b, &op.c};
            for (u32 i = 0; i < count; ++i) {
                const u32 value = r.small(), shift = r.small();
                if (i < 3) *slots[i] = value;
                if (op.code == CONCAT) pieces.push_back({value, shift});
            }
            op.immediate_bits = static_cast<u8>(immediate);
            if (op.code == READ) op.b = static_cast<u32>(immediate);
            ops.push_back(op);
        }
        for (u32 n = r.small(); n--;) {
            const u32 d = r.small(), q = r.small();
            registers.push_back({d, q, r.next()});
        }
        u32 externals = 0;
        for (u32 n = r.small(); n--;) {
            Memory m;
            m.width = r.small();
            m.depth = r.small();
            m.external = r.next() != 0;
            m.number = externals;
            externals += m.external;
            for (u32 k = r.small(); k--;) m.init.push_back(r.next());
            for (u32 k = r.small(); k--;) {
                const u32 a = r.small(), d = r.small();
                m.writes.push_back({a, d, r.small()});
            }
            memories.push_back(m);
        }
        for (u32 n = r.small(); n--;) inputs.push_back(r.small());
        for (u32 n = r.small(); n--;) outputs.push_back(r.small());
        reset = r.small();
        derive();
    }

    Type type(u32 value) const { return type_of(width[value]); }

    u64 load(const u8* frame_at, u32 v) const {
        if (constant[v]) return known[v];
        const u8* p = frame_at + place[v];
        switch (type(v)) {
            case PLANE:
            case BYTE: return *p;
            case HALF: { u16 x; std::memcpy(&x, p, 2); return x; }
            case WORD: { u32 x; std::memcpy(&x, p, 4); return x; }
            default: { u64 x; std::memcpy(&x, p, 8); return x; }
        }
    }
    void store(u8* frame_at, u32 v, u64 x) const { std::memcpy(frame_at + place[v], &x, bytes_of(type(v))); }

    template <typename F> void operands(const Op& op, F visit) const {
        if (op.code == CONCAT) {
            for (u32 i = 0; i < op.pieces; ++i) visit(pieces[op.first_piece + i].value);
            return;
        }
        visit(op.a);
        if (op.code == READ) return;
        if (op.pieces > 1) visit(op.b);
        if (op.pieces > 2) visit(op.c);
    }

  private:
    void derive() {
        const std::size_t values = width.size();
        reads.resize(memories.size());
        place.assign(values, 0);
        using Pairs = std::vector<std::pair<u32, u32>>;
        Pairs reading, loading, storing;
        for (u32 i = 0; i < ops.size(); ++i) {
            operands(ops[i], [&](u32 v) { if (!constant[v]) reading.emplace_back(v, i); });
            if (ops[i].code == READ) reads[ops[i].b].push_back(i);
        }
        for (u32 i = 0; i < registers.size(); ++i) loading.emplace_back(registers[i].d, i);
        for (u32 i = 0; i < memories.size(); ++i) {
            for (const WritePort& port : memories[i].writes) {
                for (u32 v : {port.address, port.data, port.enable}) storing.emplace_back(v, i);
            }
        }
        readers = Lists(values, reading);
        loads = Lists(values, loading);
        stores = Lists(values, storing);
        // Wide values first, so that all lie at multiples of their size.
        for (int type = LONG; type >= PLANE; --type) {
            for (u32 v = 0; v < values; ++v) {
                if (constant[v] || this->type(v) != type) continue;
                place[v] = frame;
                frame += bytes_of(static_cast<Type>(type));
            }
        }
        frame = (frame + 63) / 64 * 64;
    }
};

}  // namespace faults
