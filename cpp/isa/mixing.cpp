// What mixes the nodes of samples (core/mixing.hpp), in double. Built once per instruction set, with FASTNTK_ISA its namespace.
#include "../core/kernels.hpp"
#include "../core/mixing.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "layers.hpp"
#include "transpose.hpp"

namespace fastntk::FASTNTK_ISA {

// Rows that take the same rows of the input, as all of one sample do in attention: each is loaded once for all of them.
template <Index height, int count>
FASTNTK_INLINE void mix_columns(Index terms, const Index* columns, Index first, const double* const* weights, const double* in,
                                Index pitch, double* out) {
    using V = typename Vector<double>::type;
    V sum[height][count] = {};
    for (Index k = 0; k < terms; ++k) {
        // As one array: with a pointer to each vector GCC runs out of registers.
        const auto& x = *reinterpret_cast<const V(*)[count]>(in + (columns[k] - first) * pitch);
#pragma GCC unroll 12
        for (Index h = 0; h < height; ++h)
#pragma GCC unroll 12
            for (int v = 0; v < count; ++v) sum[h][v] += weights[h][k] * x[v];
    }
#pragma GCC unroll 12
    for (Index h = 0; h < height; ++h)
#pragma GCC unroll 12
        for (int v = 0; v < count; ++v) *reinterpret_cast<V*>(out + h * pitch + v * lanes<double>) = sum[h][v];
}

template <Index height>
inline void mix_some(Index terms, const Index* columns, Index first, const double* const* weights, const double* in, Index pitch,
                     Index width, double* out) {
    constexpr int most = (height == 1 ? 2 : 1) * (lanes<double> >= 8 ? 2 : 1) * vectors; // of 32 registers, or of 16
    Index c = 0;
    for (; c + most * lanes<double> <= width; c += most * lanes<double>)
        mix_columns<height, most>(terms, columns, first, weights, in + c, pitch, out + c);
    for (; c < width; c += sliver<double>) mix_columns<height, vectors>(terms, columns, first, weights, in + c, pitch, out + c);
}

inline void mix_rows(const MatrixRows& m, Index first, const double* in, Index pitch, Index width, double* out) {
    for (Index r = 0; r < m.count;) {
        const Index terms = m.rows[r + 1] - m.rows[r];
        const Index* const columns = m.columns + m.rows[r];
        const double* own[rows_alike] = {m.weights + m.rows[r]};
        if (r + rows_alike <= m.count && m.alike[r]) {
            for (Index h = 1; h < rows_alike; ++h) own[h] = own[0] + h * terms;
            mix_some<rows_alike>(terms, columns, first, own, in, pitch, width, out + r * pitch);
            r += rows_alike;
        } else {
            mix_some<1>(terms, columns, first, own, in, pitch, width, out + r * pitch);
            ++r;
        }
    }
}

inline void transpose(const double* in, Index pitch, Index row_count, Index columns, double* out, Index out_pitch) {
    for (Index r = 0; r < row_count; r += lanes<double>)
        for (Index c = 0; c < columns; c += lanes<double>) transpose_block(in + r * pitch + c, pitch, out + c * out_pitch + r, out_pitch);
}

// 1 -+ rho' = sum of both shares of the parts times 1 -+ rho, and half the squared differences of shares: without cancellation.
template <bool with_ntk>
FASTNTK_INLINE void recur_strip(const Recurrence& s, double* __restrict gap, double* __restrict ntk) {
#pragma omp simd
    for (Index j = 0; j < s.length; ++j) {
        const double aa = s.a * s.a_q[j], bb = s.b * s.b_q[j], cc = s.c * s.c_q[j];
        const double da = s.a - s.a_q[j], db = s.b - s.b_q[j], dc = s.c - s.c_q[j];
        const double apart = 0.5 * (da * da + db * db + dc * dc);
        const double h = s.before_gap[j], x = gap[j], side_h = copysign(1.0, h), side_x = copysign(1.0, x);
        const double near = apart + aa * (h + (1 - side_h)) + bb * (x + (1 - side_x));
        const double far = apart + aa * ((1 + side_h) - h) + bb * ((1 + side_x) - x) + 2 * cc;
        gap[j] = choose(near <= 1, near, -far);
        if constexpr (with_ntk)
            ntk[j] = choose(near <= 1, 1 - near, far - 1) + aa * s.before_ntk[j] + bb * ntk[j];
    }
}

inline void recur(const Recurrence& s, double* gap, double* ntk) {
    ntk ? recur_strip<true>(s, gap, ntk) : recur_strip<false>(s, gap, ntk);
}

// As a recurrence, of any number of parts.
template <bool with_ntk>
FASTNTK_INLINE void window_strip(const WindowRow& s, double* __restrict gap, double* __restrict ntk) {
    constexpr Index most = 64;
    for (Index begin = 0; begin < s.length; begin += most) {
        const Index count = min(most, s.length - begin);
        double near[most] = {}, far[most] = {}, theta[most] = {};
        for (Index tap = 0; tap < s.taps; ++tap) {
            const double a = s.a[tap];
            const double *const a_q = s.a_q + tap * s.length + begin, *const g = s.gap[tap], *const t = with_ntk ? s.ntk[tap] : nullptr;
            const Index* const source = s.sources + tap * s.length + begin;
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const double x = g[source[j]], side = copysign(1.0, x), both = a * a_q[j], apart = a - a_q[j], half = 0.5 * apart * apart;
                near[j] += half + both * (x + (1 - side));
                far[j] += half + both * ((1 + side) - x);
                if constexpr (with_ntk) theta[j] += both * t[source[j]];
            }
        }
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            gap[begin + j] = choose(near[j] <= 1, near[j], -far[j]);
            if constexpr (with_ntk) ntk[begin + j] = theta[j];
        }
    }
}

inline void window(const WindowRow& s, double* gap, double* ntk) {
    ntk ? window_strip<true>(s, gap, ntk) : window_strip<false>(s, gap, ntk);
}

inline void snap(Index length, double* gap) {
#pragma omp simd
    for (Index j = 0; j < length; ++j) gap[j] = choose(abs(gap[j]) < rounding_of_sums, copysign(0.0, gap[j]), gap[j]);
}

extern constexpr MixKernels mix_kernels = {mix_rows, transpose, recur, window, snap};

} // namespace fastntk::FASTNTK_ISA
