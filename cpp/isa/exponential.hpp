// exp and expm1, written so that a loop over them vectorises.
#pragma once

#include <cstdint>

#include "jet.hpp"

namespace fastntk::isa {

// (exp(r) - 1 - r) / r^2: coefficient 1 / (k + 2)!
struct ExponentialTail {
    static constexpr int degree = 11;
    static constexpr double c[degree + 1] = {1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,
                                             1.0 / 720,   1.0 / 5040,   1.0 / 40320,   1.0 / 362880,
                                             1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
};
struct ExponentialTailFloat {
    static constexpr int degree = 5;
    static constexpr float c[degree + 1] = {1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
};

} // namespace fastntk::isa

namespace fastntk::FASTNTK_ISA {

// exp(x) and exp(x) - 1 for x <= 700; below -708 as at -708. x = n ln 2 + r with |r| <= ln(2) / 2, the Taylor
// polynomial of exp(r) - 1 to r^13 (remainder 4e-18), and 2^n from the bits of n. Both within 2.1 units of 2^-53
// of themselves, near 0 too.
template <class T>
struct Exponential {
    T value, minus_one;

    FASTNTK_INLINE explicit Exponential(T x) {
        constexpr double inverse_ln2 = 1.44269504088896340736;
        constexpr double ln2_high = 0x1.62e42fefa0000p-1, ln2_low = 0x1.cf79abc9e3b39p-40;
        constexpr double to_integer = 0x1.8p52; // its last bits count units
        const double bounded = max(x, -708.0);
        const double shifted = bounded * inverse_ln2 + to_integer;
        const double n = shifted - to_integer;
        const double r = fma(-n, ln2_low, fma(-n, ln2_high, bounded));
        const double small = fma(r * r, polynomial<isa::ExponentialTail>(r), r);
        const double power = __builtin_bit_cast(double, (__builtin_bit_cast(std::int64_t, shifted) + 1023) << 52);
        value = fma(power, small, power);
        minus_one = fma(power, small, power - 1);
    }
};

template <>
struct Exponential<Jet> {
    Jet value, minus_one;

    FASTNTK_INLINE explicit Exponential(const Jet& x) : value(0), minus_one(0) {
        const Exponential<double> at(x.v);
        value = x.chain(at.value, at.value);
        minus_one = x.chain(at.minus_one, at.value);
    }
};

// For x <= 88; below -87 as at -87. Remainder of the polynomial 6e-9.
template <>
struct Exponential<float> {
    float value, minus_one;

    FASTNTK_INLINE explicit Exponential(float x) {
        constexpr float inverse_ln2 = 1.44269504f;
        constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
        constexpr float to_integer = 0x1.8p23f;
        const float bounded = max(x, -87.0f);
        const float shifted = bounded * inverse_ln2 + to_integer;
        const float n = shifted - to_integer;
        const float r = fma(-n, ln2_low, fma(-n, ln2_high, bounded));
        const float small = fma(r * r, polynomial<isa::ExponentialTailFloat>(r), r);
        const float power = __builtin_bit_cast(float, (__builtin_bit_cast(std::int32_t, shifted) + 127) << 23);
        value = fma(power, small, power);
        minus_one = fma(power, small, power - 1);
    }
};

FASTNTK_INLINE float exp(float x) { return Exponential<float>(x).value; }
FASTNTK_INLINE double exp(double x) { return Exponential<double>(x).value; }
FASTNTK_INLINE Jet exp(const Jet& x) { return Exponential<Jet>(x).value; }

} // namespace fastntk::FASTNTK_ISA
