// The derivative of what is computed of one sample with respect to log q, by the chain rule.
#pragma once

#include <cmath>

namespace fastntk {

using Extended = long double;

struct Tangent {
    Extended v, d; // a number and its derivative

    Tangent(Extended value, Extended slope = 0) : v(value), d(slope) {}
    Tangent chain(Extended value, Extended slope) const { return {value, slope * d}; }
    Tangent operator-() const { return {-v, -d}; }
};

inline Tangent operator+(Tangent x, Tangent y) { return {x.v + y.v, x.d + y.d}; }
inline Tangent operator-(Tangent x, Tangent y) { return {x.v - y.v, x.d - y.d}; }
inline Tangent operator*(Tangent x, Tangent y) { return {x.v * y.v, x.d * y.v + x.v * y.d}; }
inline Tangent operator/(Tangent x, Tangent y) { return {x.v / y.v, (x.d - x.v / y.v * y.d) / y.v}; }
inline bool operator<(Tangent x, Tangent y) { return x.v < y.v; }

inline Tangent sqrt(Tangent x) {
    const Extended root = std::sqrt(x.v);
    return x.chain(root, root > 0 ? 0.5L / root : 0);
}
inline Tangent exp(Tangent x) { return x.chain(std::exp(x.v), std::exp(x.v)); }
inline Tangent expm1(Tangent x) { return x.chain(std::expm1(x.v), std::exp(x.v)); }
inline Tangent fmax(Tangent x, Tangent y) { return x < y ? y : x; }
inline Tangent atan2(Tangent y, Tangent x) {
    return {std::atan2(y.v, x.v), (x.v * y.d - y.v * x.d) / (x.v * x.v + y.v * y.v)};
}
inline bool isfinite(Tangent x) { return std::isfinite(x.v); }

} // namespace fastntk
