// Any activation, from the Hermite expansion of each sample (Mehler's formula): with a_k(q) the coefficients of
// phi(sqrt(q) z) / s'(q) in orthonormal Hermite polynomials,
//   rho' = sum_k a_k(q_p) a_k(q_q) rho^k,     F' s_p s_q / (s'_p s'_q) = d rho' / d rho.
// Even and odd k are two power series in y = rho^2, whose term r has the exponent m_r and the coefficient
// c_r = +-a_r(q_p) a_r(q_q). Beyond the first terms the exponents are thinned out, and the a_r carry weights.
#pragma once

#include "homogeneous.hpp"
#include "input.hpp"
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
        const T* unbent_tail;                 // the larger of both if the bend is left in

        Series(const T* parameters, Index count)
            : terms(count), exponent(parameters), level(parameters + count), multiple(parameters + 2 * count),
              sign(parameters + 3 * count), bend(parameters + 4 * count), tail(parameters + 5 * count),
              slope_tail(parameters + 6 * count), unbent_tail(parameters + 7 * count) {}

        double left_after(Index r) const { return r < terms ? static_cast<double>(tail[r]) : 0; }
    };
    Index distances; // tables whose squared differences add up to 1 - rho' at rho = 1
    bool bent;       // phi has a kink at 0
    bool even_bent;  // that of |x| too, which is even
    bool odd_only;   // phi is odd
    double tolerance;
    Series even, odd;

    explicit Expansion(const T* p)
        : distances(static_cast<Index>(p[0])), bent(p[3] != 0), even_bent(p[3] == 2),
          odd_only(p[1] == 0 && !even_bent), tolerance(static_cast<double>(p[4])),
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

// More terms than this are no short series.
constexpr Index most_few = 24;

// Terms m = 0, 1, ... of a series that suffice where y <= y_max if the bend is left in: at most `most_few`, or -1. What
// follows the last term is nothing but the bend.
template <class T>
Index few_terms(const typename Expansion<T>::Series& series, bool bent, double y_max, double tolerance) {
    double y = 1; // y_max^r
    for (Index r = 0; r < series.terms; ++r, y *= y_max) {
        if (r > 0 && y * static_cast<double>(series.unbent_tail[r]) <= tolerance) return r;
        if (r == most_few || series.exponent[r] != static_cast<T>(r)) return -1;
    }
    return bent ? -1 : series.terms;
}

// Whether the slopes of n vectors are summed: those of one are a small part, and not worth functions without them.
template <int n, bool with_ntk>
constexpr bool sums_slopes = with_ntk || n == 1;

// The sum of c_r y^r over the first terms, and its derivative.
template <class T, class V, int n, bool with_slope>
FASTNTK_NOT_INLINE void sum_few(const typename Expansion<T>::Series& series, Index terms, const T* p, const T* q,
                            Index q_stride, const T* y, T* sum_out, T* slope_out) {
    V at[n], sum[n] = {}, slope[n] = {};
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) at[v] = reinterpret_cast<const V*>(y)[v];
    for (Index r = terms - 1; r >= 0; --r) {
        const T a = series.sign[r] * p[r];
        const V* const a_q = reinterpret_cast<const V*>(q + r * q_stride);
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            if constexpr (with_slope) slope[v] = slope[v] * at[v] + sum[v];
            sum[v] = sum[v] * at[v] + a * a_q[v];
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(sum_out)[v] = sum[v];
        if constexpr (with_slope) reinterpret_cast<V*>(slope_out)[v] = slope[v];
    }
}

// Where |rho| is so small that a few terms suffice: how many of each series, and whether that is the whole function.
struct FewTerms {
    Index even, odd;
    bool whole;
    template <class T>
    FewTerms(const Expansion<T>& x, double rho_max)
        : even(few_terms<T>(x.even, x.even_bent, rho_max * rho_max, x.tolerance * rho_max)), // its slope has a rho less
          odd(few_terms<T>(x.odd, x.bent, rho_max * rho_max, x.tolerance)),
          whole(x.even.left_after(even) <= x.tolerance && x.odd.left_after(odd) <= x.tolerance) {}
    bool suffice() const { return even >= 0 && odd >= 0; }
};

