// The linear layers as maps of (signed gap, normalised Theta). In terms of unit feature vectors a Dense
// layer appends the bias as one constant feature: p -> (a_p u_p, b_p), a^2 + b^2 = 1, so that
//   delta' = ((a_p - a_q)^2 + (b_p - b_q)^2) / 2 + a_p a_q delta          without any cancellation.
#pragma once

#include "jet.hpp"

namespace fastntk::FASTNTK_ISA {

template <class T> FASTNTK_INLINE bool is_far(T gap) { return copysign(T(1), gap) < 0; }
FASTNTK_INLINE bool is_far(const Jet& gap) { return is_far(gap.v); }

// rho from the signed gap.
template <class T, bool nonnegative>
FASTNTK_INLINE T correlation(T gap) {
    if constexpr (nonnegative) return 1 - gap;
    else return copysign(1 - abs(gap), gap);
}

// Tables: a; (a - mean a)/sqrt 2 and (b - mean b)/sqrt 2, centred so that their differences survive
// rounding; b/sqrt 2.
template <class T, bool nonnegative, bool with_ntk, bool is_dense>
struct Concatenation {
    T a_p, a_centred_p, b_centred_p, b_p;
    const T *a_q, *a_centred_q, *b_centred_q, *b_q;

    explicit Concatenation(const StripArguments<T>& s)
        : a_p(s.p[0]), a_centred_p(s.p[1]), b_centred_p(s.p[2]), b_p(s.p[3]), a_q(s.q),
          a_centred_q(s.q + s.q_stride), b_centred_q(s.q + 2 * s.q_stride), b_q(s.q + 3 * s.q_stride) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T da = a_centred_p - a_centred_q[j];
        const T db = b_centred_p - b_centred_q[j];
        const T weight = a_p * a_q[j];
        if constexpr (nonnegative) {
            gap = fma(weight, gap, fma(da, da, db * db));
        } else {
            const T side = copysign(T(1), gap), b_sum = b_p + b_q[j]; // arithmetic where GCC would keep choices in masks
            const T near_gap = fma(weight, gap + (1 - side), fma(da, da, db * db));
            const T far_gap = fma(weight, (1 + side) - gap, fma(da, da, b_sum * b_sum));
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
