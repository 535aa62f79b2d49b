// Functions with kinks or jumps away from 0: phi = f + sum of weight_m (+-x - a)_+^m, m = 0 to 2, over thresholds
// a >= 0 and both sides, with f smooth. The pairs of kinks have a closed form in truncated moments of the bivariate
// normal; for the rest the Hermite expansions of phi and of its kinks differ by few terms.
#pragma once

#include "bivariate.hpp"
#include "smooth.hpp"

namespace fastntk::FASTNTK_ISA {

// Weights of the kinks at one threshold on one side, in units of s'. Three tables.
template <class T>
struct Weights {
    WideTable<T> jump, bend, curve;
    Weights(const StripArguments<Scalar<T>>& s, Index first) : jump(s, first), bend(s, first + 1), curve(s, first + 2) {}
    FASTNTK_INLINE bool same(Index j) const {
        return jump.p == jump[j] && bend.p == bend[j] && curve.p == curve[j];
    }
};

// What a sample has of one threshold: a / sqrt(q), and the weights on the right and on the left of 0. Eleven tables.
template <class T>
struct Kink {
    static constexpr Index tables = kink_tables;
    WideTable<T> value, density, tail, excess, second;
    Weights<T> right, left;
    Kink(const StripArguments<Scalar<T>>& s, Index first)
        : value(s, first), density(s, first + 1), tail(s, first + 2), excess(s, first + 3), second(s, first + 4),
          right(s, first + 5), left(s, first + 8) {}

    FASTNTK_INLINE Threshold threshold(Index j) const { return {value[j], density[j], tail[j], excess[j], second[j]}; }
    FASTNTK_INLINE Threshold threshold_p() const { return {value.p, density.p, tail.p, excess.p, second.p}; }
    FASTNTK_INLINE bool same(Index j) const { return value.p == value[j] && right.same(j) && left.same(j); }
    FASTNTK_INLINE bool odd() const {
        return right.jump.p == -left.jump.p && right.bend.p == -left.bend.p && right.curve.p == -left.curve.p;
    }
};

// Adds E[kink of u, kink of v] to value and, with phi', sign times it to slope.
template <class Moments, class T>
FASTNTK_INLINE void add_product(const Moments& m, const Weights<T>& a, const Weights<T>& b, Index j, double sign,
                                Wide<T>& value, Wide<T>& slope) {
    const Wide<T> a0 = a.jump.p, a1 = a.bend.p, a2 = a.curve.p, b0 = b.jump[j], b1 = b.bend[j], b2 = b.curve[j];
    value = value + a0 * (b0 * m.m00 + b1 * m.m01 + b2 * m.m02) + a1 * (b0 * m.m10 + b1 * m.m11 + b2 * m.m12) +
             a2 * (b0 * m.m20 + b1 * m.m21 + b2 * m.m22);
    slope = slope + sign * (a1 * (b1 * m.m00 + 2 * b2 * m.m01) + 2 * a2 * (b1 * m.m10 + 2 * b2 * m.m11));
}

// The kinks at a threshold of u and those at one of v: on the same side of 0, or on opposite sides, where the
// correlation of the distances from 0 is -rho.
template <class T>
FASTNTK_INLINE void add_kinks(const Kink<T>& a, const Kink<T>& b, bool opposite, Index first, Index count,
                              const double* near, const double* far, double* value, double* slope) {
    const Threshold h = a.threshold_p();
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        const TruncatedMoments m(h, b.threshold(first + j), opposite ? far[j] : near[j], opposite ? near[j] : far[j]);
        const double sign = opposite ? -1 : 1;
        add_product(m, a.right, opposite ? b.left : b.right, first + j, sign, value[j], slope[j]);
        add_product(m, a.left, opposite ? b.right : b.left, first + j, sign, value[j], slope[j]);
    }
}

// Parameters: terms K, number of thresholds, whether they have kinks on the right, and on the left. Tables, all wide:
// K Hermite coefficients of phi, of its kinks, of phi' and of the kinks', all in units of s', phi' also in those of
// 1 / s; then those of every threshold.
template <class T>
struct PieceLayout {
    Index terms, kinks;
    const T *right, *left;

    explicit PieceLayout(const T* parameters)
        : terms(static_cast<Index>(parameters[0])), kinks(static_cast<Index>(parameters[1])), right(parameters + 2),
          left(right + kinks) {}

    Index table(Index kink) const { return 4 * terms + kink * Kink<T>::tables; }

    // add(table of the kink of u, table of that of v, whether they are on opposite sides of 0).
    template <class Add>
    FASTNTK_INLINE void for_each_pair_of_kinks(const Add& add) const {
        for (Index a = 0; a < kinks; ++a)
            for (Index b = 0; b < kinks; ++b) {
                if (right[a] * right[b] + left[a] * left[b] > 0) add(table(a), table(b), false);
                if (right[a] * left[b] + left[a] * right[b] > 0) add(table(a), table(b), true);
            }
    }

    // Whether samples p and q are one, but for their names and, of an odd function, their sign.
    bool same(const StripArguments<T>& s, double near, double far, Index q) const {
        bool equal = near == 0 || far == 0;
        for (Index k = 0; equal && k < terms; ++k) {
            const WideTable<T> whole(s, k);
            equal = whole.p == whole[q] && (near == 0 || k % 2 == 1 || whole.p == 0);
        }
        for (Index a = 0; equal && a < kinks; ++a) {
            const Kink<T> kink(s, table(a));
            equal = kink.same(q) && (near == 0 || kink.odd());
        }
        return equal;
    }
};

template <class T, bool with_ntk>
void pieces(const StripArguments<T>& s, T* gap, T* ntk) {
    constexpr Index chunk = 48;
    const PieceLayout<T> layout(s.parameters);
    const Index terms = layout.terms;
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
        layout.for_each_pair_of_kinks([&](Index u, Index v, bool opposite) {
            add_kinks(Kink<T>(s, u), Kink<T>(s, v), opposite, first, count, near, far, value, slope);
        });
        for (Index j = 0; j < count; ++j) {
            const bool same = layout.same(s, near[j], far[j], first + j); // then the gap stays, +0 or -0
            if (!same) gap[first + j] = static_cast<T>(signed_gap(1 - value[j]));
            if constexpr (with_ntk) ntk[first + j] *= static_cast<T>(slope[j]);
        }
    }
}

} // namespace fastntk::FASTNTK_ISA
