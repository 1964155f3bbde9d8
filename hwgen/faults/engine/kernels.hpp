// Operations on all lanes at once. A plane has a bit per lane, a word of a value as many bytes in every lane as its type.
//
// Plain loops that compilers turn into vector instructions; only the two ways between planes and bytes are written out
// for the instruction sets that have them. Every kernel says whether a lane differs from the fault-free value.

#pragma once

#include <immintrin.h>

#include "program.hpp"
#include "scalar.hpp"

namespace faults {

/// A mask of 64 bytes, 0 or 255, from 64 bits.
inline void spread(u64 bits, u8* bytes) {
#ifdef __AVX512BW__
    _mm512_storeu_si512(bytes, _mm512_movm_epi8(bits));
#else
    for (int i = 0; i < 64; ++i) bytes[i] = static_cast<u8>(-static_cast<int>(bits >> i & 1));
#endif
}
/// And back: the highest bit of each byte.
inline u64 gather(const u8* bytes) {
#ifdef __AVX512BW__
    return _mm512_movepi8_mask(_mm512_loadu_si512(bytes));
#else
    u64 bits = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
        bits |= static_cast<u64>(static_cast<u32>(_mm_movemask_epi8(part))) << i;
    }
    return bits;
#endif
}

/// An operand: lanes, or one number for all of them.
struct Operand {
    const void* lanes;
    u64 number;
};

