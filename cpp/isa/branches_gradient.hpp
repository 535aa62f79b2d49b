// The derivatives of what branches.hpp has, op by op, as gradient.hpp. The slope of a signed gap is minus that of rho.
#pragma once

#include "branches.hpp"
#include "gradient.hpp"

namespace fastntk::FASTNTK_ISA {

inline void add_gradient(const GradientArguments& g, const OtherPart& other, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const Sum<double, false, true> op(s);
    if (g.second) {
        const Seconds of(g.gap_slopes, g.second, g.stride, 0);
        const Seconds others(other.gap_slopes, other.second, other.stride, 0);
        const double* const slopes_q = s.q + 8 * s.q_stride;
        const Share a{op.shares.a_p, s.p[6], op.shares.a_q, slopes_q}, b{op.b_p, s.p[7], op.b_q, slopes_q + s.q_stride};
#pragma omp simd
        for (Index j = 0; j < s.length; ++j) {
            of.pq[j] = share_pq(a, of, near_gap(gap[j]), j) + share_pq(b, others, near_gap(other.gap[j]), j);
            of.gp[j] = share_gp(a, of, j) + share_gp(b, others, j);
            of.gq[j] = share_gq(a, of, j) + share_gq(b, others, j);
            of.gg[j] = fma(a.p * a.q[j], of.gg[j], b.p * b.q[j] * others.gg[j]);
        }
    }
    for (Index k = 0; k < g.directions; ++k) {
        double* __restrict const gap_slope = g.gap_slopes + k * g.stride;
        const double* const other_slope = other.gap_slopes + k * other.stride;
        const double a_slope_p = s.p[4 + 2 * k], b_slope_p = s.p[5 + 2 * k];
        const double* const a_slope = s.q + (4 + 2 * k) * s.q_stride;
        const double* const b_slope = a_slope + s.q_stride;
        if (ntk) {
            double* __restrict const ntk_slope = g.ntk_slopes + k * g.stride;
            const double* const other_ntk_slope = other.ntk_slopes + k * other.stride;
#pragma omp simd
            for (Index j = 0; j < s.length; ++j) {
                const double a_moved = fma(a_slope_p, op.shares.a_q[j], op.shares.a_p * a_slope[j]), b_moved = fma(b_slope_p, op.b_q[j], op.b_p * b_slope[j]);
                ntk_slope[j] = fma(op.shares.a_p * op.shares.a_q[j], ntk_slope[j], a_moved * ntk[j]) + fma(op.b_p * op.b_q[j], other_ntk_slope[j], b_moved * other.ntk[j]);
            }
        }
#pragma omp simd
        for (Index j = 0; j < s.length; ++j) {
            const double a_moved = fma(a_slope_p, op.shares.a_q[j], op.shares.a_p * a_slope[j]), b_moved = fma(b_slope_p, op.b_q[j], op.b_p * b_slope[j]);
            const double da = op.shares.difference_of_a(j), db = op.shares.difference_of_b(j);
            const double own = root_2 * fma(a_slope_p - a_slope[j], da, (b_slope_p - b_slope[j]) * db);
            gap_slope[j] = fma(op.shares.a_p * op.shares.a_q[j], gap_slope[j], a_moved * near_gap(gap[j])) +
                           fma(op.b_p * op.b_q[j], other_slope[j], b_moved * near_gap(other.gap[j])) + own;
        }
    }
#pragma omp simd
    for (Index j = 0; j < s.length; ++j) {
        double next = gap[j], theta = ntk ? ntk[j] : 0;
        op(j, other.gap[j], ntk ? other.ntk[j] : 0, next, theta);
        gap[j] = next;
        if (ntk) ntk[j] = theta;
    }
}

inline void multiply_gradient(const GradientArguments& g, const OtherPart& other, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const Product<double, false, true> op(s);
    if (g.second) {
        const Seconds of(g.gap_slopes, g.second, g.stride, 0);
        const Seconds others(other.gap_slopes, other.second, other.stride, 0);
#pragma omp simd
        for (Index j = 0; j < s.length; ++j) {
            const double rho = correlation<double, false>(gap[j]), other_rho = correlation<double, false>(other.gap[j]);
            of.gg[j] = fma(other_rho, of.gg[j], rho * others.gg[j]) - 2 * of.g[j] * others.g[j];
            of.gp[j] = fma(other_rho, of.gp[j], rho * others.gp[j]) - (of.g[j] * others.p[j] + of.p[j] * others.g[j]);
            of.gq[j] = fma(other_rho, of.gq[j], rho * others.gq[j]) - (of.g[j] * others.q[j] + of.q[j] * others.g[j]);
            of.pq[j] = fma(other_rho, of.pq[j], rho * others.pq[j]) - (of.p[j] * others.q[j] + of.q[j] * others.p[j]);
        }
    }
    for (Index k = 0; k < g.directions; ++k) {
        double* __restrict const gap_slope = g.gap_slopes + k * g.stride;
        const double* const other_slope = other.gap_slopes + k * other.stride;
        if (ntk) {
            double* __restrict const ntk_slope = g.ntk_slopes + k * g.stride;
            const double* const other_ntk_slope = other.ntk_slopes + k * other.stride;
#pragma omp simd
            for (Index j = 0; j < s.length; ++j)
                ntk_slope[j] = fma(ntk_slope[j], correlation<double, false>(other.gap[j]), -ntk[j] * other_slope[j]) +
                               fma(other_ntk_slope[j], correlation<double, false>(gap[j]), -other.ntk[j] * gap_slope[j]);
        }
#pragma omp simd
        for (Index j = 0; j < s.length; ++j)
            gap_slope[j] = fma(gap_slope[j], correlation<double, false>(other.gap[j]), correlation<double, false>(gap[j]) * other_slope[j]);
    }
#pragma omp simd
    for (Index j = 0; j < s.length; ++j) {
        double next = gap[j], theta = ntk ? ntk[j] : 0;
        op(j, other.gap[j], ntk ? other.ntk[j] : 0, next, theta);
        gap[j] = next;
        if (ntk) ntk[j] = theta;
    }
}

// The inverse of a concatenation: with W = a_p a_q, gap = W next + what the shares differ by.
inline void centre_second(const GradientArguments& g, const Centre<double, false, true>& op, Index first, Index count, const double* next) {
    const StripArguments<double>& s = g.strip;
    const Seconds of(g.gap_slopes, g.second, g.stride, first);
    const double a_slope_p = s.p[5], b_slope_p = s.p[6]; // along log q_p; tables of b / sqrt 2
    const double *const a_slope = s.q + 7 * s.q_stride + first, *const b_slope = a_slope + s.q_stride;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        const double a_q = op.shares.a_q[first + j], inverse = 1 / (op.shares.a_p * a_q), t = near_gap(next[j]);
        const double da = root_2 * op.shares.difference_of_a(first + j), db = 2 * op.shares.difference_of_b(first + j);
        const double by_p = a_slope_p / op.shares.a_p, by_q = a_slope[j] / a_q; // d log W
        const double next_g = of.g[j] * inverse;
        const double next_p = fma(-by_p, t, (of.p[j] - fma(a_slope_p, da, b_slope_p * db)) * inverse);
        const double next_q = fma(-by_q, t, (of.q[j] + fma(a_slope[j], da, b_slope[j] * db)) * inverse);
        const double apart = -fma(a_slope_p, a_slope[j], 2 * b_slope_p * b_slope[j]);
        of.pq[j] = (of.pq[j] - apart) * inverse - by_p * next_q - by_q * next_p - by_p * by_q * t;
        of.gp[j] = of.gp[j] * inverse - by_p * next_g;
        of.gq[j] = of.gq[j] * inverse - by_q * next_g;
        of.gg[j] *= inverse;
    }
}

