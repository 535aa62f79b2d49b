// Any activation, from the Hermite expansion of each sample (Mehler's formula): with a_k(q) the coefficients of
// phi(sqrt(q) z) / s'(q) in orthonormal Hermite polynomials,
//   rho' = sum_k a_k(q_p) a_k(q_q) rho^k,     F' s_p s_q / (s'_p s'_q) = d rho' / d rho.
// Even and odd k are two power series in y = rho^2, whose term r has the exponent m_r and the coefficient
// c_r = +-a_r(q_p) a_r(q_q). Beyond the first terms the exponents are thinned out, and the a_r carry weights.
#pragma once

#include "homogeneous.hpp"
#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// The op's parameters: five numbers (of tables of distances, even and odd terms; bends: 0 none, 1 of x |x|, 2 of |x|
// too; the tolerance), then for each of the two series `series_columns` numbers per
// term.
template <class T>
struct Expansion {
    struct Series {
        Index terms;
        const T *exponent, *level, *multiple; // m in the slope; the step to the next m, maybe 0, is multiple * unit(level)
        const T* sign;                        // of the coefficient
        const T* bend;                        // coefficient of the bend, see `expand`
        const T *tail, *slope_tail;           // largest part of rho', and of its slope, from this term on

        Series(const T* parameters, Index count)
            : terms(count), exponent(parameters), level(parameters + count), multiple(parameters + 2 * count),
              sign(parameters + 3 * count), bend(parameters + 4 * count), tail(parameters + 5 * count),
              slope_tail(parameters + 6 * count) {}

        double left_after(Index r) const { return r < terms ? static_cast<double>(tail[r]) : 0; }
    };
    Index distances; // tables whose squared differences add up to 1 - rho' at rho = 1
    bool bent;       // phi has a kink at 0
    bool odd_only;   // phi is odd
    double tolerance;
    Series even, odd;

    explicit Expansion(const T* p)
        : distances(static_cast<Index>(p[0])), bent(p[3] != 0),
          odd_only(p[1] == 0 && p[3] != 2), tolerance(static_cast<double>(p[4])),
          even(p + 5, static_cast<Index>(p[1])),
          odd(p + 5 + series_columns * static_cast<Index>(p[1]), static_cast<Index>(p[2])) {}
};

// Terms of a series that matter where y <= y_max.
template <class T>
Index terms_needed(const typename Expansion<T>::Series& series, double y_max, double tolerance) {
    double power[most_levels];
    power[0] = power[1] = y_max;
    for (int level = 2; level < most_levels; ++level) power[level] = power[level - 1] * power[level - 1];
    double y = 1; // y_max^m
    for (Index r = 0; r < series.terms; ++r) {
        const double size = max(static_cast<double>(series.tail[r]), static_cast<double>(series.slope_tail[r]));
        if (r > 1 && y * size <= tolerance) return r;
        for (T k = 0; k < series.multiple[r]; ++k) y *= power[static_cast<int>(series.level[r])];
    }
    return series.terms;
}

