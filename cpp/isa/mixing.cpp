// What mixes the nodes of samples (core/mixing.hpp), in double. Built once per instruction set, with FASTNTK_ISA its namespace.
#include "../core/kernels.hpp"
#include "../core/mixing.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "layers.hpp"
#include "transpose.hpp"

namespace fastntk::FASTNTK_ISA {

template <int n> struct Count {};

// Rows that take the same rows of the input, as all of one sample do in attention: each is loaded once for all of them.
template <Index height, int count>
FASTNTK_INLINE void mix_columns(Index terms, const Index* columns, Index first, const double* const* weights, const double* in,
                                Index pitch, double* out, Index out_pitch) {
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
        for (int v = 0; v < count; ++v) *reinterpret_cast<V*>(out + h * out_pitch + v * lanes<double>) = sum[h][v];
}

// As many vectors at a time as there are registers for, shared evenly.
template <Index height>
inline void mix_some(Index terms, const Index* columns, Index first, const double* const* weights, const double* in, Index pitch,
                     Index width, double* out, Index out_pitch) {
    constexpr int most = (height == 1 ? 2 : 1) * (lanes<double> >= 8 ? 2 : 1) * vectors; // of 32 registers, or of 16
    const Index whole = width / lanes<double>, parts = (whole + most - 1) / most;
    for (Index part = 0, v = 0; part < parts; ++part) {
        const Index count = (whole - v + parts - part - 1) / (parts - part), c = v * lanes<double>;
        const auto mix = [&]<int n>(const auto& self, Count<n>) {
            if (count == n) mix_columns<height, n>(terms, columns, first, weights, in + c, pitch, out + c, out_pitch);
            else if constexpr (n > 1) self(self, Count<n - 1>{});
        };
        mix(mix, Count<most>{});
        v += count;
    }
}

inline void mix_rows(const MatrixRows& m, Index first, const double* in, Index pitch, Index width, double* out, Index out_pitch) {
    for (Index r = 0; r < m.count;) {
        const Index terms = m.rows[r + 1] - m.rows[r];
        const Index* const columns = m.columns + m.rows[r];
        const double* own[rows_alike] = {m.weights + m.rows[r]};
        if (r + rows_alike <= m.count && m.alike[r]) {
            for (Index h = 1; h < rows_alike; ++h) own[h] = own[0] + h * terms;
            mix_some<rows_alike>(terms, columns, first, own, in, pitch, width, out + r * out_pitch, out_pitch);
            r += rows_alike;
        } else {
            mix_some<1>(terms, columns, first, own, in, pitch, width, out + r * out_pitch, out_pitch);
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
template <bool nonnegative, bool with_ntk>
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
            gap[begin + j] = choose(near[j] > 1, nonnegative ? 1.0 : -far[j], near[j]);
            if constexpr (with_ntk) ntk[begin + j] = theta[j];
        }
    }
}

template <bool nonnegative>
inline void window_row(const WindowRow& s, double* gap, double* ntk) {
    ntk ? window_strip<nonnegative, true>(s, gap, ntk) : window_strip<nonnegative, false>(s, gap, ntk);
}

inline void window(const WindowRow& s, bool nonnegative, double* gap, double* ntk) {
    nonnegative ? window_row<true>(s, gap, ntk) : window_row<false>(s, gap, ntk);
}

template <bool with_ntk>
FASTNTK_INLINE void covariance_row(Index width, double s_p, const double* __restrict s_q, const double* __restrict gap,
                                   const double* __restrict ntk, double* __restrict k, double* __restrict theta) {
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
        const double size = s_p * s_q[j];
        k[j] = size * copysign(1 - abs(gap[j]), gap[j]);
        if constexpr (with_ntk) theta[j] = size * ntk[j];
    }
}

inline void covariances(const NodePairs& s, const double* gap, const double* ntk, double* k, double* theta, Index out_pitch) {
    const Index width = whole_vectors<double>(s.width);
    for (Index r = 0; r < s.rows; ++r) {
        const Index from = r * s.pitch, to = r * out_pitch;
        if (ntk) covariance_row<true>(width, s.s_p[r], s.s_q, gap + from, ntk + from, k + to, theta + to);
        else covariance_row<false>(width, s.s_p[r], s.s_q, gap + from, nullptr, k + to, nullptr);
    }
}

template <bool nonnegative, bool with_ntk>
FASTNTK_INLINE void gap_row(const NodePairs& s, Index r, double* __restrict k, double* __restrict theta) {
    const double s_p = s.s_p[r], r_p = s.r_p[r], v_p = s.v_p[r];
    const double *__restrict s_q = s.s_q, *__restrict r_q = s.r_q, *__restrict v_q = s.v_q;
    const Index width = whole_vectors<double>(s.width);
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
        // 1 -+ rho = (s_p^2 + s_q^2 - (s_p - s_q)^2 -+ 2 K) / 2 s_p s_q: duplicates cancel, as variances are rounded as K is.
        // Of sizes that differ much the larger one's rounding would be what is left.
        const double difference = s_p - s_q[j], inverse = r_p * r_q[j];
        const double both = v_p + v_q[j], square = difference * difference, half = 0.5 * inverse;
        const double apart = difference == 0 ? 0.0 : 1.0, rho = k[j] * inverse;
        const bool alike = 4 * abs(difference) < s_p + s_q[j];
        const double near = choose(inverse > 0, choose(alike, half * max(both - 2 * k[j] - square, 0.0), max(1 - rho, 0.0)), apart);
        const double far = choose(alike, half * max(both + 2 * k[j] - square, 0.0), max(1 + rho, 0.0));
        const double gap = choose(near <= 1, near, nonnegative ? 1.0 : -far);
        k[j] = choose(abs(gap) < rounding_of_sums, copysign(0.0, gap), gap);
        if constexpr (with_ntk) theta[j] = inverse * theta[j];
    }
}

template <bool nonnegative>
inline void gap_rows(const NodePairs& s, double* k, double* theta) {
    for (Index r = 0; r < s.rows; ++r)
        if (theta) gap_row<nonnegative, true>(s, r, k + r * s.pitch, theta + r * s.pitch);
        else gap_row<nonnegative, false>(s, r, k + r * s.pitch, nullptr);
}

inline void from_covariances(const NodePairs& s, bool nonnegative, double* k, double* theta) {
    nonnegative ? gap_rows<true>(s, k, theta) : gap_rows<false>(s, k, theta);
}

extern constexpr MixKernels mix_kernels = {lanes<double>, mix_rows, transpose, recur, window, covariances, from_covariances};

} // namespace fastntk::FASTNTK_ISA
