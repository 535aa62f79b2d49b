// Where branches meet, units are centred or left out: maps of (signed gap, normalised Theta), in terms of unit feature vectors
// as in layers.hpp. None cancels but what is centred, of which less is left.
#pragma once

#include "homogeneous.hpp"

namespace fastntk::FASTNTK_ISA {

// 1 - rho and 1 + rho; adds 0 or 2, without a choice, which GCC would keep in masks.
template <class T> FASTNTK_INLINE T near_gap(T gap) { return gap + (1 - copysign(T(1), gap)); }
template <class T> FASTNTK_INLINE T far_gap(T gap) { return near_gap(-gap); }

// (a u, b v), a^2 + b^2 = 1: with a = a_p, a' = a_q ...
//   delta' = ((a - a')^2 + (b - b')^2) / 2 + a a' delta_u + b b' delta_v, and so for 1 + rho.
// Tables: those of Shares; b. Of u, the part in hand, rho may be known to be nonnegative alone.
template <class T, bool nonnegative, bool with_ntk, bool first_nonnegative = nonnegative>
struct Sum {
    Shares<T> shares;
    T b_p;
    const T* b_q;

    explicit Sum(const StripArguments<T>& s) : shares(s), b_p(s.p[3]), b_q(s.q + 3 * s.q_stride) {}

    FASTNTK_INLINE void operator()(Index j, T other_gap, T other_ntk, T& gap, T& ntk) const {
        const T a = shares.weight(j), b = b_p * b_q[j], apart = shares.near(j);
        if constexpr (nonnegative) {
            gap = fma(a, gap, fma(b, other_gap, apart));
        } else {
            const T near = fma(a, first_nonnegative ? gap : near_gap(gap), fma(b, near_gap(other_gap), apart));
            const T far = fma(a, first_nonnegative ? 2 - gap : far_gap(gap), fma(b, far_gap(other_gap), apart));
            gap = near <= 1 ? near : -far;
        }
        if constexpr (with_ntk) ntk = fma(a, ntk, b * other_ntk);
    }
};

template <class T, bool nonnegative, bool with_ntk>
using WholeSum = Sum<T, nonnegative, with_ntk>;

template <class T>
FASTNTK_INLINE StripArguments<T> behind(StripArguments<T> s, Index tables) {
    s.p += tables;
    s.q += tables * s.q_stride;
    return s;
}

// A residual block in one pass: the sum of what comes in and what a hidden layer makes of it. Tables: those of the layer; those
// of the sum.
template <class T, bool nonnegative, bool with_ntk, template <class, bool, bool> class Linear, Index linear_tables>
struct Block {
    HiddenLayer<T, nonnegative, with_ntk, Linear> hidden;
    Sum<T, nonnegative, with_ntk, true> sum;
    explicit Block(const StripArguments<T>& s) : hidden(s), sum(behind(s, linear_tables)) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        T inner = gap, inner_ntk = ntk;
        hidden(j, inner, inner_ntk);
        sum(j, gap, ntk, inner, inner_ntk);
        gap = inner;
        ntk = inner_ntk;
    }
};
template <class T, bool nonnegative, bool with_ntk>
using ResidualBlock = Block<T, nonnegative, with_ntk, Dense, 3>;
template <class T, bool nonnegative, bool with_ntk>
using ResidualBlockBiasFree = Block<T, nonnegative, with_ntk, DenseBiasFree, 0>;

// rho' = rho_1 rho_2.
template <class T, bool nonnegative, bool with_ntk>
struct Product {
    explicit Product(const StripArguments<T>&) {}

    FASTNTK_INLINE void operator()(Index, T other_gap, T other_ntk, T& gap, T& ntk) const {
        if constexpr (with_ntk) ntk = fma(ntk, correlation<T, nonnegative>(other_gap), correlation<T, nonnegative>(gap) * other_ntk);
        const T x = abs(gap), y = abs(other_gap), size = fma(x, 1 - y, y);
        if constexpr (nonnegative) gap = size;
        else gap = copysign(T(1), gap) * copysign(size, other_gap);
    }
};

// The last feature, b, is left out: the inverse of Concatenation, with its tables.
//   delta' = (delta - ((a - a')^2 + (b - b')^2) / 2) / a a'
template <class T, bool nonnegative, bool with_ntk>
struct Centre {
    Shares<T> shares;
    explicit Centre(const StripArguments<T>& s) : shares(s) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T inverse = 1 / shares.weight(j);
        // Rounding may leave less than nothing.
        const T near = max(near_gap(gap) - shares.near(j), T(0)) * inverse;
        const T far = max(far_gap(gap) - shares.far(j), T(0)) * inverse;
        gap = near <= 1 ? near : -far;
        if constexpr (with_ntk) ntk *= inverse;
    }
};

// rho' = r rho.
template <class T, bool nonnegative, bool with_ntk>
struct Dropout {
    T kept;
    explicit Dropout(const StripArguments<T>& s) : kept(s.parameters[0]) {}

    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        gap = copysign(fma(kept, abs(gap), 1 - kept), gap);
        if constexpr (with_ntk) ntk *= kept;
    }
};

// Tables: those of Concatenation; w; v.
template <class T, bool nonnegative, bool with_ntk>
struct DenseStandard {
    Concatenation<T, nonnegative, with_ntk, false> linear;
    T w_p, v_p;
    const T *w_q, *v_q;
    explicit DenseStandard(const StripArguments<T>& s)
        : linear(s), w_p(s.p[3]), v_p(s.p[4]), w_q(s.q + 3 * s.q_stride), v_q(s.q + 4 * s.q_stride) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T gradient = with_ntk ? fma(w_p * w_q[j], correlation<T, nonnegative>(gap), v_p * v_q[j]) : T(0);
        linear(j, gap, ntk);
        if constexpr (with_ntk) ntk += gradient;
    }
};

} // namespace fastntk::FASTNTK_ISA
