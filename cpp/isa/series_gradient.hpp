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

    FASTNTK_INLINE void add(Index j, double c, double m, double step, double step_gap, bool lowers_slope) {
        lost[j] = step * lost[j] + step_gap * total[j];
        total[j] += c;
        slope[j] = (lowers_slope ? step * slope[j] : slope[j]) + m * c;
    }
    // The part of the series that is left at y.
    FASTNTK_INLINE double value(Index j) const { return total[j] - lost[j]; }
};

struct SeriesJets {
    SeriesSums value, p, q;
    alignas(64) double curvature[gradient_chunk] = {}; // sum of m (m - 1) c y^(m - 2)
};

// A sample's numbers of one term and of the bend, and their derivatives.
inline void sum_series_jets(const Expansion<double>::Series& series, Index terms, const StripArguments<double>& s,
                            Index first_table, Index bend_table, Index first, Index count, const double* y,
                            const double* loss, SeriesJets& sums) {
    if (terms == 0) return;
    const int levels = static_cast<int>(series.level[terms > 1 ? terms - 2 : 0]) + 1;
    double power[most_levels][gradient_chunk], gap[most_levels][gradient_chunk]; // y^unit(level) and 1 minus it
    for (int level = 0; level < max(levels, 2); ++level)
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            gap[level][j] = level < 2 ? loss[j] : gap[level - 1][j] * (2 - gap[level - 1][j]);
            power[level][j] = level < 2 ? y[j] : 1 - gap[level][j];
        }
    const bool bent = bend_table >= 0;
    for (Index r = terms - 1; r >= 0; --r) {
        alignas(64) double step[gradient_chunk], step_gap[gradient_chunk];
        const int level = static_cast<int>(series.level[r]), multiple = r < terms - 1 ? static_cast<int>(series.multiple[r]) : 0;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            step[j] = 1;
            step_gap[j] = 0;
        }
        for (int k = 0; k < multiple; ++k)
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                step_gap[j] = power[level][j] * step_gap[j] + gap[level][j];
                step[j] *= power[level][j];
            }
        const Table<Jet> a(s, first_table + r), b(s, bent ? bend_table : first_table);
        const double sign = series.sign[r], m = series.exponent[r], bend = bent ? series.bend[r] : 0;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            const Jet c = sign * a.p * a[first + j] - bend * b.p * b[first + j];
            sums.value.add(j, c.v, m, step[j], step_gap[j], r > 0);
            sums.p.add(j, c.p, m, step[j], step_gap[j], r > 0);
            sums.q.add(j, c.q, m, step[j], step_gap[j], r > 0);
            sums.curvature[j] = (r > 1 ? step[j] * sums.curvature[j] : sums.curvature[j]) + m * (m - 1) * c.v;
        }
    }
}

inline void expansion_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const Expansion<double> x(s.parameters);
    const Index even_end = x.distances + x.even.terms, end = even_end + x.odd.terms;
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = min(gradient_chunk, s.length - first);
        alignas(64) double y[gradient_chunk], loss[gradient_chunk];
        double nearest = 1;
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            nearest = min(nearest, t);
            y[j] = (1 - t) * (1 - t);
            loss[j] = t * (2 - t);
        }
        // The second derivative converges more slowly than what the tolerance is of.
        const double y_max = (1 - nearest) * (1 - nearest), tolerance = 1e-3 * x.tolerance;
        const Index even_terms = terms_needed<double>(x.even, y_max, tolerance), odd_terms = terms_needed<double>(x.odd, y_max, tolerance);
        SeriesJets even, odd;
        sum_series_jets(x.even, even_terms, s, x.distances, x.bent ? end : -1, first, count, y, loss, even);
        sum_series_jets(x.odd, odd_terms, s, even_end, x.bent ? end + 1 : -1, first, count, y, loss, odd);
        const bool whole = x.even.left_after(even_terms) <= x.tolerance && x.odd.left_after(odd_terms) <= x.tolerance;

        alignas(64) Jet distance[gradient_chunk];
        for (Index j = 0; j < count; ++j) distance[j] = Jet(0);
        for (Index d = 0; d < x.distances; ++d) {
            const Table<Jet> coordinate(s, d);
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const Jet difference = coordinate.p - coordinate[first + j];
                distance[j] = distance[j] + difference * difference;
            }
        }
        Jets next, factor;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            const bool far = is_far(gap[first + j]), reflected = far && !x.odd_only;
            const double rho = reflected ? t - 1 : 1 - t, from_one = reflected ? 2 - t : t;
            const auto lost = [&](const SeriesSums& e, const SeriesSums& o, double coordinates) {
                return whole ? coordinates + e.lost[j] + from_one * o.total[j] + rho * o.lost[j] : -(e.value(j) + rho * o.value(j));
            };
            const auto slope = [&](const SeriesSums& e, const SeriesSums& o) {
                return 2 * rho * e.slope[j] + o.value(j) + 2 * y[j] * o.slope[j];
            };
            Jet result((whole ? 0 : 1) + lost(even.value, odd.value, distance[j].v), slope(even.value, odd.value),
                       lost(even.p, odd.p, distance[j].p), lost(even.q, odd.q, distance[j].q));
            Jet gain(slope(even.value, odd.value),
                     -(2 * even.value.slope[j] + 4 * y[j] * even.curvature[j] + rho * (6 * odd.value.slope[j] + 4 * y[j] * odd.curvature[j])),
                     slope(even.p, odd.p), slope(even.q, odd.q));
            if (x.bent) {
                const Table<Jet> even_bend(s, end), odd_bend(s, end + 1);
                const Jet even_part = even_bend.p * even_bend[first + j], odd_part = odd_bend.p * odd_bend[first + j];
                const Jet at(t, reflected ? -1 : 1, 0, 0), root = sqrt(at); // by 1 - rho
                const FirstTwo<Jet> angles(at, root);
                const Jet odd_gap = 2.0 / 3 * at * (2 - at) + 2 * e2(at, root), even_slope = even_part * (1 - 2 * angles.e0);
                result = result + even_part * (at - 2 * angles.e1) + odd_part * choose(reflected, 2 - odd_gap, odd_gap);
                if (!whole) result = result - even_part - odd_part; // of 1 - rho' the 1 is there already
                gain = gain + choose(reflected, -even_slope, even_slope) + odd_part * (4.0 / 3) * (1 - at + 2 * angles.e1);
            }
            // Of an odd function all was found at |rho|, and is to be reflected.
            const double side = far && x.odd_only ? -1 : 1;
            const double near_gap = max(result.v, 0.0), far_gap = max(2 - result.v, 0.0);
            next.set(j, {near_gap <= 1 ? copysign(near_gap, side) : copysign(far_gap, -side), result.gap, side * result.p, side * result.q});
            factor.set(j, {gain.v, side * gain.gap, gain.p, gain.q});
        }
        chain<true>(g, first, count, next, factor, gap, ntk);
    }
}

} // namespace fastntk::FASTNTK_ISA