// `width` pairs by those: value and slope in rho, no bend. Whole functions may be close to 1 anywhere, where 1 - rho'
// wants the other way, `expand`: false is returned, and nothing done.
template <class T, class V, int n, bool with_ntk>
FASTNTK_INLINE bool expand_few(const Expansion<T>& x, const StripArguments<T>& s, Index first, const FewTerms& few,
                               T* gap, T* ntk) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    alignas(64) T rho[width], y[width], even[width], even_slope[width], odd[width], odd_slope[width];
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        rho[j] = copysign(1 - abs(gap[j]), gap[j]);
        y[j] = rho[j] * rho[j];
    }
    const T* const p = s.p + x.distances;
    const T* const q = s.q + first + x.distances * s.q_stride;
    constexpr bool with_slope = sums_slopes<n, with_ntk>;
    sum_few<T, V, n, with_slope>(x.even, few.even, p, q, s.q_stride, y, even, even_slope);
    sum_few<T, V, n, with_slope>(x.odd, few.odd, p + x.even.terms, q + x.even.terms * s.q_stride, s.q_stride, y, odd, odd_slope);
    if (few.whole) {
        Bits<T> close = 0;
#pragma omp simd reduction(| : close)
        for (int j = 0; j < width; ++j) close |= abs(even[j] + rho[j] * odd[j]) <= T(0.5) ? Bits<T>(0) : Bits<T>(1);
        if (close != 0) return false;
    }
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T value = even[j] + rho[j] * odd[j];
        gap[j] = copysign(max(1 - abs(value), T(0)), value);
        if constexpr (with_ntk) ntk[j] *= 2 * rho[j] * even_slope[j] + odd[j] + 2 * y[j] * odd_slope[j];
    }
    return true;
}

// Of `n` vectors of pairs: y, 1 - y, and for a series C = sum c_r, E = sum c_r (1 - y^m_r) and
// S = sum m_r c_r y^(m_r - 1), by Horner's rule from the last term on. With C the sum from some term on, E of
// the terms before takes C (1 - y^step) + y^step E: no cancellation near y = 1.
template <class T, class V, int n, bool bent, bool with_slope>
FASTNTK_NOT_INLINE void sum_series(const typename Expansion<T>::Series& series, Index terms, const T* p, const T* q,
                               Index q_stride, T bend_p, const T* bend_q, const T* y, const T* loss, T* c_out,
                               T* e_out, T* slope_out) {
    const auto load = [](const T* from, int v) { return reinterpret_cast<const V*>(from)[v]; };
    constexpr T negligible = T(1e-30);
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
                                const V power_k = step[k - 1][v] * step[1][v];
                                step[k][v] = power_k > negligible ? power_k : V{}; // subnormal numbers are slow
                                step_gap[k][v] = step[1][v] * step_gap[k - 1][v] + step_gap[1][v];
                            }
                }
                const int k = static_cast<int>(series.multiple[r]);
#pragma GCC unroll 8
                for (int v = 0; v < n; ++v) {
                    lost[v] = step[k][v] * lost[v] + step_gap[k][v] * sum[v];
                    if (with_slope && r > 0) slope[v] = step[k][v] * slope[v];
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
                if constexpr (with_slope) slope[v] += m * c;
            }
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(c_out)[v] = sum[v];
        reinterpret_cast<V*>(e_out)[v] = lost[v];
        if constexpr (with_slope) reinterpret_cast<V*>(slope_out)[v] = slope[v];
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
    constexpr bool with_slope = sums_slopes<n, with_ntk>;
    sum_series<T, V, n, bent, with_slope>(x.even, even_terms, p, q, s.q_stride, even_bend, even_bend_q, y, loss, even_sum,
                                          even_lost, even_slope);
    sum_series<T, V, n, bent, with_slope>(x.odd, odd_terms, p + even_end, q + even_end * s.q_stride, s.q_stride, odd_bend,
                                          odd_bend_q, y, loss, odd_sum, odd_lost, odd_slope);

    const bool odd_only = x.odd_only;
    const bool whole = x.even.left_after(even_terms) <= x.tolerance && x.odd.left_after(odd_terms) <= x.tolerance;
    const T whole_to = whole ? T(1) : T(-1); // all |gap| or none: of a choice that is one for all GCC makes no vectors
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
        next = t <= whole_to ? next : 1 - value;
        const T near_gap = max(next, T(0)), far_gap = max(2 - next, T(0));
        const T sign = far && odd_only ? T(-1) : T(1); // of an odd function, what was found at |rho| is to be reflected
        gap[j] = near_gap <= 1 ? copysign(near_gap, sign) : copysign(far_gap, -sign);
        if constexpr (with_ntk) ntk[j] *= factor;
    }
}

