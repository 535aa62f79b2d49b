// The derivative of what is computed of one sample with respect to log q, by the chain rule.
#pragma once

#include "scaled.hpp"

namespace fastntk::FASTNTK_ISA {

template <class N>
struct Tangent {
    N v, d; // a number and its derivative

    Tangent() = default;
    template <class Constant>
        requires requires(Constant c) { N(c); }
    FASTNTK_INLINE Tangent(Constant value) : v(value), d(0.0) {}
    FASTNTK_INLINE Tangent(N value, N slope) : v(value), d(slope) {}
    FASTNTK_INLINE Tangent chain(N value, N slope) const { return {value, slope * d}; }
    FASTNTK_INLINE Tangent operator-() const { return {-v, -d}; }

    // Friends: an argument may be a constant too.
    friend FASTNTK_INLINE Tangent operator+(Tangent x, Tangent y) { return {x.v + y.v, x.d + y.d}; }
    friend FASTNTK_INLINE Tangent operator-(Tangent x, Tangent y) { return {x.v - y.v, x.d - y.d}; }
    friend FASTNTK_INLINE Tangent operator*(Tangent x, Tangent y) { return {x.v * y.v, x.d * y.v + x.v * y.d}; }
    friend FASTNTK_INLINE Tangent operator/(Tangent x, Tangent y) {
        const N ratio = x.v / y.v;
        return {ratio, (x.d - ratio * y.d) / y.v};
    }
    friend FASTNTK_INLINE bool operator<(Tangent x, Tangent y) { return x.v < y.v; }
    friend FASTNTK_INLINE Tangent choose(bool first, Tangent x, Tangent y) {
        return {choose(first, x.v, y.v), choose(first, x.d, y.d)};
    }
};

template <class N>
FASTNTK_INLINE Tangent<N> sqrt(Tangent<N> x) {
    const N root = sqrt(x.v);
    return x.chain(root, choose(N(0.0) < root, 0.5 / root, N(0.0)));
}
template <class N>
FASTNTK_INLINE Tangent<N> exp(Tangent<N> x) {
    const N value = exp(x.v);
    return x.chain(value, value);
}
template <class N>
FASTNTK_INLINE Tangent<N> expm1(Tangent<N> x) { return x.chain(expm1(x.v), exp(x.v)); }
template <class N>
FASTNTK_INLINE Tangent<N> atan2(Tangent<N> y, Tangent<N> x) {
    return {atan2(y.v, x.v), (x.v * y.d - y.v * x.d) / (x.v * x.v + y.v * y.v)};
}

} // namespace fastntk::FASTNTK_ISA
