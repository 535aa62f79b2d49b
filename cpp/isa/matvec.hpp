// A block of a kernel matrix times vectors. Whatever the type of the block, sums are in double, and in an order that depends
// on the shape of the block alone.
#pragma once

#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

constexpr int block_rows = 4, block_vectors = 4; // so many sums, and what they are made of, fit the registers

template <class T>
FASTNTK_INLINE Vector<double>::type load_as_double(const T* x) {
    typedef T Some __attribute__((vector_size(lanes<double> * sizeof(T)), aligned(sizeof(T)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Some*>(x), Vector<double>::type);
}

// out[j][r] += sum over c of block[r][c] v[j][c], for r < height and j < width.
template <int height, int width, class T>
FASTNTK_INLINE void rows_times(const T* block, Index stride, Index columns, const double* v, Index v_stride, double* out,
                               Index out_stride) {
    using V = Vector<double>::type;
    V sum[height][width] = {};
    Index c = 0;
    for (; c + lanes<double> <= columns; c += lanes<double>) {
        V factor[width];
#pragma GCC unroll 4
        for (int j = 0; j < width; ++j) factor[j] = *reinterpret_cast<const V*>(v + j * v_stride + c);
#pragma GCC unroll 4
        for (int r = 0; r < height; ++r) {
            const V x = load_as_double(block + r * stride + c);
#pragma GCC unroll 4
            for (int j = 0; j < width; ++j) sum[r][j] += x * factor[j];
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < height; ++r)
#pragma GCC unroll 4
        for (int j = 0; j < width; ++j) {
            double total = 0;
            for (Index lane = 0; lane < lanes<double>; ++lane) total += sum[r][j][lane];
            for (Index k = c; k < columns; ++k) total += static_cast<double>(block[r * stride + k]) * v[j * v_stride + k];
            out[j * out_stride + r] += total;
        }
}

// out[j][c] += sum over r < height of block[r][c] v[j][r], for j < width.
template <int height, int width, class T>
FASTNTK_INLINE void columns_times(const T* block, Index stride, Index columns, const double* v, Index v_stride, double* out,
                                  Index out_stride) {
    using V = Vector<double>::type;
    Index c = 0;
    for (; c + lanes<double> <= columns; c += lanes<double>) {
        V x[height];
#pragma GCC unroll 4
        for (int r = 0; r < height; ++r) x[r] = load_as_double(block + r * stride + c);
#pragma GCC unroll 4
        for (int j = 0; j < width; ++j) {
            V* const target = reinterpret_cast<V*>(out + j * out_stride + c);
            V sum = *target;
#pragma GCC unroll 4
            for (int r = 0; r < height; ++r) sum += x[r] * v[j * v_stride + r];
            *target = sum;
        }
    }
    for (; c < columns; ++c)
        for (int j = 0; j < width; ++j)
            for (int r = 0; r < height; ++r)
                out[j * out_stride + c] += static_cast<double>(block[r * stride + c]) * v[j * v_stride + r];
}

template <int height, class T, bool transposed>
FASTNTK_INLINE void some_rows(const T* block, Index stride, Index columns, const double* v, Index v_stride, Index width,
                              double* out, Index out_stride) {
    const auto step = [&]<int count>(Index j) {
        if constexpr (transposed)
            columns_times<height, count>(block, stride, columns, v + j * v_stride, v_stride, out + j * out_stride, out_stride);
        else rows_times<height, count>(block, stride, columns, v + j * v_stride, v_stride, out + j * out_stride, out_stride);
    };
    Index j = 0;
    for (; j + block_vectors <= width; j += block_vectors) step.template operator()<block_vectors>(j);
    for (; j < width; ++j) step.template operator()<1>(j);
}

// Adds block v to out, or block^T v: vectors and results one after the other, v_stride and out_stride apart.
template <class T, bool transposed>
void block_times(const T* block, Index stride, Index row_count, Index columns, const double* v, Index v_stride, Index width,
                 double* out, Index out_stride) {
    Index r = 0;
    for (; r + block_rows <= row_count; r += block_rows)
        some_rows<block_rows, T, transposed>(block + r * stride, stride, columns, v + (transposed ? r : 0), v_stride, width,
                                             out + (transposed ? 0 : r), out_stride);
    for (; r < row_count; ++r)
        some_rows<1, T, transposed>(block + r * stride, stride, columns, v + (transposed ? r : 0), v_stride, width,
                                    out + (transposed ? 0 : r), out_stride);
}

} // namespace fastntk::FASTNTK_ISA
