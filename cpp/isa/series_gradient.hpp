// The derivatives of an expansion (series.hpp): of rho' and of its slope, in the gap and in log q of both samples.
#pragma once

#include "gradient.hpp"
#include "series.hpp"

namespace fastntk::FASTNTK_ISA {

// Of a chunk of pairs and one of the two series, with c its coefficients, or their derivatives in log q_p or log q_q:
struct SeriesSums {
    alignas(64) double total[gradient_chunk] = {}; // sum of c
    alignas(64) double lost[gradient_chunk] = {};  // sum of c (1 - y^m)
    alignas(64) double slope[gradient_chunk] = {}; // sum of m c y^(m - 1)

    // The part of the series that is left at y.
    FASTNTK_INLINE double value(Index j) const { return total[j] - lost[j]; }
};

struct SeriesJets {
    SeriesSums value, p, q;
    alignas(64) double curvature[gradient_chunk] = {}; // sum of m (m - 1) c y^(m - 2)
};

// The same of a vector of pairs, in registers; the slope only where it is wanted.
template <class V, bool with_slope>
struct RunningSums {
    V total = {}, lost = {}, slope = {};

    FASTNTK_INLINE void step(V step, V step_gap, bool lowers_slope) {
        lost = step * lost + step_gap * total;
        if constexpr (with_slope)
            if (lowers_slope) slope = step * slope;
    }
    FASTNTK_INLINE void add(V c, double m) {
        total += c;
        if constexpr (with_slope) slope += m * c;
    }
    FASTNTK_INLINE void store(SeriesSums& sums, Index j) const {
        reinterpret_cast<V&>(sums.total[j]) = total;
        reinterpret_cast<V&>(sums.lost[j]) = lost;
        if constexpr (with_slope) reinterpret_cast<V&>(sums.slope[j]) = slope;
    }
};

// Of the vector V of pairs at j of a chunk, which is that at first + j of the strip.
template <class V, bool bent, bool with_factor>
FASTNTK_INLINE void sum_series_jets(const Expansion<double>::Series& series, Index terms, const StripArguments<double>& s,
                                    Index first_table, Index bend_table, Index first, Index j, const double* y,
                                    const double* loss, SeriesJets& sums) {
    const auto load = [](const double& from) { return reinterpret_cast<const V&>(from); };
    const int levels = static_cast<int>(series.level[terms > 1 ? terms - 2 : 0]) + 1;
    V power[most_levels], gap[most_levels]; // y^unit(level) and 1 minus it
    power[0] = power[1] = load(y[j]);
    gap[0] = gap[1] = load(loss[j]);
    for (int level = 2; level < levels; ++level) {
        gap[level] = gap[level - 1] * (2 - gap[level - 1]);
        power[level] = 1 - gap[level];
    }
    // A sample's numbers of one term and of the bend, and their derivatives.
    const double* const own = s.p + first_table;
    const double* others = s.q + (first_table + terms - 1) * s.q_stride + first + j;
    V bend = {}, bend_in_p = {}, bend_in_q = {};
    if constexpr (bent) {
        const double* const other = s.q + bend_table * s.q_stride + first + j;
        bend = s.p[bend_table] * load(*other);
        bend_in_p = s.p[s.values + bend_table] * load(*other);
        bend_in_q = s.p[bend_table] * load(other[s.values * s.q_stride]);
    }
    RunningSums<V, true> value;
    RunningSums<V, with_factor> p, q;
    V curvature = {};
    for (Index r = terms - 1; r >= 0; --r, others -= s.q_stride) {
        if (const int multiple = r < terms - 1 ? static_cast<int>(series.multiple[r]) : 0; multiple > 0) {
            const int level = static_cast<int>(series.level[r]);
            V step = power[level], step_gap = gap[level];
            for (int k = 1; k < multiple; ++k) {
                step_gap = power[level] * step_gap + gap[level];
                step *= power[level];
            }
            value.step(step, step_gap, r > 0);
            p.step(step, step_gap, r > 0);
            q.step(step, step_gap, r > 0);
            if constexpr (with_factor)
                if (r > 1) curvature *= step;
        }
        const double m = series.exponent[r], a = series.sign[r] * own[r], a_in_p = series.sign[r] * own[s.values + r];
        const V other = load(*others);
        V c = a * other, c_in_p = a_in_p * other, c_in_q = a * load(others[s.values * s.q_stride]);
        if constexpr (bent) {
            c -= series.bend[r] * bend;
            c_in_p -= series.bend[r] * bend_in_p;
            c_in_q -= series.bend[r] * bend_in_q;
        }
        value.add(c, m);
        p.add(c_in_p, m);
        q.add(c_in_q, m);
        if constexpr (with_factor) curvature += m * (m - 1) * c;
    }
    value.store(sums.value, j);
    p.store(sums.p, j);
    q.store(sums.q, j);
    if constexpr (with_factor) reinterpret_cast<V&>(sums.curvature[j]) = curvature;
}

// Of a chunk of `count` pairs.
template <bool bent, bool with_factor>
void sum_series_jets(const Expansion<double>::Series& series, Index terms, const StripArguments<double>& s, Index first_table,
                     Index bend_table, Index first, Index count, const double* y, const double* loss, SeriesJets& sums) {
    if (terms == 0) return;
    using V = Vector<double>::type;
    for (Index j = 0; j < count; j += lanes<double>)
        sum_series_jets<V, bent, with_factor>(series, terms, s, first_table, bend_table, first, j, y, loss, sums);
}

// Of 1 - rho' at a pair's rho >= 0, or at |rho|, or of its derivatives in log q, given what the coordinates' distance adds.
FASTNTK_INLINE double lost_at(const SeriesSums& even, const SeriesSums& odd, Index j, double known, double rho,
                              double from_one, double distance) {
    return known == 0 ? distance + even.lost[j] + from_one * odd.total[j] + rho * odd.lost[j]
                      : -(even.value(j) + rho * odd.value(j));
}

// Of d rho' / d rho, with y = rho^2.
FASTNTK_INLINE double slope_at(const SeriesSums& even, const SeriesSums& odd, Index j, double rho, double y) {
    return 2 * rho * even.slope[j] + odd.value(j) + 2 * y * odd.slope[j];
}

// The parts of phi that are multiples of |x| and x |x|, see `expand`, at 1 - |rho|. A function of its own, as what a loop's
// body declares itself stays in memory, and then it does not vectorise.
FASTNTK_INLINE void add_bends(const Jet& at, const Jet& even, const Jet& odd, bool reflected, double known, Jet& result, Jet& gain) {
    const Jet root = sqrt(at);
    const FirstTwo<Jet> angles(at, root);
    const Jet odd_gap = 2.0 / 3 * at * (2 - at) + 2 * e2(at, root), even_slope = even * (1 - 2 * angles.e0);
    result = result + even * (at - 2 * angles.e1) + odd * choose(reflected, 2 - odd_gap, odd_gap);
    result = result - known * (even + odd); // the 1 is there already
    gain = gain + choose(reflected, -even_slope, even_slope) + odd * (4.0 / 3) * (1 - at + 2 * angles.e1);
}

template <bool bent, bool with_factor>
void expansion_gradient(const Expansion<double>& x, const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const Index even_end = x.distances + x.even.terms, end = even_end + x.odd.terms;
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        alignas(64) double y[gradient_chunk], loss[gradient_chunk];
        double nearest = 1;
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            nearest = min(t, nearest);
            y[j] = (1 - t) * (1 - t);
            loss[j] = t * (2 - t);
        }
        // The second derivative converges more slowly than what the tolerance is of.
        const double y_max = (1 - nearest) * (1 - nearest), tolerance = 1e-3 * x.tolerance;
        const Index even_terms = terms_needed<double>(x.even, y_max, tolerance), odd_terms = terms_needed<double>(x.odd, y_max, tolerance);
        SeriesJets even, odd;
        sum_series_jets<bent, with_factor>(x.even, even_terms, s, x.distances, end, first, count, y, loss, even);
        sum_series_jets<bent, with_factor>(x.odd, odd_terms, s, even_end, end + 1, first, count, y, loss, odd);
        const bool whole = x.even.left_after(even_terms) <= x.tolerance && x.odd.left_after(odd_terms) <= x.tolerance;

