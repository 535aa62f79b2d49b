// Inner products of packed rows, in registers. A sliver holds `sliver` rows, feature by feature; the
// same packed copy serves as the left side (its numbers broadcast) and the right side (vectors).
#pragma once

#include "vmath.hpp"

namespace fastntk::FASTNTK_ISA {

// `rows` x `vectors` accumulators fill the register file and cover the latency of two FMA pipes.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64, rows = 8, vectors = 3;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, rows = 4, vectors = 3;
#elif defined(__aarch64__)
// Chosen by counting, not measured: 18 sums cover a latency of 4 on up to four pipes; with three vectors and six numbers, each of
// which FMAs take from a lane, they need 27 of 32 registers. A sliver of six doubles holds no more rows.
constexpr int vector_bytes = 16, rows = 6, vectors = 3;
#else
constexpr int vector_bytes = 16, rows = 4, vectors = 2;
#endif

template <class T> constexpr Index lanes = vector_bytes / sizeof(T);
template <class T> constexpr Index sliver = vectors * lanes<T>;
static_assert(sliver<float> % rows == 0 && sliver<double> % rows == 0, "a block of rows lies in one sliver");

// A length that is one of whole vectors, told to the compiler: a loop of it has no second one for what would be left.
template <class T> FASTNTK_INLINE Index whole_vectors(Index length) { return length & -lanes<T>; }

template <class T> struct Vector;
template <> struct Vector<float> {
    typedef float type __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};
template <> struct Vector<double> {
    typedef double type __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};

// One block of height x sliver inner products; a points at its first row inside a sliver. Each is one sum over the features in
// their order, whatever the block.
template <class T, bool accumulate, int height>
FASTNTK_INLINE void block_product(Index depth, const T* a, const T* b, T* c, Index ldc) {
    using V = typename Vector<T>::type;
    V sum[height][vectors] = {};
    for (Index k = 0; k < depth; ++k) {
        V right[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
            right[v] = *reinterpret_cast<const V*>(b + k * sliver<T> + v * lanes<T>);
#pragma GCC unroll 8
        for (int r = 0; r < height; ++r) {
            const T left = a[k * sliver<T> + r];
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < height; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            V* const target = reinterpret_cast<V*>(c + r * ldc + v * lanes<T>);
            if constexpr (accumulate) *target += sum[r][v];
            else *target = sum[r][v];
        }
}

// Into the L2 cache, for later. The hardware does not see it coming, as each block begins elsewhere.
FASTNTK_INLINE void fetch(const char* from, Index bytes) {
    constexpr Index line = 64;
    for (Index i = 0; i < bytes; i += line) __builtin_prefetch(from + i, 0, 2);
}

template <class T, bool accumulate>
void tile_product(Index a_rows, Index b_slivers, Index depth, const PackedPair<T>& now, const PackedPair<T>& next, T* c, Index ldc) {
    constexpr Index few = 2; // rows that take longer as part of a whole block than one by one
    const Index left = a_rows % rows, whole = left > few ? a_rows - left + rows : a_rows - left;
    const auto row = [&](Index i) { return now.a + i / sliver<T> * sliver<T> * depth + i % sliver<T>; };
    const T* b = now.b;
    // Bytes of the next factors for each block of sums, with those of whole rows.
    constexpr Index size = sizeof(T);
    const Index share_a = rows * depth * size / b_slivers, share_b = a_rows ? rows * sliver<T> * depth * size / a_rows : 0;
    const char* next_a = reinterpret_cast<const char*>(next.a);
    const char* next_b = reinterpret_cast<const char*>(next.b);
    for (Index j = 0; j < b_slivers; ++j, b += sliver<T> * depth, c += sliver<T>) {
        for (Index i = 0; i < whole; i += rows) {
            if (next_a) {
                fetch(next_a, share_a);
                fetch(next_b, share_b);
                next_a += share_a;
                next_b += share_b;
            }
            block_product<T, accumulate, rows>(depth, row(i), b, c + i * ldc, ldc);
        }
        for (Index i = whole; i < a_rows; ++i) block_product<T, accumulate, 1>(depth, row(i), b, c + i * ldc, ldc);
    }
}

template <class T>
void product(Index a_rows, Index b_slivers, Index depth, const PackedPair<T>& now, const PackedPair<T>& next, T* c, Index ldc,
             bool accumulate) {
    if (accumulate) tile_product<T, true>(a_rows, b_slivers, depth, now, next, c, ldc);
    else tile_product<T, false>(a_rows, b_slivers, depth, now, next, c, ldc);
}

} // namespace fastntk::FASTNTK_ISA
