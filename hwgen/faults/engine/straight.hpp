// Operations on all lanes whose operands always are lanes: a list of calls, made once, run every cycle.

#pragma once

#include <vector>

#include "kernels.hpp"

namespace faults {

template <int L> class Straight {
    using K = Kernels<L>;
    static constexpr int PLANES = L / 64;

    struct Part {
        const void* lanes;
        u32 shift;
        Type type;
    };
    struct Step {
        void (*run)(const Step&);
        void* d;
        const void *a, *b, *c;
        u64 mask;
        u32 number;  // bits of a word, first bit of a slice
        std::vector<Part> parts;
        const Program* program;
        const Op* op;
    };

  public:
    /// `at` gives the lanes of a value; those of constants must be filled already.
    template <typename At> void add(const Program& p, const Op& op, At at) {
        Step s{};
        const Type type = p.type(op.result);
        s.d = at(op.result);
        s.mask = ones(p.width[op.result]);
        s.number = op.immediate_bits;
        s.program = &p;
        s.op = &op;
        if (op.code != CONCAT) {
            s.a = at(op.a);
            if (op.pieces > 1) s.b = at(op.b);
            if (op.pieces > 2) s.c = at(op.c);
        }
        for (u32 i = 0; op.code == CONCAT && i < op.pieces; ++i) {
            const Piece& piece = p.pieces[op.first_piece + i];
            s.parts.push_back({at(piece.value), piece.shift, p.type(piece.value)});
        }
        s.run = chosen(p, op, type);
        steps_.push_back(std::move(s));
    }
    void run(std::size_t i) const { steps_[i].run(steps_[i]); }

  private:
    using Run = void (*)(const Step&);

    template <typename T> struct Tag { using type = T; };
    template <typename F> static Run by_type(Type type, F f) {
        switch (type) {
            case BYTE: return f(Tag<u8>{});
            case HALF: return f(Tag<u16>{});
            case WORD: return f(Tag<u32>{});
            default: return f(Tag<u64>{});
        }
    }

    // d = F(a, b), for words and for planes.
    template <typename T, typename F> static void words(const Step& s) {
        T* d = static_cast<T*>(s.d);
        const T *a = static_cast<const T*>(s.a), *b = static_cast<const T*>(s.b);
        const T mask = static_cast<T>(s.mask);
        for (int i = 0; i < L; ++i) d[i] = static_cast<T>(F()(a[i], b[i]) & mask);
    }
    template <typename F> static void planes(const Step& s) {
        u64* d = static_cast<u64*>(s.d);
        const u64 *a = static_cast<const u64*>(s.a), *b = static_cast<const u64*>(s.b);
        for (int k = 0; k < PLANES; ++k) d[k] = F()(a[k], b[k]);
    }
    template <typename T, typename F> static void tests(const Step& s) {
        u64* d = static_cast<u64*>(s.d);
        const T *a = static_cast<const T*>(s.a), *b = static_cast<const T*>(s.b);
        alignas(64) u8 bytes[64];
        for (int k = 0; k < PLANES; ++k) {
            for (int i = 0; i < 64; ++i) bytes[i] = F()(a[64 * k + i], b[64 * k + i], s.number) ? 255 : 0;
            d[k] = gather(bytes);
        }
    }
    template <typename T, typename F> static void tests_one(const Step& s) {
        u64* d = static_cast<u64*>(s.d);
        const T* a = static_cast<const T*>(s.a);
        alignas(64) u8 bytes[64];
        for (int k = 0; k < PLANES; ++k) {
            for (int i = 0; i < 64; ++i) bytes[i] = F()(a[64 * k + i], s.number) ? 255 : 0;
            d[k] = gather(bytes);
        }
    }
    template <typename T> static void choose(const Step& s) {
        T* d = static_cast<T*>(s.d);
        const T *a = static_cast<const T*>(s.a), *b = static_cast<const T*>(s.b);
        const u64* c = static_cast<const u64*>(s.c);
        alignas(64) u8 bytes[64];
        for (int k = 0; k < PLANES; ++k) {
            spread(c[k], bytes);
            for (int i = 0; i < 64; ++i) {
                const T m = static_cast<T>(static_cast<int8_t>(bytes[i]));
                d[64 * k + i] = static_cast<T>((b[64 * k + i] & m) | (a[64 * k + i] & ~m));
            }
        }
    }
    static void choose_plane(const Step& s) {
        u64* d = static_cast<u64*>(s.d);
        const u64 *a = static_cast<const u64*>(s.a), *b = static_cast<const u64*>(s.b), *c = static_cast<const u64*>(s.c);
        for (int k = 0; k < PLANES; ++k) d[k] = (b[k] & c[k]) | (a[k] & ~c[k]);
    }
    template <typename T> static void invert(const Step& s) {
        T* d = static_cast<T*>(s.d);
        const T* a = static_cast<const T*>(s.a);
        for (int i = 0; i < L; ++i) d[i] = static_cast<T>(~a[i] & static_cast<T>(s.mask));
    }
    static void invert_plane(const Step& s) {
        for (int k = 0; k < PLANES; ++k) static_cast<u64*>(s.d)[k] = ~static_cast<const u64*>(s.a)[k];
    }
    template <typename D, typename S> static void cut(const Step& s) {
        D* d = static_cast<D*>(s.d);
        const S* a = static_cast<const S*>(s.a);
        for (int i = 0; i < L; ++i) d[i] = static_cast<D>(static_cast<D>(a[i] >> s.number) & static_cast<D>(s.mask));
    }
    template <typename D> static void from_plane(const Step& s) {
        D* d = static_cast<D*>(s.d);
        K::template broadcast<D>(d, 0);
        K::template put_plane<D>(d, static_cast<const u64*>(s.a), 0);
        if (s.op->code == SIGN_EXTEND) {
            for (int i = 0; i < L; ++i) d[i] = static_cast<D>(-d[i] & static_cast<D>(s.mask));
        }
    }
    static void copy_plane(const Step& s) { std::memcpy(s.d, s.a, L / 8); }
    template <typename D, typename S> static void extend(const Step& s) {
        D* d = static_cast<D*>(s.d);
        const S* a = static_cast<const S*>(s.a);
        const D sign = static_cast<D>(u64{1} << (s.number - 1));
        for (int i = 0; i < L; ++i) {
            d[i] = static_cast<D>(((static_cast<D>(a[i]) ^ sign) - sign) & static_cast<D>(s.mask));
        }
    }
    template <typename D> static void concat(const Step& s) {
        D* d = static_cast<D*>(s.d);
        K::template broadcast<D>(d, 0);
        for (const Part& part : s.parts) {
            switch (part.type) {
                case PLANE: K::template put_plane<D>(d, static_cast<const u64*>(part.lanes), part.shift); break;
                case BYTE: K::template put<D, u8>(d, static_cast<const u8*>(part.lanes), part.shift); break;
                case HALF: K::template put<D, u16>(d, static_cast<const u16*>(part.lanes), part.shift); break;
                case WORD: K::template put<D, u32>(d, static_cast<const u32*>(part.lanes), part.shift); break;
                default: K::template put<D, u64>(d, static_cast<const u64*>(part.lanes), part.shift); break;
            }
        }
    }
    /// Shifts by a value, lane by lane: they are few.
    static void shift(const Step& s) {
        const Program& p = *s.program;
        const Op& op = *s.op;
        for (int i = 0; i < L; ++i) {
            const u64 x = K::lane(p.type(op.a), s.a, i), n = K::lane(p.type(op.b), s.b, i);
            K::set(p.type(op.result), s.d, i, compute(p, op, [&](u32 v) { return v == op.a ? x : n; }));
        }
    }

    struct And { template <typename T> T operator()(T x, T y) const { return static_cast<T>(x & y); } };
    struct Or { template <typename T> T operator()(T x, T y) const { return static_cast<T>(x | y); } };
    struct Xor { template <typename T> T operator()(T x, T y) const { return static_cast<T>(x ^ y); } };
    struct Add { template <typename T> T operator()(T x, T y) const { return static_cast<T>(x + y); } };
    struct Sub { template <typename T> T operator()(T x, T y) const { return static_cast<T>(x - y); } };
    struct Mul { template <typename T> T operator()(T x, T y) const { return static_cast<T>(u64{x} * u64{y}); } };
    struct Equal { template <typename T> bool operator()(T x, T y, u32) const { return x == y; } };
    struct Less { template <typename T> bool operator()(T x, T y, u32) const { return x < y; } };
    struct LessSigned {
        template <typename T> bool operator()(T x, T y, u32 bits) const {
            const T sign = static_cast<T>(u64{1} << (bits - 1));
            return static_cast<T>(x ^ sign) < static_cast<T>(y ^ sign);
        }
    };
    struct Any { template <typename T> bool operator()(T x, u32) const { return x != 0; } };
    struct Bit { template <typename T> bool operator()(T x, u32 at) const { return (x >> at & 1) != 0; } };
    struct Parity {
        template <typename T> bool operator()(T x, u32) const {
            u64 y = x;
            y ^= y >> 32; y ^= y >> 16; y ^= y >> 8; y ^= y >> 4; y ^= y >> 2; y ^= y >> 1;
            return (y & 1) != 0;
        }
    };

    template <typename F> static Run binary(Type type) {
        if (type == PLANE) return planes<F>;
        return by_type(type, [](auto t) -> Run { return words<typename decltype(t)::type, F>; });
    }
    template <typename F> static Run test(Type type) {
        return by_type(type, [](auto t) -> Run { return tests<typename decltype(t)::type, F>; });
    }
    template <typename F> static Run test_one(Type type) {
        return by_type(type, [](auto t) -> Run { return tests_one<typename decltype(t)::type, F>; });
    }

    static Run chosen(const Program& p, const Op& op, Type type) {
        const Type source = op.code == CONCAT ? type : p.type(op.a);
        switch (op.code) {
            case NOT:
                if (type == PLANE) return invert_plane;
                return by_type(type, [](auto t) -> Run { return invert<typename decltype(t)::type>; });
            case AND: return binary<And>(type);
            case OR: return binary<Or>(type);
            case XOR: return binary<Xor>(type);
            case ADD: return binary<Add>(type);
            case SUB: return binary<Sub>(type);
            case MUL: return binary<Mul>(type);
            case MUX:
                if (type == PLANE) return choose_plane;
                return by_type(type, [](auto t) -> Run { return choose<typename decltype(t)::type>; });
            case EQUAL: return test<Equal>(source);
            case LESS: return test<Less>(source);
            case LESS_SIGNED: return test<LessSigned>(source);
            case ANY: return test_one<Any>(source);
            case PARITY: return test_one<Parity>(source);
            case SLICE:
                if (source == PLANE && type == PLANE) return copy_plane;
                if (source == PLANE) return by_type(type, [](auto t) -> Run { return from_plane<typename decltype(t)::type>; });
                if (type == PLANE) return test_one<Bit>(source);
                return by_type(source, [&](auto s) -> Run {
                    return by_type(type, [](auto t) -> Run { return cut<typename decltype(t)::type, typename decltype(s)::type>; });
                });
            case SIGN_EXTEND:
                if (source == PLANE) return by_type(type, [](auto t) -> Run { return from_plane<typename decltype(t)::type>; });
                return by_type(source, [&](auto s) -> Run {
                    return by_type(type, [](auto t) -> Run { return extend<typename decltype(t)::type, typename decltype(s)::type>; });
                });
            case CONCAT: return by_type(type, [](auto t) -> Run { return concat<typename decltype(t)::type>; });
            default: return shift;
        }
    }

    std::vector<Step> steps_;
};

}  // namespace faults