template <int L> struct Kernels {
    static constexpr int PLANES = L / 64;

    // Words.

    template <typename T> static void broadcast(T* d, u64 x) {
        for (int i = 0; i < L; ++i) d[i] = static_cast<T>(x);
    }
    template <typename T, typename F> static bool each(T* d, const T* a, u64 golden, F f) {
        T other = 0;
        for (int i = 0; i < L; ++i) {
            const T x = f(a[i]);
            d[i] = x;
            other |= static_cast<T>(x ^ static_cast<T>(golden));
        }
        return other != 0;
    }
    template <typename T, typename F> static bool pair(T* d, const Operand& a, const Operand& b, u64 golden, F f) {
        if (!a.lanes) {
            const T x = static_cast<T>(a.number);
            return each<T>(d, static_cast<const T*>(b.lanes), golden, [=](T y) { return f(x, y); });
        }
        if (!b.lanes) {
            const T y = static_cast<T>(b.number);
            return each<T>(d, static_cast<const T*>(a.lanes), golden, [=](T x) { return f(x, y); });
        }
        const T *x = static_cast<const T*>(a.lanes), *y = static_cast<const T*>(b.lanes);
        T other = 0;
        for (int i = 0; i < L; ++i) {
            const T z = f(x[i], y[i]);
            d[i] = z;
            other |= static_cast<T>(z ^ static_cast<T>(golden));
        }
        return other != 0;
    }
    /// A plane from words: f says which lanes.
    template <typename T, typename F> static bool test(u64* d, const Operand& a, const Operand& b, u64 golden, F f) {
        alignas(64) T one[64], other[64];
        alignas(64) u8 bytes[64];
        u64 differs = 0;
        for (int k = 0; k < PLANES; ++k) {
            const T* x = a.lanes ? static_cast<const T*>(a.lanes) + 64 * k : one;
            const T* y = b.lanes ? static_cast<const T*>(b.lanes) + 64 * k : other;
            if (k == 0 && !a.lanes) {
                for (T& v : one) v = static_cast<T>(a.number);
            }
            if (k == 0 && !b.lanes) {
                for (T& v : other) v = static_cast<T>(b.number);
            }
            for (int i = 0; i < 64; ++i) bytes[i] = f(x[i], y[i]) ? 255 : 0;
            d[k] = gather(bytes);
            differs |= d[k] ^ (golden ? ~u64{0} : 0);
        }
        return differs != 0;
    }
    template <typename T> static bool choose(T* d, const Operand& a, const Operand& b, const u64* select, u64 golden) {
        alignas(64) u8 bytes[64];
        T other = 0;
        for (int k = 0; k < PLANES; ++k) {
            spread(select[k], bytes);
            T* to = d + 64 * k;
            const T* x = static_cast<const T*>(a.lanes) + 64 * k;
            const T* y = static_cast<const T*>(b.lanes) + 64 * k;
            const T p = static_cast<T>(a.number), q = static_cast<T>(b.number);
            auto blend = [&](auto one, auto two) {
                for (int i = 0; i < 64; ++i) {
                    const T m = static_cast<T>(static_cast<int8_t>(bytes[i]));
                    const T z = static_cast<T>((two(i) & m) | (one(i) & ~m));
                    to[i] = z;
                    other |= static_cast<T>(z ^ static_cast<T>(golden));
                }
            };
            auto px = [&](int i) { return x[i]; };
            auto py = [&](int i) { return y[i]; };
            auto nx = [&](int) { return p; };
            auto ny = [&](int) { return q; };
            if (a.lanes && b.lanes) blend(px, py);
            else if (a.lanes) blend(px, ny);
            else if (b.lanes) blend(nx, py);
            else blend(nx, ny);
        }
        return other != 0;
    }
    /// Bits of a word from `low` on, in a word of another size.
    template <typename D, typename S> static bool cut(D* d, const S* a, u32 low, u64 mask, u64 golden) {
        D other = 0;
        for (int i = 0; i < L; ++i) {
            const D x = static_cast<D>(static_cast<D>(a[i] >> low) & static_cast<D>(mask));
            d[i] = x;
            other |= static_cast<D>(x ^ static_cast<D>(golden));
        }
        return other != 0;
    }
    template <typename S> static bool bit(u64* d, const S* a, u32 low, u64 golden) {
        alignas(64) u8 bytes[64];
        u64 differs = 0;
        for (int k = 0; k < PLANES; ++k) {
            for (int i = 0; i < 64; ++i) bytes[i] = a[64 * k + i] >> low & 1 ? 255 : 0;
            d[k] = gather(bytes);
            differs |= d[k] ^ (golden ? ~u64{0} : 0);
        }
        return differs != 0;
    }
    template <typename D, typename S> static bool extend(D* d, const S* a, u32 bits, u64 mask, u64 golden) {
        const u64 sign = u64{1} << (bits - 1);
        D other = 0;
        for (int i = 0; i < L; ++i) {
            const D x = static_cast<D>(((static_cast<D>(a[i]) ^ static_cast<D>(sign)) - static_cast<D>(sign)) & static_cast<D>(mask));
            d[i] = x;
            other |= static_cast<D>(x ^ static_cast<D>(golden));
        }
        return other != 0;
    }
    template <typename D, typename S> static void put(D* d, const S* a, u32 shift) {
        for (int i = 0; i < L; ++i) d[i] = static_cast<D>(d[i] | static_cast<D>(static_cast<D>(a[i]) << shift));
    }
    template <typename D> static void put_plane(D* d, const u64* a, u32 shift) {
        alignas(64) u8 bytes[64];
        for (int k = 0; k < PLANES; ++k) {
            spread(a[k], bytes);
            D* to = d + 64 * k;
            for (int i = 0; i < 64; ++i) to[i] = static_cast<D>(to[i] | static_cast<D>(static_cast<D>(bytes[i] & 1) << shift));
        }
    }
    template <typename T> static bool differs(const T* d, u64 golden) {
        T other = 0;
        for (int i = 0; i < L; ++i) other |= static_cast<T>(d[i] ^ static_cast<T>(golden));
        return other != 0;
    }
    /// Lanes of a word that differ from one number.
    template <typename T> static void which(u64* d, const T* a, u64 golden) {
        alignas(64) u8 bytes[64];
        for (int k = 0; k < PLANES; ++k) {
            for (int i = 0; i < 64; ++i) bytes[i] = a[64 * k + i] != static_cast<T>(golden) ? 255 : 0;
            d[k] = gather(bytes);
        }
    }

    // Planes.

    static u64 plane(const Operand& a, int k) {
        return a.lanes ? static_cast<const u64*>(a.lanes)[k] : a.number ? ~u64{0} : 0;
    }
    template <typename F> static bool planes(u64* d, u64 golden, F f) {
        u64 other = 0;
        for (int k = 0; k < PLANES; ++k) {
            d[k] = f(k);
            other |= d[k] ^ (golden ? ~u64{0} : 0);
        }
        return other != 0;
    }

    // An operation; `get` gives an operand's lanes or number. True if a lane differs from the fault-free result.

    template <typename F> static bool with(Type type, F f) {
        switch (type) {
            case BYTE: return f(u8{});
            case HALF: return f(u16{});
            case WORD: return f(u32{});
            default: return f(u64{});
        }
    }

    template <typename Get> static bool run(const Program& p, const Op& op, void* result, u64 golden, Get get) {
        const Type type = p.type(op.result);
        const u64 mask = ones(p.width[op.result]);
        const u8 bits = op.immediate_bits;
        u64* plane_out = static_cast<u64*>(result);
        switch (op.code) {
            case NOT: {
                const Operand a = get(op.a);
                if (type == PLANE) return planes(plane_out, golden, [&](int k) { return ~plane(a, k); });
                return with(type, [&](auto t) {
                    using T = decltype(t);
                    return each<T>(static_cast<T*>(result), static_cast<const T*>(a.lanes), golden,
                                   [=](T x) { return static_cast<T>(~x & static_cast<T>(mask)); });
                });
            }
            case AND: return two(type, result, get(op.a), get(op.b), golden, [](auto x, auto y) { return static_cast<decltype(x)>(x & y); });
            case OR: return two(type, result, get(op.a), get(op.b), golden, [](auto x, auto y) { return static_cast<decltype(x)>(x | y); });
            case XOR: return two(type, result, get(op.a), get(op.b), golden, [](auto x, auto y) { return static_cast<decltype(x)>(x ^ y); });
            case ADD: return two(type, result, get(op.a), get(op.b), golden, [=](auto x, auto y) {
                using T = decltype(x); return static_cast<T>(static_cast<T>(x + y) & static_cast<T>(mask)); });
            case SUB: return two(type, result, get(op.a), get(op.b), golden, [=](auto x, auto y) {
                using T = decltype(x); return static_cast<T>(static_cast<T>(x - y) & static_cast<T>(mask)); });
            case MUL: return two(type, result, get(op.a), get(op.b), golden, [=](auto x, auto y) {
                using T = decltype(x); return static_cast<T>(static_cast<T>(u64{x} * u64{y}) & static_cast<T>(mask)); });
            case MUX: {
                const Operand a = get(op.a), b = get(op.b), s = get(op.c);
                if (type == PLANE) {
                    return planes(plane_out, golden, [&](int k) {
                        const u64 m = plane(s, k);
                        return (plane(b, k) & m) | (plane(a, k) & ~m);
                    });
                }
                return with(type, [&](auto t) {
                    using T = decltype(t);
                    T* d = static_cast<T*>(result);
                    if (s.lanes) return choose<T>(d, a, b, static_cast<const u64*>(s.lanes), golden);
                    const Operand& taken = s.number ? b : a;
                    if (!taken.lanes) return false;  // the other one differs
                    return each<T>(d, static_cast<const T*>(taken.lanes), golden, [](T x) { return x; });
                });
            }
            case EQUAL: return compare(p, op, plane_out, golden, get, [](auto x, auto y) { return x == y; });
            case LESS: return compare(p, op, plane_out, golden, get, [](auto x, auto y) { return x < y; });
            case LESS_SIGNED: return compare(p, op, plane_out, golden, get, [=](auto x, auto y) {
                using T = decltype(x);
                const T sign = static_cast<T>(u64{1} << (bits - 1));
                return static_cast<T>(x ^ sign) < static_cast<T>(y ^ sign);
            });
            case ANY: {
                const Operand a = get(op.a), zero{nullptr, 0};
                return with(p.type(op.a), [&](auto t) {
                    using T = decltype(t);
                    return test<T>(plane_out, a, zero, golden, [](T x, T) { return x != 0; });
                });
            }
            case PARITY: {
                const Operand a = get(op.a), zero{nullptr, 0};
                return with(p.type(op.a), [&](auto t) {
                    using T = decltype(t);
                    return test<T>(plane_out, a, zero, golden, [](T x, T) {
                        u64 y = x;
                        y ^= y >> 32; y ^= y >> 16; y ^= y >> 8; y ^= y >> 4; y ^= y >> 2; y ^= y >> 1;
                        return (y & 1) != 0;
                    });
                });
            }
            case SHIFT_LEFT:
            case SHIFT_RIGHT:
            case SHIFT_RIGHT_SIGNED: return shift(p, op, type, result, golden, get);
            case SLICE: {
                const Operand a = get(op.a);
                if (p.type(op.a) == PLANE) {  // a bit as a word, or as itself
                    if (type == PLANE) return planes(plane_out, golden, [&](int k) { return plane(a, k); });
                    return with(type, [&](auto t) {
                        using T = decltype(t);
                        T* d = static_cast<T*>(result);
                        broadcast<T>(d, 0);
                        put_plane<T>(d, static_cast<const u64*>(a.lanes), 0);
                        return differs<T>(d, golden);
                    });
                }
                return with(p.type(op.a), [&](auto s) {
                    using S = decltype(s);
                    const S* from = static_cast<const S*>(a.lanes);
                    if (type == PLANE) return bit<S>(plane_out, from, bits, golden);
                    return with(type, [&](auto t) {
                        using T = decltype(t);
                        return cut<T, S>(static_cast<T*>(result), from, bits, mask, golden);
                    });
                });
            }
            case SIGN_EXTEND: {
                const Operand a = get(op.a);
                if (p.type(op.a) == PLANE) {
                    return with(type, [&](auto t) {
                        using T = decltype(t);
                        T* d = static_cast<T*>(result);
                        broadcast<T>(d, 0);
                        put_plane<T>(d, static_cast<const u64*>(a.lanes), 0);
                        return each<T>(d, d, golden, [=](T x) { return static_cast<T>(-x & static_cast<T>(mask)); });
                    });
                }
                return with(p.type(op.a), [&](auto s) {
                    using S = decltype(s);
                    return with(type, [&](auto t) {
                        using T = decltype(t);
                        return extend<T, S>(static_cast<T*>(result), static_cast<const S*>(a.lanes), bits, mask, golden);
                    });
                });
            }
            case CONCAT:
                return with(type, [&](auto t) {
                    using T = decltype(t);
                    T* d = static_cast<T*>(result);
                    u64 fixed = 0;
                    for (u32 i = 0; i < op.pieces; ++i) {
                        const Piece& piece = p.pieces[op.first_piece + i];
                        const Operand a = get(piece.value);
                        if (!a.lanes) fixed |= a.number << piece.shift;
                    }
                    broadcast<T>(d, fixed);
                    for (u32 i = 0; i < op.pieces; ++i) {
                        const Piece& piece = p.pieces[op.first_piece + i];
                        const Operand a = get(piece.value);
                        if (!a.lanes) continue;
                        if (p.type(piece.value) == PLANE) {
                            put_plane<T>(d, static_cast<const u64*>(a.lanes), piece.shift);
                        } else {
                            with(p.type(piece.value), [&](auto s) {
                                using S = decltype(s);
                                put<T, S>(d, static_cast<const S*>(a.lanes), piece.shift);
                                return false;
                            });
                        }
                    }
                    return differs<T>(d, golden);
                });
            default: return false;
        }
    }

  private:
    template <typename F>
    static bool two(Type type, void* result, const Operand& a, const Operand& b, u64 golden, F f) {
        if (type == PLANE) return planes(static_cast<u64*>(result), golden, [&](int k) { return f(plane(a, k), plane(b, k)); });
        return with(type, [&](auto t) {
            using T = decltype(t);
            return pair<T>(static_cast<T*>(result), a, b, golden, f);
        });
    }
    template <typename Get, typename F>
    static bool compare(const Program& p, const Op& op, u64* d, u64 golden, Get get, F f) {
        const Operand a = get(op.a), b = get(op.b);
        return with(p.type(op.a), [&](auto t) { return test<decltype(t)>(d, a, b, golden, f); });
    }
    /// Shifts by a value, lane by lane through the scalar definition: they are few.
    template <typename Get>
    static bool shift(const Program& p, const Op& op, Type type, void* result, u64 golden, Get get) {
        const Operand a = get(op.a), b = get(op.b);
        u64 other = 0;
        for (int i = 0; i < L; ++i) {
            const u64 x = lane(p.type(op.a), a, i), n = lane(p.type(op.b), b, i);
            const u64 z = compute(p, op, [&](u32 v) { return v == op.a ? x : n; });
            set(type, result, i, z);
            other |= z ^ golden;
        }
        return other != 0;
    }

  public:
    /// One lane of an operand.
    static u64 lane(Type type, const Operand& a, int i) { return a.lanes ? lane(type, a.lanes, i) : a.number; }
    static u64 lane(Type type, const void* lanes, int i) {
        switch (type) {
            case PLANE: return static_cast<const u64*>(lanes)[i / 64] >> (i % 64) & 1;
            case BYTE: return static_cast<const u8*>(lanes)[i];
            case HALF: return static_cast<const u16*>(lanes)[i];
            case WORD: return static_cast<const u32*>(lanes)[i];
            default: return static_cast<const u64*>(lanes)[i];
        }
    }
    static void set(Type type, void* lanes, int i, u64 x) {
        switch (type) {
            case PLANE: {
                u64& word = static_cast<u64*>(lanes)[i / 64];
                word = (word & ~(u64{1} << (i % 64))) | (x & 1) << (i % 64);
                return;
            }
            case BYTE: static_cast<u8*>(lanes)[i] = static_cast<u8>(x); return;
            case HALF: static_cast<u16*>(lanes)[i] = static_cast<u16>(x); return;
            case WORD: static_cast<u32*>(lanes)[i] = static_cast<u32>(x); return;
            default: static_cast<u64*>(lanes)[i] = x; return;
        }
    }
    static void fill(Type type, void* lanes, u64 x) {
        if (type == PLANE) {
            for (int k = 0; k < PLANES; ++k) static_cast<u64*>(lanes)[k] = x ? ~u64{0} : 0;
            return;
        }
        with(type, [&](auto t) { broadcast(static_cast<decltype(t)*>(lanes), x); return false; });
    }
    /// Lanes that differ from one number, as a plane; true if there is one.
    static bool differing(Type type, const void* lanes, u64 golden, u64* out) {
        if (type == PLANE) return planes(out, 0, [&](int k) { return static_cast<const u64*>(lanes)[k] ^ (golden ? ~u64{0} : 0); });
        with(type, [&](auto t) { which(out, static_cast<const decltype(t)*>(lanes), golden); return false; });
        u64 any = 0;
        for (int k = 0; k < PLANES; ++k) any |= out[k];
        return any != 0;
    }
    /// Adds the lanes in which two words differ to a plane.
    static void changed(Type type, const void* one, const void* other, u64* out) {
        if (type == PLANE) {
            for (int k = 0; k < PLANES; ++k) out[k] |= static_cast<const u64*>(one)[k] ^ static_cast<const u64*>(other)[k];
            return;
        }
        with(type, [&](auto t) {
            using T = decltype(t);
            const T *a = static_cast<const T*>(one), *b = static_cast<const T*>(other);
            alignas(64) u8 bytes[64];
            for (int k = 0; k < PLANES; ++k) {
                for (int i = 0; i < 64; ++i) bytes[i] = a[64 * k + i] != b[64 * k + i] ? 255 : 0;
                out[k] |= gather(bytes);
            }
            return false;
        });
    }
    /// Lanes of a type from one place to another: sizes are known, so that no loop is needed.
    static void copy(Type type, void* to, const void* from) {
        switch (type) {
            case PLANE: std::memcpy(to, from, size(PLANE)); return;
            case BYTE: std::memcpy(to, from, size(BYTE)); return;
            case HALF: std::memcpy(to, from, size(HALF)); return;
            case WORD: std::memcpy(to, from, size(WORD)); return;
            default: std::memcpy(to, from, size(LONG));
        }
    }
    static constexpr u32 size(Type type) { return type == PLANE ? L / 8 : static_cast<u32>(L) * bytes_of(type); }
};

}  // namespace faults
