// Blocks of as many rows as a vector has lanes, transposed in registers.
#pragma once

#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// Lane l of the result: l-th of the numbers, counted through a and then b.
template <class T, int... index>
struct Shuffle {
    using V = typename Vector<T>::type;
    static FASTNTK_INLINE V of(V a, V b) {
#if defined(__clang__)
        return __builtin_shufflevector(a, b, index...);
#else
        using Lane = decltype(V{} < V{});
        return __builtin_shuffle(a, b, Lane{index...});
#endif
    }
};

template <class, int... index>
struct Indices {};

#if defined(__clang__)
template <int count> using IndicesTo = __make_integer_seq<Indices, int, count>;
#else
template <int count> using IndicesTo = Indices<int, __integer_pack(count)...>;
#endif

// Swaps the off-diagonal halves of every 2h x 2h block: rows r and r + h, lanes l and l + h.
template <class T, int h, int... l>
FASTNTK_INLINE void swap_halves(typename Vector<T>::type* row, Indices<int, l...>) {
    constexpr int width = static_cast<int>(lanes<T>);
#pragma GCC unroll 16
    for (int r = 0; r < width; ++r) {
        if (r & h) continue;
        const auto a = row[r];
        const auto b = row[r + h];
        row[r] = Shuffle<T, ((l & h) ? width + l - h : l)...>::of(a, b);
        row[r + h] = Shuffle<T, ((l & h) ? width + l : l + h)...>::of(a, b);
    }
    if constexpr (2 * h < width) swap_halves<T, 2 * h>(row, Indices<int, l...>{});
}

template <class T>
FASTNTK_INLINE void transpose_block(const T* source, Index source_stride, T* target, Index target_stride) {
    using V = typename Vector<T>::type;
    V row[lanes<T>];
#pragma GCC unroll 16
    for (Index r = 0; r < lanes<T>; ++r) row[r] = *reinterpret_cast<const V*>(source + r * source_stride);
    swap_halves<T, 1>(row, IndicesTo<static_cast<int>(lanes<T>)>{});
#pragma GCC unroll 16
    for (Index r = 0; r < lanes<T>; ++r) *reinterpret_cast<V*>(target + r * target_stride) = row[r];
}

} // namespace fastntk::FASTNTK_ISA