// The smallest |gap| of some pairs. In this order: past the samples it may be no number, and does not count.
template <class T, class V, int n>
FASTNTK_INLINE double nearest_gap(const T* gap) {
    constexpr int lane_count = static_cast<int>(sizeof(V) / sizeof(T));
    alignas(64) T least[lane_count];
#pragma omp simd
    for (int l = 0; l < lane_count; ++l) {
        least[l] = 1;
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) least[l] = min(abs(gap[v * lane_count + l]), least[l]);
    }
    for (int l = 1; l < lane_count; ++l) least[0] = min(least[0], least[l]);
    return static_cast<double>(least[0]);
}

// n vectors V of pairs. Of several that are not all near a duplicate each goes its own way.
template <class T, class V, int n, bool with_ntk, bool bent>
FASTNTK_NOT_INLINE void expand_chunk(const Expansion<T>& x, const StripArguments<T>& s, Index first, T* gap, T* ntk) {
    const double rho_max = 1 - nearest_gap<T, V, n>(gap);
    const FewTerms few(x, rho_max);
    if (few.suffice() && expand_few<T, V, n, with_ntk>(x, s, first, few, gap, ntk)) return;
    if constexpr (n > 1) {
        constexpr Index lane_count = static_cast<Index>(sizeof(V) / sizeof(T));
        int short_ones = 0;
        for (int v = 0; v < n; ++v)
            short_ones += FewTerms(x, 1 - nearest_gap<T, V, 1>(gap + v * lane_count)).suffice() ? 1 : 0;
        if (2 * short_ones >= n) {
            for (int v = 0; v < n; ++v)
                expand_chunk<T, V, 1, with_ntk, bent>(x, s, first + v * lane_count, gap + v * lane_count,
                                                      with_ntk ? ntk + v * lane_count : nullptr);
            return;
        }
    }
    const double y_max = rho_max * rho_max;
    expand<T, V, n, with_ntk, bent>(x, s, first, terms_needed<T>(x.even, y_max, x.tolerance),
                                    terms_needed<T>(x.odd, y_max, x.tolerance), gap, ntk);
}

// Strips of whole chunks from `first` on; returns where they end.
template <class T, class V, int n, bool with_ntk, bool bent>
FASTNTK_INLINE Index expand_chunks(const Expansion<T>& x, const StripArguments<T>& s, Index first, T* gap, T* ntk) {
    constexpr Index width = n * static_cast<Index>(sizeof(V) / sizeof(T));
    for (; first + width <= s.length; first += width)
        expand_chunk<T, V, n, with_ntk, bent>(x, s, first, gap + first, with_ntk ? ntk + first : nullptr);
    return first;
}

template <class T, bool with_ntk, bool bent>
FASTNTK_INLINE void expand_strip(const Expansion<T>& x, const StripArguments<T>& s, T* gap, T* ntk) {
    using V = typename Vector<T>::type;
    const Index done = expand_chunks<T, V, 4, with_ntk, bent>(x, s, 0, gap, ntk);
    expand_chunks<T, V, 1, with_ntk, bent>(x, s, done, gap, ntk);
}

template <class T, bool with_ntk>
void expansion(const StripArguments<T>& s, T* gap, T* ntk) {
    const Expansion<T> x(s.parameters);
    if (x.bent) expand_strip<T, with_ntk, true>(x, s, gap, ntk);
    else expand_strip<T, with_ntk, false>(x, s, gap, ntk);
}

} // namespace fastntk::FASTNTK_ISA
