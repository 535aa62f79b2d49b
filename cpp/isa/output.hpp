// A finished tile, from scratch memory to the result: rows as they are, or transposed.
#pragma once

#include "transpose.hpp"

namespace fastntk::FASTNTK_ISA {

// Past the caches, to an aligned place: a large result is not read back soon, and an ordinary store
// would first load its line.
template <class T>
FASTNTK_INLINE void stream(T* target, typename Vector<T>::type value) {
#if defined(__clang__)
    typedef T Aligned __attribute__((vector_size(vector_bytes)));
    __builtin_nontemporal_store(static_cast<Aligned>(value), reinterpret_cast<Aligned*>(target));
#elif defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) __builtin_ia32_movntps512(target, value);
    else __builtin_ia32_movntpd512(target, value);
#elif defined(__AVX__)
    if constexpr (sizeof(T) == 4) __builtin_ia32_movntps256(target, value);
    else __builtin_ia32_movntpd256(target, value);
#elif defined(__SSE2__)
    if constexpr (sizeof(T) == 4) __builtin_ia32_movntps(target, value);
    else __builtin_ia32_movntpd(target, value);
#else
    *reinterpret_cast<typename Vector<T>::type*>(target) = value;
#endif
}

FASTNTK_INLINE void finish_streaming() {
#if defined(__SSE2__)
    __builtin_ia32_sfence();
#endif
}

template <class T>
void write_row(const T* source, Index length, T* target, bool streaming) {
    using V = typename Vector<T>::type;
    Index j = 0;
    if (streaming) {
        for (; j < length && reinterpret_cast<std::uintptr_t>(target + j) % vector_bytes; ++j) target[j] = source[j];
        for (; j + lanes<T> <= length; j += lanes<T>)
            stream(target + j, *reinterpret_cast<const V*>(source + j));
    }
    for (; j < length; ++j) target[j] = source[j];
}

template <class T>
void write_tile(const T* tile, Index stride, Index row_count, Index columns, T* out, Index out_stride, bool streaming) {
    for (Index r = 0; r < row_count; ++r) write_row(tile + r * stride, columns, out + r * out_stride, streaming);
    if (streaming) finish_streaming();
}

// out[c, r] = tile[r, c]. The tile is readable up to whole vectors in both directions.
template <class T>
void write_tile_transposed(const T* tile, Index stride, Index row_count, Index columns, T* out, Index out_stride,
                           bool streaming) {
    constexpr Index most = 192;                        // rows at a time
    constexpr Index strip = 64 / Index(sizeof(T)) > lanes<T> ? 64 / Index(sizeof(T)) : lanes<T>;
    alignas(64) T buffer[strip * most];
    for (Index r0 = 0; r0 < row_count; r0 += most) {
        const Index height = min(most, row_count - r0);
        for (Index c0 = 0; c0 < columns; c0 += strip) {
            for (Index r = 0; r < height; r += lanes<T>)
                for (Index c = 0; c < strip && c0 + c < columns; c += lanes<T>)
                    transpose_block(tile + (r0 + r) * stride + c0 + c, stride, buffer + c * most + r, most);
            for (Index c = 0; c < min(strip, columns - c0); ++c)
                write_row(buffer + c * most, height, out + (c0 + c) * out_stride + r0, streaming);
        }
    }
    if (streaming) finish_streaming();
}

} // namespace fastntk::FASTNTK_ISA
