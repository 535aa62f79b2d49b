// The linear layers as maps of (signed gap, normalised Theta). In terms of unit feature vectors a Dense
// layer appends the bias as one constant feature: p -> (a_p u_p, b_p), a^2 + b^2 = 1, so that
//   delta' = ((a_p - a_q)^2 + (b_p - b_q)^2) / 2 + a_p a_q delta          without any cancellation.
// The first part is 1 - cos of the angle between (a_p, b_p) and (a_q, b_q).
#pragma once

#include "jet.hpp"

namespace fastntk::FASTNTK_ISA {

constexpr double root_half = 0.707106781186547524400844362104849039;

template <class T> FASTNTK_INLINE bool is_far(T gap) { return copysign(T(1), gap) < 0; }
FASTNTK_INLINE bool is_far(const Jet& gap) { return is_far(gap.v); }

// rho from the signed gap.
template <class T, bool nonnegative>
FASTNTK_INLINE T correlation(T gap) {
    if constexpr (nonnegative) return 1 - gap;
    else return copysign(1 - abs(gap), gap);
}

// Shares a = cos x and b = sin x of two parts, with t = tan(x/2) = b / (1 + a). Tables: a; t, rounded to a multiple of 1/256; the
// rest of t. Then
//   1 - cos(x - x') = (1 + a) (1 + a') / 2 (t - t')^2
// is as accurate as the smaller of both shares is, whatever the shares of other samples are; of like shares, as their difference.
template <class T>
struct Shares {
    T a_p, half_p, whole_p, rest_p;
    const T *a_q, *whole_q, *rest_q;

    explicit Shares(const StripArguments<T>& s)
        : a_p(s.p[0]), half_p(T(0.5) * (1 + a_p)), whole_p(s.p[1]), rest_p(s.p[2]), a_q(s.q), whole_q(s.q + s.q_stride),
          rest_q(s.q + 2 * s.q_stride) {}

    FASTNTK_INLINE T weight(Index j) const { return a_p * a_q[j]; }
    FASTNTK_INLINE T scale(Index j) const { return half_p * (1 + a_q[j]); } // to the bit the same of q and p
    FASTNTK_INLINE T difference(Index j) const { return (whole_p - whole_q[j]) + (rest_p - rest_q[j]); }
    FASTNTK_INLINE T sum(Index j) const { return (whole_p + whole_q[j]) + (rest_p + rest_q[j]); }

    // 1 - cos(x - x') and 1 - cos(x + x').
    FASTNTK_INLINE T near(Index j) const { return difference(j) * (difference(j) * scale(j)); }
    FASTNTK_INLINE T far(Index j) const { return sum(j) * (sum(j) * scale(j)); }

    // (a - a')/sqrt 2 and (b - b')/sqrt 2.
    FASTNTK_INLINE T difference_of_a(Index j) const { return -T(root_half) * scale(j) * difference(j) * sum(j); }
    FASTNTK_INLINE T difference_of_b(Index j) const {
        return T(root_half) * scale(j) * difference(j) * (1 - (whole_p + rest_p) * (whole_q[j] + rest_q[j]));
    }
};

template <class T, bool nonnegative, bool with_ntk, bool is_dense>
struct Concatenation {
    Shares<T> shares;
    explicit Concatenation(const StripArguments<T>& s) : shares(s) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T weight = shares.weight(j);
        if constexpr (nonnegative) {
            gap = fma(weight, gap, shares.near(j));
        } else {
            const T side = copysign(T(1), gap); // arithmetic where GCC would keep choices in masks
            const T near_gap = fma(weight, gap + (1 - side), shares.near(j));
            const T far_gap = fma(weight, (1 + side) - gap, shares.far(j));
            gap = near_gap <= 1 ? near_gap : -far_gap;
        }
        if constexpr (with_ntk) {
            if constexpr (is_dense) ntk = fma(weight, ntk, correlation<T, nonnegative>(gap));
            else ntk = weight * ntk;
        }
    }
};

template <class T, bool nonnegative, bool with_ntk>
using Dense = Concatenation<T, nonnegative, with_ntk, true>;
template <class T, bool nonnegative, bool with_ntk>
using Offset = Concatenation<T, nonnegative, with_ntk, false>;

template <class T, bool nonnegative, bool with_ntk>
struct DenseBiasFree {
    explicit DenseBiasFree(const StripArguments<T>&) {}
    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        if constexpr (with_ntk) ntk += correlation<T, nonnegative>(gap);
    }
};

} // namespace fastntk::FASTNTK_ISA