// Of `n` vectors of pairs: y, 1 - y, and for a series C = sum c_r, E = sum c_r (1 - y^m_r) and
// S = sum m_r c_r y^(m_r - 1), by Horner's rule from the last term on. With C the sum from some term on, E of
// the terms before takes C (1 - y^step) + y^step E: no cancellation near y = 1.
template <class T, class V, int n, bool bent>
FASTNTK_INLINE void sum_series(const typename Expansion<T>::Series& series, Index terms, const T* p, const T* q,
                               Index q_stride, T bend_p, const T* bend_q, const T* y, const T* loss, T* c_out,
                               T* e_out, T* slope_out) {
    const auto load = [](const T* from, int v) { return reinterpret_cast<const V*>(from)[v]; };
    V sum[n] = {}, lost[n] = {}, slope[n] = {};
    if (terms > 0) {
        V power[most_levels][n], gap[most_levels][n]; // y^unit(level) and 1 minus it
        const int levels = static_cast<int>(series.level[terms > 1 ? terms - 2 : 0]) + 1;
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            power[0][v] = power[1][v] = load(y, v);
            gap[0][v] = gap[1][v] = load(loss, v);
        }
        for (int level = 2; level < levels; ++level)
#pragma GCC unroll 8
            for (int v = 0; v < n; ++v) {
                gap[level][v] = gap[level - 1][v] * (2 - gap[level - 1][v]);
                power[level][v] = 1 - gap[level][v]; // a square would double its error, 2^level times that of y
            }
        V step[most_multiples + 1][n], step_gap[most_multiples + 1][n]; // y^(k unit) for the level in hand
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            step[0][v] = power[0][v] * 0 + 1;
            step_gap[0][v] = power[0][v] * 0;
        }
        int level = -1;
        for (Index r = terms - 1; r >= 0; --r) {
            if (r < terms - 1) {
                if (const int wanted = static_cast<int>(series.level[r]); wanted != level) {
                    level = wanted;
#pragma GCC unroll 8
                    for (int v = 0; v < n; ++v) {
                        step[1][v] = power[level][v];
                        step_gap[1][v] = gap[level][v];
                    }
                    if (level > 0)
                        for (int k = 2; k <= most_multiples; ++k)
#pragma GCC unroll 8
                            for (int v = 0; v < n; ++v) {
                                step[k][v] = step[k - 1][v] * step[1][v];
                                step_gap[k][v] = step[1][v] * step_gap[k - 1][v] + step_gap[1][v];
                            }
                }
                const int k = static_cast<int>(series.multiple[r]);
#pragma GCC unroll 8
                for (int v = 0; v < n; ++v) {
                    lost[v] = step[k][v] * lost[v] + step_gap[k][v] * sum[v];
                    if (r > 0) slope[v] = step[k][v] * slope[v];
                }
            }
            const T a = series.sign[r] * p[r];
            const T m = series.exponent[r];
            const T b = bent ? series.bend[r] * bend_p : T(0);
            const T* const a_q = q + r * q_stride;
#pragma GCC unroll 8
            for (int v = 0; v < n; ++v) {
                V c = a * load(a_q, v);
                if constexpr (bent) c -= b * load(bend_q, v);
                sum[v] += c;
                slope[v] += m * c;
            }
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(c_out)[v] = sum[v];
        reinterpret_cast<V*>(e_out)[v] = lost[v];
        reinterpret_cast<V*>(slope_out)[v] = slope[v];
    }
}

// `width` pairs, n vectors V of them. A kink of phi or phi' at 0 makes a series slow near |rho| = 1, so the parts of
// phi that are multiples of |x| and x |x| go their own way: b_p b_q times their rho', which has a closed form, is
// added, and its coefficients are taken out of the c_r. With the E_n of homogeneous.hpp, at rho = 1 - t,
//   of |x|:   1 - rho' = t - 2 E1,                 slope 1 - 2 E0;
//   of x |x|: 1 - rho' = 2 t (2 - t) / 3 + 2 E2,   slope (4/3) (1 - t + 2 E1).
// Tables: distances, the a_r of even and of odd k, and the two b if bent.
template <class T, class V, int n, bool with_ntk, bool bent>
FASTNTK_INLINE void expand(const Expansion<T>& x, const StripArguments<T>& s, Index first, Index even_terms,
                           Index odd_terms, T* gap, T* ntk) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    alignas(64) T y[width], loss[width], distance[width], even_sum[width], even_lost[width], even_slope[width],
        odd_sum[width], odd_lost[width], odd_slope[width];
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T t = abs(gap[j]);
        y[j] = (1 - t) * (1 - t);
        loss[j] = t * (2 - t);
        distance[j] = 0;
    }
    const T* q = s.q + first;
    const T* p = s.p;
    for (Index d = 0; d < x.distances; ++d, q += s.q_stride, ++p)
