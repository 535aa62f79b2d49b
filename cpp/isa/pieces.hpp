// Functions with kinks or jumps away from 0: phi = f + sum of weight_m (+-x - a)_+^m, m = 0 to 2, over the kinks at
// +-a, a >= 0, with f smooth. The pairs of kinks have a closed form in truncated moments of the bivariate normal;
// for the rest the Hermite expansions of phi and of its kinks differ by few terms.
#pragma once

#include "bivariate.hpp"
#include "smooth.hpp"

namespace fastntk::FASTNTK_ISA {

// What a sample has of one kink: a / sqrt(q), and the weights in units of s'. Seven tables.
template <class T>
struct Kink {
    static constexpr Index tables = 7;
    WideTable<T> value, density, tail, excess, jump, bend, curve;
    Kink(const StripArguments<T>& s, Index first)
        : value(s, first), density(s, first + 1), tail(s, first + 2), excess(s, first + 3), jump(s, first + 4),
          bend(s, first + 5), curve(s, first + 6) {}

    FASTNTK_INLINE Threshold threshold(Index j) const { return {value[j], density[j], tail[j], excess[j]}; }
    FASTNTK_INLINE Threshold threshold_p() const { return {value.p, density.p, tail.p, excess.p}; }
    FASTNTK_INLINE bool same(Index j) const {
        return value.p == value[j] && jump.p == jump[j] && bend.p == bend[j] && curve.p == curve[j];
    }
};

// Adds E[kink of u, kink of v] to value and, with phi', to slope.
template <class T>
FASTNTK_INLINE void add_kinks(const Kink<T>& a, const Kink<T>& b, bool opposite, Index first, Index count,
                              const double* near, const double* far, double* value, double* slope) {
    const Threshold h = a.threshold_p();
    const double a0 = a.jump.p, a1 = a.bend.p, a2 = a.curve.p;
    const double sign = opposite ? -1 : 1;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        const TruncatedMoments m(h, b.threshold(first + j), opposite ? far[j] : near[j], opposite ? near[j] : far[j]);
        const double b0 = b.jump[first + j], b1 = b.bend[first + j], b2 = b.curve[first + j];
        value[j] += a0 * (b0 * m.m00 + b1 * m.m01 + b2 * m.m02) + a1 * (b0 * m.m10 + b1 * m.m11 + b2 * m.m12) +
                    a2 * (b0 * m.m20 + b1 * m.m21 + b2 * m.m22);
        slope[j] += sign * (a1 * (b1 * m.m00 + 2 * b2 * m.m01) + 2 * a2 * (b1 * m.m10 + 2 * b2 * m.m11));
    }
}

// Parameters: terms K, number of kinks, their signs. Tables, all wide: K Hermite coefficients of phi, of its kinks, of
// phi' and of the kinks', all in units of s', phi' also in those of 1 / s; then those of every kink.
template <class T, bool with_ntk>
void pieces(const StripArguments<T>& s, T* gap, T* ntk) {
    constexpr Index chunk = 48;
    const Index terms = static_cast<Index>(s.parameters[0]);
    const Index kinks = static_cast<Index>(s.parameters[1]);
    const T* const side = s.parameters + 2;
    const Index first_kink = 4 * terms;
    for (Index first = 0; first < s.length; first += chunk) {
        const Index count = min(chunk, s.length - first);
        alignas(64) double near[chunk], far[chunk], value[chunk], slope[chunk];
        for (Index j = 0; j < count; ++j) {
            const double t = abs(static_cast<double>(gap[first + j]));
            const bool is_far_pair = is_far(gap[first + j]);
            near[j] = is_far_pair ? 2 - t : t;
            far[j] = is_far_pair ? t : 2 - t;
            value[j] = slope[j] = 0;
        }
        for (Index k = terms - 1; k >= 0; --k) {
            const WideTable<T> whole(s, k), kinked(s, terms + k), whole_slope(s, 2 * terms + k),
                kinked_slope(s, 3 * terms + k);
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const Index q = first + j;
                const double rho = 0.5 * (far[j] - near[j]);
                value[j] = fma(rho, value[j], whole.p * whole[q] - kinked.p * kinked[q]);
                slope[j] = fma(rho, slope[j], whole_slope.p * whole_slope[q] - kinked_slope.p * kinked_slope[q]);
            }
        }
        for (Index a = 0; a < kinks; ++a)
            for (Index b = 0; b < kinks; ++b)
                add_kinks<T>(Kink<T>(s, first_kink + a * Kink<T>::tables), Kink<T>(s, first_kink + b * Kink<T>::tables),
                             side[a] != side[b], first, count, near, far, value, slope);
        for (Index j = 0; j < count; ++j) {
            bool same = near[j] == 0;
            for (Index a = 0; a < kinks; ++a) same = same && Kink<T>(s, first_kink + a * Kink<T>::tables).same(first + j);
            gap[first + j] = static_cast<T>(same ? 0.0 : signed_gap(1 - value[j]));
            if constexpr (with_ntk) ntk[first + j] *= static_cast<T>(slope[j]);
        }
    }
}

} // namespace fastntk::FASTNTK_ISA
