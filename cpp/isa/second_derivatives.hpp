// The second derivatives of the gap of a pair along the inputs, op by op: in the gap at the input twice, in it and log q_p, in it
// and log q_q, in log q_p and log q_q. (Those in one log q twice are not needed: no derivative is in the same row twice.)
//
// With rho' = 1 - gap' and f = d rho'/d rho, the factor of Theta, all second derivatives of an op are first ones of f, but one. As
// dF/dq = F_cc / 2 of whatever activation (the heat equation), at fixed rho and with e = d log F(q, q) / d log q of each sample
//   rho'_pq = (1 - rho^2) f_rho / 4 + rho (f_p + f_q + (e_p + e_q - 1) f / 2) / 2 - (e_q rho'_p + e_p rho'_q) / 2 - e_p e_q rho' / 4.
#pragma once

#include "branches.hpp"
#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

constexpr Index gradient_chunk = 64;
constexpr double root_2 = 1.41421356237309504880168872420969808;

// A number of each pair of a chunk with its derivatives.
struct Jets {
    alignas(64) double v[gradient_chunk], gap[gradient_chunk], p[gradient_chunk], q[gradient_chunk];

    template <bool with_samples = true>
    FASTNTK_INLINE void set(Index j, const Jet& x) {
        v[j] = x.v;
        gap[j] = x.gap;
        if constexpr (with_samples) { // and otherwise they are not computed
            p[j] = x.p;
            q[j] = x.q;
        }
    }
    FASTNTK_INLINE Jet get(Index j) const { return {v[j], gap[j], p[j], q[j]}; }
};

// First and second derivatives of the gaps of some pairs.
struct Seconds {
    const double *g, *p, *q;
    double *gg, *gp, *gq, *pq;
    Seconds(const double* slopes, double* second, Index stride, Index first)
        : g(slopes + first), p(g + stride), q(p + stride), gg(second + first), gp(gg + stride), gq(gp + stride), pq(gq + stride) {}
};

// Of an activation, before its first derivatives are taken. Tables after those of the directions: e.
template <bool with_samples>
FASTNTK_INLINE void chain_second(const GradientArguments& g, Index first, Index count, const Jets& next, const Jets& factor,
                                 const double* gap) {
    const StripArguments<double>& s = g.strip;
    const Seconds of(g.gap_slopes, g.second, g.stride, first);
    const Index table = 2 * s.values;
    const double log_p = with_samples ? s.p[table + 1] : 0.0, e_p = with_samples ? s.p[table + g.directions] : 0.0;
    const double* const log_q = with_samples ? s.q + (table + 2) * s.q_stride + first : nullptr;
    const double* const e_q = with_samples ? s.q + (table + g.directions) * s.q_stride + first : nullptr;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        const double f = factor.v[j], bend = factor.gap[j];
        double pq = fma(f, of.pq[j], bend * of.p[j] * of.q[j]);
        double gp = fma(f, of.gp[j], bend * of.g[j] * of.p[j]), gq = fma(f, of.gq[j], bend * of.g[j] * of.q[j]);
        if constexpr (with_samples) {
            const double rho = correlation<double, false>(gap[first + j]), t = abs(gap[first + j]);
            const double e_sum = e_p + e_q[j];
            const double own = -0.25 * t * (2 - t) * bend + 0.5 * rho * (factor.p[j] + factor.q[j] + 0.5 * (e_sum - 1) * f) +
                               0.5 * (e_q[j] * next.p[j] + e_p * next.q[j]) - 0.25 * e_p * e_q[j] * correlation<double, false>(next.v[j]);
            gp += factor.p[j] * of.g[j] * log_p;
            gq += factor.q[j] * of.g[j] * log_q[j];
            pq += factor.p[j] * of.q[j] * log_p + factor.q[j] * of.p[j] * log_q[j] - own * log_p * log_q[j];
        }
        of.gg[j] = fma(f, of.gg[j], bend * of.g[j] * of.g[j]);
        of.gp[j] = gp;
        of.gq[j] = gq;
        of.pq[j] = pq;
    }
}

// A share of a feature vector, of which the gap has a_p a_q t + (a_p - a_q)^2 / 2: a and its derivatives along log q.
struct Share {
    double p, slope_p;
    const double *q, *slope_q;
};

// What a share adds to the second derivatives of a whole: that of t; and along log q_p and log q_q of its own.
template <class Slopes>
FASTNTK_INLINE double share_gp(const Share& a, const Slopes& of, Index j) {
    return fma(a.p * a.q[j], of.gp[j], a.slope_p * a.q[j] * of.g[j]);
}
template <class Slopes>
FASTNTK_INLINE double share_gq(const Share& a, const Slopes& of, Index j) {
    return fma(a.p * a.q[j], of.gq[j], a.p * a.slope_q[j] * of.g[j]);
}
template <class Slopes>
FASTNTK_INLINE double share_pq(const Share& a, const Slopes& of, double t, Index j) {
    return fma(a.p * a.q[j], of.pq[j], a.slope_p * a.q[j] * of.q[j] + a.p * a.slope_q[j] * of.p[j] + a.slope_p * a.slope_q[j] * (t - 1));
}

// Of K = s_p s_q rho, with d log s^2 = log.
inline void finish_second(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* gap,
                          const double* gap_slopes, double* second, Index stride, Index length) {
    const Seconds of(gap_slopes, second, stride, 0);
#pragma omp simd
    for (Index j = 0; j < length; ++j) {
        const double scale = scale_p * scale_q[j], half_p = 0.5 * log_p, half_q = 0.5 * log_q[j];
        of.gg[j] *= -scale;
        of.gp[j] = -scale * fma(half_p, of.g[j], of.gp[j]);
        of.gq[j] = -scale * fma(half_q, of.g[j], of.gq[j]);
        of.pq[j] = scale * (half_p * half_q * correlation<double, false>(gap[j]) - half_p * of.q[j] - half_q * of.p[j] - of.pq[j]);
    }
}

} // namespace fastntk::FASTNTK_ISA