        alignas(64) double distance[gradient_chunk] = {}, distance_p[gradient_chunk] = {}, distance_q[gradient_chunk] = {};
        for (Index d = 0; d < x.distances; ++d) {
            const Table<Jet> coordinate(s, d);
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const Jet difference = coordinate.p - coordinate[first + j], square = difference * difference;
                distance[j] += square.v;
                distance_p[j] += square.p;
                distance_q[j] += square.q;
            }
        }
        const Table<Jet> even_bend(s, bent ? end : 0), odd_bend(s, bent ? end + 1 : 0);
        // Numbers, as loops with flags do not vectorise: what of 1 - rho' is in no sum, and whether to reflect.
        const double known = whole ? 0 : 1, odd_only = x.odd_only ? 1 : 0;
        Jets next, factor;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            const bool far = is_far(gap[first + j]), reflected = far && odd_only == 0;
            const double rho = reflected ? t - 1 : 1 - t, from_one = reflected ? 2 - t : t, square = y[j];
            const double slope = slope_at(even.value, odd.value, j, rho, square);
            Jet result(known + lost_at(even.value, odd.value, j, known, rho, from_one, distance[j]), slope,
                       lost_at(even.p, odd.p, j, known, rho, from_one, distance_p[j]),
                       lost_at(even.q, odd.q, j, known, rho, from_one, distance_q[j]));
            Jet gain(slope,
                     -(2 * even.value.slope[j] + 4 * square * even.curvature[j] + rho * (6 * odd.value.slope[j] + 4 * square * odd.curvature[j])),
                     slope_at(even.p, odd.p, j, rho, square), slope_at(even.q, odd.q, j, rho, square));
            if constexpr (bent)
                add_bends({t, reflected ? -1.0 : 1.0, 0, 0}, even_bend.p * even_bend[first + j],
                          odd_bend.p * odd_bend[first + j], reflected, known, result, gain);
            // Of an odd function all was found at |rho|, and is to be reflected.
            const double side = far && odd_only != 0 ? -1 : 1;
            const double near_gap = max(result.v, 0.0), far_gap = max(2 - result.v, 0.0);
            next.set(j, {near_gap <= 1 ? copysign(near_gap, side) : copysign(far_gap, -side), result.gap, side * result.p, side * result.q});
            if constexpr (with_factor) factor.set(j, {gain.v, side * gain.gap, gain.p, gain.q});
        }
        chain<true, with_factor>(g, first, count, next, factor, gap, ntk);
    }
}

template <bool bent>
void expansion_gradient(const Expansion<double>& x, const GradientArguments& g, double* gap, double* ntk) {
    if (with_factor(g, ntk)) expansion_gradient<bent, true>(x, g, gap, ntk);
    else expansion_gradient<bent, false>(x, g, gap, ntk);
}

inline void expansion_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const Expansion<double> x(g.strip.parameters);
    if (x.bent) expansion_gradient<true>(x, g, gap, ntk);
    else expansion_gradient<false>(x, g, gap, ntk);
}

} // namespace fastntk::FASTNTK_ISA
