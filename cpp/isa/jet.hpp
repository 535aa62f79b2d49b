// First derivatives of what an op computes of a pair, by the chain rule: an op written for a number type T is
// evaluated with T = Jet.
#pragma once

#include "vmath.hpp"

namespace fastntk::FASTNTK_ISA {

// A number, and its derivatives with respect to the signed gap, log q_p and log q_q.
struct Jet {
    double v, gap, p, q;

    Jet() = default;
    FASTNTK_INLINE constexpr Jet(double value) : v(value), gap(0), p(0), q(0) {}
    FASTNTK_INLINE constexpr Jet(double value, double by_gap, double by_p, double by_q)
        : v(value), gap(by_gap), p(by_p), q(by_q) {}

    // f(*this), given its value and f'.
    FASTNTK_INLINE Jet chain(double value, double slope) const { return {value, slope * gap, slope * p, slope * q}; }

    FASTNTK_INLINE Jet operator-() const { return {-v, -gap, -p, -q}; }
    FASTNTK_INLINE Jet& operator*=(const Jet& y);
};

FASTNTK_INLINE Jet operator+(const Jet& x, const Jet& y) { return {x.v + y.v, x.gap + y.gap, x.p + y.p, x.q + y.q}; }
FASTNTK_INLINE Jet operator-(const Jet& x, const Jet& y) { return {x.v - y.v, x.gap - y.gap, x.p - y.p, x.q - y.q}; }
FASTNTK_INLINE Jet operator*(const Jet& x, const Jet& y) {
    return {x.v * y.v, x.gap * y.v + x.v * y.gap, x.p * y.v + x.v * y.p, x.q * y.v + x.v * y.q};
}
FASTNTK_INLINE Jet operator+(const Jet& x, double y) { return {x.v + y, x.gap, x.p, x.q}; }
FASTNTK_INLINE Jet operator+(double x, const Jet& y) { return y + x; }
FASTNTK_INLINE Jet operator-(const Jet& x, double y) { return {x.v - y, x.gap, x.p, x.q}; }
FASTNTK_INLINE Jet operator-(double x, const Jet& y) { return {x - y.v, -y.gap, -y.p, -y.q}; }
FASTNTK_INLINE Jet operator*(const Jet& x, double y) { return x.chain(x.v * y, y); }
FASTNTK_INLINE Jet operator*(double x, const Jet& y) { return y.chain(x * y.v, x); }
FASTNTK_INLINE Jet operator/(const Jet& x, const Jet& y) {
    const double inverse = 1 / y.v, ratio = x.v * inverse;
    return {ratio, (x.gap - ratio * y.gap) * inverse, (x.p - ratio * y.p) * inverse, (x.q - ratio * y.q) * inverse};
}
FASTNTK_INLINE Jet operator/(double x, const Jet& y) {
    const double inverse = 1 / y.v, ratio = x * inverse; // whose square may overflow
    return {ratio, -ratio * (y.gap * inverse), -ratio * (y.p * inverse), -ratio * (y.q * inverse)};
}
FASTNTK_INLINE Jet operator/(const Jet& x, double y) { return x * (1 / y); }
FASTNTK_INLINE Jet& Jet::operator*=(const Jet& y) { return *this = *this * y; }

FASTNTK_INLINE bool operator<(const Jet& x, const Jet& y) { return x.v < y.v; }
FASTNTK_INLINE bool operator>(const Jet& x, const Jet& y) { return x.v > y.v; }
FASTNTK_INLINE bool operator<=(const Jet& x, const Jet& y) { return x.v <= y.v; }
FASTNTK_INLINE bool operator==(const Jet& x, const Jet& y) { return x.v == y.v; }

// Where a square root vanishes, so does what is done with it: all slopes are 0 at coinciding inputs.
FASTNTK_INLINE Jet sqrt(const Jet& x) {
    const double root = sqrt(x.v);
    return x.chain(root, root > 0 ? 0.5 / root : 0.0);
}
FASTNTK_INLINE Jet abs(const Jet& x) { return x.chain(abs(x.v), copysign(1.0, x.v)); }
FASTNTK_INLINE Jet copysign(const Jet& x, const Jet& sign) {
    return x.chain(copysign(x.v, sign.v), copysign(1.0, x.v) * copysign(1.0, sign.v));
}
FASTNTK_INLINE Jet choose(bool first, const Jet& x, const Jet& y) {
    return {first ? x.v : y.v, first ? x.gap : y.gap, first ? x.p : y.p, first ? x.q : y.q};
}
FASTNTK_INLINE Jet max(const Jet& x, const Jet& y) { return choose(x.v > y.v, x, y); }
FASTNTK_INLINE Jet min(const Jet& x, const Jet& y) { return choose(x.v < y.v, x, y); }
// A bound that only rounding passes: the slopes are those of x.
FASTNTK_INLINE Jet max(const Jet& x, double y) { return {max(x.v, y), x.gap, x.p, x.q}; }

template <class X, class Y, class Z>
    requires(__is_same(X, Jet) || __is_same(Y, Jet) || __is_same(Z, Jet))
FASTNTK_INLINE Jet fma(const X& x, const Y& y, const Z& z) {
    return x * y + z;
}

// What a number type is made of, and the type of what is computed in double at least.
template <class T> struct NumberTraits { using Scalar = T; using Wide = double; };
template <> struct NumberTraits<Jet> { using Scalar = double; using Wide = Jet; };
template <class T> using Scalar = typename NumberTraits<T>::Scalar;
template <class T> using Wide = typename NumberTraits<T>::Wide;

template <>
struct ArcTangent<Jet> {
    bool small;
    Jet relative_excess, value;

    FASTNTK_INLINE ArcTangent(const Jet& numerator, const Jet& denominator) : small(false), relative_excess(0), value(0) {
        const ArcTangent<double> at(numerator.v, denominator.v);
        small = at.small;
        const double inverse = 1 / (numerator.v * numerator.v + denominator.v * denominator.v);
        const double by_n = denominator.v * inverse, by_d = -numerator.v * inverse;
        value = {at.value, by_n * numerator.gap + by_d * denominator.gap, by_n * numerator.p + by_d * denominator.p,
                 by_n * numerator.q + by_d * denominator.q};
        const Jet x = numerator / choose(small, denominator, Jet(1)); // of use where small only
        const Jet z = x * x;
        relative_excess = z * polynomial<isa::ArcTangentExcess<double>>(z);
    }
};

// Table k of an op: one number per sample.
template <class T>
struct Table {
    T p;
    const T* q;
    Table(const StripArguments<T>& s, Index k) : p(s.p[k]), q(s.q + k * s.q_stride) {}
    FASTNTK_INLINE T operator[](Index j) const { return q[j]; }
};

// With its derivatives with respect to log q, which are `values` tables further on.
template <>
struct Table<Jet> {
    Jet p;
    const double *q, *slope;
    Table(const StripArguments<double>& s, Index k)
        : p(s.p[k], 0, s.p[s.values + k], 0), q(s.q + k * s.q_stride), slope(q + s.values * s.q_stride) {}
    FASTNTK_INLINE Jet operator[](Index j) const { return {q[j], 0, 0, slope[j]}; }
};

} // namespace fastntk::FASTNTK_ISA