inline void centre_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const Centre<double, false, true> op(s);
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        alignas(64) double next[gradient_chunk], theta[gradient_chunk];
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            next[j] = gap[first + j];
            theta[j] = ntk ? ntk[first + j] : 0;
            op(first + j, next[j], theta[j]);
        }
        if (g.second) centre_second(g, op, first, count, next);
        for (Index k = 0; k < g.directions; ++k) {
            const double a_slope_p = s.p[3 + 2 * k], b_slope_p = s.p[4 + 2 * k];
            const double* const a_slope = s.q + (3 + 2 * k) * s.q_stride + first;
            const double* const b_slope = a_slope + s.q_stride;
            double* __restrict const gap_slope = g.gap_slopes + k * g.stride + first;
            double* __restrict const ntk_slope = ntk ? g.ntk_slopes + k * g.stride + first : nullptr;
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const double da = op.shares.difference_of_a(first + j), db = op.shares.difference_of_b(first + j);
                const double inverse = 1 / (op.shares.a_p * op.shares.a_q[first + j]);
                const double moved = (a_slope_p * op.shares.a_q[first + j] + op.shares.a_p * a_slope[j]) * inverse; // d log(a a')
                const double own = 2 * fma(0.5 * root_2 * (a_slope_p - a_slope[j]), da, (b_slope_p - b_slope[j]) * db);
                gap_slope[j] = (gap_slope[j] - own) * inverse - near_gap(next[j]) * moved;
                if (ntk) ntk_slope[j] = fma(ntk_slope[j], inverse, -theta[j] * moved);
            }
        }
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            gap[first + j] = next[j];
            if (ntk) ntk[first + j] = theta[j];
        }
    }
}

