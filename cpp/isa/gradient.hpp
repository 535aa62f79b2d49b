// The derivatives of the state of a strip of pairs in some parameters, op by op: forward differentiation. What an op
// does to a pair depends on the gap, on log q_p and log q_q; and how these depend on the parameters is known.
#pragma once

#include "ratio.hpp"
#include "second_derivatives.hpp"

namespace fastntk::FASTNTK_ISA {

// In one direction, in which log q of samples moves too, or not.
template <bool with_samples, bool with_factor>
FASTNTK_INLINE void chain_slopes(const GradientArguments& g, Index k, Index first, Index count, const Jets& next, const Jets& factor,
                                 const double* ntk) {
    const StripArguments<double>& s = g.strip;
    double* __restrict const gap_slope = g.gap_slopes + k * g.stride + first;
    const double log_p = with_samples ? s.p[2 * s.values + k] : 0.0;
    const double* const log_q = with_samples ? s.q + (2 * s.values + k) * s.q_stride + first : nullptr;
    if (with_factor && g.ntk_slopes) {
        double* __restrict const ntk_slope = g.ntk_slopes + k * g.stride + first;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            double slope = factor.gap[j] * gap_slope[j];
            if constexpr (with_samples) slope += factor.p[j] * log_p + factor.q[j] * log_q[j];
            ntk_slope[j] = factor.v[j] * ntk_slope[j] + slope * ntk[first + j];
        }
    }
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        double slope = next.gap[j] * gap_slope[j];
        if constexpr (with_samples) slope += next.p[j] * log_p + next.q[j] * log_q[j];
        gap_slope[j] = slope;
    }
}

// gap <- next, Theta <- factor Theta, and their derivatives, for `count` pairs from `first` on; the factor only where it is wanted.
template <bool with_samples, bool with_factor = true>
FASTNTK_INLINE void chain(const GradientArguments& g, Index first, Index count, const Jets& next, const Jets& factor,
                          double* gap, double* ntk) {
    if (with_factor && g.second) chain_second<with_samples>(g, first, count, next, factor, gap);
    for (Index k = 0; k < g.directions; ++k) {
        if (with_samples && !(g.along_inputs && k == 0)) chain_slopes<with_samples, with_factor>(g, k, first, count, next, factor, ntk);
        else chain_slopes<false, with_factor>(g, k, first, count, next, factor, ntk);
    }
#pragma omp simd
    for (Index j = 0; j < count; ++j) gap[first + j] = next.v[j];
    if (with_factor && ntk)
#pragma omp simd
        for (Index j = 0; j < count; ++j) ntk[first + j] *= factor.v[j];
}

// Whether the derivatives of what Theta is multiplied by are wanted.
FASTNTK_INLINE bool with_factor(const GradientArguments& g, const double* ntk) { return ntk || g.second; }

// Of an activation written for any number type, here for Jet.
template <class Op, bool with_samples>
void gradient(const GradientArguments& g, double* gap, double* ntk) {
    const Op op(g.strip);
    for (Index first = 0; first < g.strip.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, g.strip.length - first));
        Jets next, factor;
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            Jet at(gap[first + j], 1, 0, 0);
            Jet slope(1);
            op(first + j, at, slope);
            next.set<with_samples>(j, at);
            factor.set<with_samples>(j, slope);
        }
        chain<with_samples>(g, first, count, next, factor, gap, ntk);
    }
}

// Of the same, before the first derivatives are taken.
template <class Op>
FASTNTK_INLINE void concatenation_second(const GradientArguments& g, const Op& op, Index first, Index count, const double* gap, Index values) {
    const StripArguments<double>& s = g.strip;
    const Seconds of(g.gap_slopes, g.second, g.stride, first);
    const double* const slopes_q = s.q + (values + 4) * s.q_stride + first;
    const Share a{op.shares.a_p, s.p[values + 2], op.shares.a_q + first, slopes_q};
    const double b_slope_p = 2 * s.p[values + 3]; // tables of b / sqrt 2
    const double* const b_slope_q = slopes_q + s.q_stride;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        of.pq[j] = share_pq(a, of, near_gap(gap[first + j]), j) - b_slope_p * b_slope_q[j];
        of.gp[j] = share_gp(a, of, j);
        of.gq[j] = share_gq(a, of, j);
        of.gg[j] *= a.p * a.q[j];
    }
}