#pragma omp simd
        for (int j = 0; j < width; ++j) distance[j] += (*p - q[j]) * (*p - q[j]);
    const Index even_end = x.even.terms, end = even_end + x.odd.terms;
    const T even_bend = bent ? p[end] : T(0), odd_bend = bent ? p[end + 1] : T(0);
    const T* const even_bend_q = bent ? q + end * s.q_stride : nullptr;
    const T* const odd_bend_q = bent ? even_bend_q + s.q_stride : nullptr;
    sum_series<T, V, n, bent>(x.even, even_terms, p, q, s.q_stride, even_bend, even_bend_q, y, loss, even_sum, even_lost,
                              even_slope);
    sum_series<T, V, n, bent>(x.odd, odd_terms, p + even_end, q + even_end * s.q_stride, s.q_stride, odd_bend, odd_bend_q,
                              y, loss, odd_sum, odd_lost, odd_slope);

    const bool odd_only = x.odd_only;
    const bool whole = x.even.left_after(even_terms) <= x.tolerance && x.odd.left_after(odd_terms) <= x.tolerance;
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T t = abs(gap[j]);
        const bool far = is_far(gap[j]);
        const bool reflected = far && !odd_only;
        const T rho = reflected ? t - 1 : 1 - t; // of an odd function |rho|
        T value = even_sum[j] - even_lost[j] + rho * (odd_sum[j] - odd_lost[j]);
        T next = distance[j] + even_lost[j] + (reflected ? 2 - t : t) * odd_sum[j] + rho * odd_lost[j];
        T factor = 2 * rho * even_slope[j] + (odd_sum[j] - odd_lost[j]) + 2 * y[j] * odd_slope[j];
        if constexpr (bent) {
            const T root = sqrt(t);
            const FirstTwo<T> angles(t, root);
            const T even = even_bend * even_bend_q[j], odd = odd_bend * odd_bend_q[j];
            const T odd_gap = fma(T(2) / 3 * t, 2 - t, 2 * e2(t, root));
            const T even_slope_bend = even * (1 - 2 * angles.e0);
            next += even * (t - 2 * angles.e1) + odd * (reflected ? 2 - odd_gap : odd_gap);
            value += even * (1 - t + 2 * angles.e1) + odd * (reflected ? odd_gap - 1 : 1 - odd_gap);
            factor += (reflected ? -even_slope_bend : even_slope_bend) + odd * (T(4) / 3) * (1 - t + 2 * angles.e1);
        }
        // What terms that were left out at a small y would add to 1 - rho' is known from the sum of all: 1 - value.
        next = whole ? next : 1 - value;
        const T near_gap = max(next, T(0)), far_gap = max(2 - next, T(0));
        const T sign = far && odd_only ? T(-1) : T(1); // of an odd function, what was found at |rho| is to be reflected
        gap[j] = near_gap <= 1 ? copysign(near_gap, sign) : copysign(far_gap, -sign);
        if constexpr (with_ntk) ntk[j] *= factor;
    }
}

// Strips of whole chunks of n vectors V from `first` on; returns where they end.
template <class T, class V, int n, bool with_ntk, bool bent>
FASTNTK_INLINE Index expand_chunks(const Expansion<T>& x, const StripArguments<T>& s, Index first, T* gap, T* ntk) {
    constexpr Index width = n * static_cast<Index>(sizeof(V) / sizeof(T));
    for (; first + width <= s.length; first += width) {
        T nearest = 1;
        for (Index j = first; j < first + width; ++j) nearest = min(nearest, abs(gap[j]));
        const double y_max = (1 - static_cast<double>(nearest)) * (1 - static_cast<double>(nearest));
        expand<T, V, n, with_ntk, bent>(x, s, first, terms_needed<T>(x.even, y_max, x.tolerance),
                                        terms_needed<T>(x.odd, y_max, x.tolerance), gap + first,
                                        with_ntk ? ntk + first : nullptr);
    }
    return first;
}

template <class T, bool with_ntk, bool bent>
FASTNTK_INLINE void expand_strip(const Expansion<T>& x, const StripArguments<T>& s, T* gap, T* ntk) {
    using V = typename Vector<T>::type;
    Index done = expand_chunks<T, V, 4, with_ntk, bent>(x, s, 0, gap, ntk);
    done = expand_chunks<T, V, 1, with_ntk, bent>(x, s, done, gap, ntk);
    expand_chunks<T, T, 1, with_ntk, bent>(x, s, done, gap, ntk);
}

template <class T, bool with_ntk>
void expansion(const StripArguments<T>& s, T* gap, T* ntk) {
    const Expansion<T> x(s.parameters);
    if (x.bent) expand_strip<T, with_ntk, true>(x, s, gap, ntk);
    else expand_strip<T, with_ntk, false>(x, s, gap, ntk);
}

} // namespace fastntk::FASTNTK_ISA