inline void dropout_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const Dropout<double, false, true> op(g.strip);
    for (Index k = 0; g.second && k < 4; ++k)
#pragma omp simd
        for (Index j = 0; j < g.strip.length; ++j) g.second[k * g.stride + j] *= op.kept;
    for (Index k = 0; k < g.directions; ++k) {
#pragma omp simd
        for (Index j = 0; j < g.strip.length; ++j) g.gap_slopes[k * g.stride + j] *= op.kept;
        if (ntk)
#pragma omp simd
            for (Index j = 0; j < g.strip.length; ++j) g.ntk_slopes[k * g.stride + j] *= op.kept;
    }
    double none = 0;
    for (Index j = 0; j < g.strip.length; ++j) op(j, gap[j], ntk ? ntk[j] : none);
}

// Tables after the values: those of a and b/sqrt 2 of every direction, then those of w and v.
inline void dense_standard_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const DenseStandard<double, false, true> op(s);
    alignas(64) double rho[gradient_chunk];
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        for (Index j = 0; j < count; ++j) rho[j] = correlation<double, false>(gap[first + j]);
        const auto part = [&](const double* table) { return table + first; };
        GradientArguments chunk = g;
        chunk.strip.q = part(s.q);
        chunk.strip.length = count;
        chunk.gap_slopes = g.gap_slopes + first;
        chunk.ntk_slopes = ntk ? g.ntk_slopes + first : nullptr;
        chunk.second = g.second ? g.second + first : nullptr;
        alignas(64) double moved[gradient_chunk];
        alignas(64) double added[gradient_chunk];
        for (Index j = 0; j < count; ++j) added[j] = fma(op.w_p * op.w_q[first + j], rho[j], op.v_p * op.v_q[first + j]);
        // What the gradient in the layer's own parameters adds, whose slopes need that of rho before it: first to a copy.
        for (Index k = 0; ntk && k < g.directions; ++k) {
            const Index table = 5 + 2 * g.directions + 2 * k;
            const double w_slope_p = s.p[table], v_slope_p = s.p[table + 1];
            const double* const w_slope = s.q + table * s.q_stride + first;
            const double* const v_slope = w_slope + s.q_stride;
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const double w = fma(w_slope_p, op.w_q[first + j], op.w_p * w_slope[j]), v = fma(v_slope_p, op.v_q[first + j], op.v_p * v_slope[j]);
                moved[j] = fma(w, rho[j], v) - op.w_p * op.w_q[first + j] * chunk.gap_slopes[k * g.stride + j];
            }
            // Carried through the linear part, which multiplies what is there by its weight.
            const double a_slope_p = s.p[5 + 2 * k];
            const double* const a_slope = s.q + (5 + 2 * k) * s.q_stride + first;
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const double weight = op.linear.shares.a_p * op.linear.shares.a_q[first + j];
                const double weight_slope = fma(a_slope_p, op.linear.shares.a_q[first + j], op.linear.shares.a_p * a_slope[j]);
                double& slope = chunk.ntk_slopes[k * g.stride + j];
                slope = fma(weight, slope, fma(weight_slope, ntk[first + j], moved[j]));
            }
        }
        GradientArguments linear = chunk;
        linear.ntk_slopes = nullptr;
        concatenation_gradient<false, false>(linear, gap + first, nullptr, 5);
        if (ntk)
            for (Index j = 0; j < count; ++j) ntk[first + j] = fma(op.linear.shares.a_p * op.linear.shares.a_q[first + j], ntk[first + j], added[j]);
    }
}

} // namespace fastntk::FASTNTK_ISA