// All directions at once: no share moves along the gap, and those of one sample along log q of that.
template <bool is_dense, bool with_ntk, class Op>
FASTNTK_INLINE void concatenation_along_inputs(const GradientArguments& g, const Op& op, Index first, Index count, const double* gap,
                                               const double* ntk, Index values) {
    const StripArguments<double>& s = g.strip;
    double* __restrict const along = g.gap_slopes;
    double* __restrict const by_p = along + g.stride;
    double* __restrict const by_q = by_p + g.stride;
    double* __restrict const ntk_along = with_ntk ? g.ntk_slopes : nullptr;
    double* __restrict const ntk_by_p = ntk_along + (with_ntk ? g.stride : 0);
    double* __restrict const ntk_by_q = ntk_by_p + (with_ntk ? g.stride : 0);
    const double a_slope_p = s.p[values + 2], b_slope_p = s.p[values + 3];
    const double* const a_slope = s.q + (values + 4) * s.q_stride;
    const double* const b_slope = a_slope + s.q_stride;
#pragma omp simd
    for (Index j = first; j < first + count; ++j) {
        const double da = root_2 * op.shares.difference_of_a(j), db = 2 * op.shares.difference_of_b(j);
        const double weight = op.shares.weight(j), weight_p = a_slope_p * op.shares.a_q[j], weight_q = op.shares.a_p * a_slope[j];
        const double t = is_far(gap[j]) ? 2 + gap[j] : gap[j]; // 1 - rho
        along[j] *= weight;
        by_p[j] = fma(weight, by_p[j], fma(weight_p, t, fma(a_slope_p, da, b_slope_p * db)));
        by_q[j] = fma(weight, by_q[j], fma(weight_q, t, -fma(a_slope[j], da, b_slope[j] * db)));
        if constexpr (with_ntk) {
            ntk_along[j] = fma(weight, ntk_along[j], is_dense ? -along[j] : 0.0);
            ntk_by_p[j] = fma(weight, ntk_by_p[j], fma(weight_p, ntk[j], is_dense ? -by_p[j] : 0.0));
            ntk_by_q[j] = fma(weight, ntk_by_q[j], fma(weight_q, ntk[j], is_dense ? -by_q[j] : 0.0));
        }
    }
}

// Dense layers and offsets, with two more tables for every direction after the values: the derivatives of a and of b / sqrt 2.
template <bool is_dense, bool with_ntk>
FASTNTK_INLINE void concatenation_gradient(const GradientArguments& g, double* gap, double* ntk, Index values = 3) {
    const StripArguments<double>& s = g.strip;
    const Concatenation<double, false, with_ntk, is_dense> op(s);
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        alignas(64) double next[gradient_chunk], theta[gradient_chunk];
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            next[j] = gap[first + j];
            theta[j] = with_ntk ? ntk[first + j] : 0;
            op(first + j, next[j], theta[j]);
        }
        if (g.second) concatenation_second(g, op, first, count, gap, values);
        if (g.along_inputs && g.directions == 3) concatenation_along_inputs<is_dense, with_ntk>(g, op, first, count, gap, ntk, values);
        else for (Index k = 0; k < g.directions; ++k) {
            double* __restrict const gap_slope = g.gap_slopes + k * g.stride;
            double* __restrict const ntk_slope = g.ntk_slopes + (with_ntk ? k * g.stride : 0);
            const double a_slope_p = s.p[values + 2 * k], b_slope_p = s.p[values + 1 + 2 * k];
            const double* const a_slope = s.q + (values + 2 * k) * s.q_stride;
            const double* const b_slope = a_slope + s.q_stride;
#pragma omp simd
            for (Index j = first; j < first + count; ++j) {
                const double a_difference = op.shares.difference_of_a(j), b_difference = op.shares.difference_of_b(j);
                const double weight = op.shares.weight(j);
                const double weight_slope = fma(a_slope_p, op.shares.a_q[j], op.shares.a_p * a_slope[j]);
                const double t = is_far(gap[j]) ? 2 + gap[j] : gap[j]; // 1 - rho
                const double own = 2 * fma(root_half * (a_slope_p - a_slope[j]), a_difference, (b_slope_p - b_slope[j]) * b_difference);
                gap_slope[j] = fma(weight, gap_slope[j], fma(weight_slope, t, own));
                if constexpr (with_ntk) {
                    ntk_slope[j] = fma(weight, ntk_slope[j], weight_slope * ntk[j]);
                    if constexpr (is_dense) ntk_slope[j] -= gap_slope[j];
                }
            }
        }
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            gap[first + j] = next[j];
            if constexpr (with_ntk) ntk[first + j] = theta[j];
        }
    }
}

template <bool is_dense>
void concatenation_gradient(const GradientArguments& g, double* gap, double* ntk) {
    if (ntk) concatenation_gradient<is_dense, true>(g, gap, ntk);
    else concatenation_gradient<is_dense, false>(g, gap, ntk);
}

inline void dense_bias_free_gradient(const GradientArguments& g, double* gap, double* ntk) {
    if (!ntk) return;
    for (Index k = 0; k < g.directions; ++k)
#pragma omp simd
        for (Index j = 0; j < g.strip.length; ++j) g.ntk_slopes[k * g.stride + j] -= g.gap_slopes[k * g.stride + j];
#pragma omp simd
    for (Index j = 0; j < g.strip.length; ++j) ntk[j] += correlation<double, false>(gap[j]);
}

// K = s_p s_q rho and Theta = s_p s_q ntk, with d log s^2 = log.
inline void finish_gap_slope(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* gap,
                             double* __restrict slope, Index length) {
#pragma omp simd
    for (Index j = 0; j < length; ++j)
        slope[j] = scale_p * scale_q[j] * fma(0.5 * (log_p + log_q[j]), correlation<double, false>(gap[j]), -slope[j]);
}

inline void finish_ntk_slope(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* ntk,
                             double* __restrict slope, Index length) {
#pragma omp simd
    for (Index j = 0; j < length; ++j) slope[j] = scale_p * scale_q[j] * fma(0.5 * (log_p + log_q[j]), ntk[j], slope[j]);
}

// See KernelSet. Nearer to a duplicate or an antipode than this, derivatives along the gap may be steep.
constexpr double near_pair = 1e-4;

inline Index weigh_inputs(const WeightedRow& row, double* own, double* __restrict own_columns, std::int32_t* flagged) {
    double sum = 0, near = 0; // in double, so that the sum vectorises
    double* __restrict const along = row.along;
#pragma omp simd reduction(+ : sum, near)
    for (Index j = 0; j < row.length; ++j) {
        const double t = row.gaps[j], moved = row.weights[j] * along[j];
        const bool is_near = abs(t) < near_pair;
        const double radial = is_near ? 0.0 : moved * correlation<double, false>(t);
        along[j] = moved;
        near += is_near ? 1 : 0;
        sum += fma(2 * row.weights[j], row.own[j], radial);
        own_columns[j] += row.own_columns ? fma(2 * row.weights[j], row.own_columns[j], radial) : radial;
    }
    *own += sum;
    if (near == 0) return 0;
    Index count = 0;
    for (Index j = 0; j < row.length; ++j)
        if (abs(row.gaps[j]) < near_pair) flagged[count++] = static_cast<std::int32_t>(j);
    return count;
}

// From v - u, or v + u of opposite ones, which are exact: 0 for rows that are equal, or opposite, up to a power of two.
template <class In>
void add_tangent(const RowPair<In>& t, double factor, double* __restrict difference, double* __restrict out) {
    if (t.inverse_v == 0) return; // at a right angle to all, in no feature
    const Ratio<double> ratio((t.opposite ? -1 : 1) * (t.inverse_u / t.inverse_v)); // |v| / |u|
    double radial = 0;
#pragma omp simd reduction(+ : radial)
    for (Index k = 0; k < t.features; ++k) {
        const double u = static_cast<double>(t.u[k]);
        difference[k] = ratio.difference(static_cast<double>(t.v[k]), u) * t.inverse_v;
        radial += difference[k] * (u * t.inverse_u);
    }
#pragma omp simd
    for (Index k = 0; k < t.features; ++k)
        out[k] += factor * fma(-radial, static_cast<double>(t.u[k]) * t.inverse_u, difference[k]);
}

inline double dot(const double* x, const double* y, Index length) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index j = 0; j < length; ++j) sum += x[j] * y[j];
    return sum;
}

} // namespace fastntk::FASTNTK_ISA
