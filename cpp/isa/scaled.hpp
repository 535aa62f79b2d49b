// Numbers of a DoubleDouble's precision and of any size: for the few samples, or parameters, whose numbers or whose
// squares are beyond the range of double. One at a time, with branches.
#pragma once

#include "double_double.hpp"

// A function of its own object file.
#define FASTNTK_LOCAL inline FASTNTK_NOT_INLINE

namespace fastntk::FASTNTK_ISA {
namespace {

using FASTNTK_ISA::choose, FASTNTK_ISA::sqrt, FASTNTK_ISA::exp, FASTNTK_ISA::expm1, FASTNTK_ISA::atan2; // not hidden by those here

// x 2^power, beyond the range of double too.
FASTNTK_LOCAL DoubleDouble shifted(DoubleDouble x, double power) {
    const double bounded = power < -2200 ? -2200 : power > 2200 ? 2200 : power;
    const double third = static_cast<double>(static_cast<int>(bounded / 3));
    return times_power(times_power(times_power(x, power_of_2(third)), power_of_2(third)), power_of_2(bounded - 2 * third));
}

FASTNTK_INLINE bool isfinite(double x) { return x - x == 0; }

struct Scaled {
    DoubleDouble part; // 0, not finite, or from 1 to 2 in size
    double power;      // the number is part 2^power

    Scaled() = default;
    Scaled(double value) : Scaled(DoubleDouble(value)) {}
    FASTNTK_NOT_INLINE Scaled(DoubleDouble value, double p = 0) : part(value), power(p) {
        if (abs(part.high) < 0x1p-900 && part.high != 0) {
            part = times_power(part, 0x1p200);
            power -= 200;
        }
        if (part.high == 0 || !isfinite(part.high)) {
            part.low = power = 0;
            return;
        }
        const auto exponent = (__builtin_bit_cast(std::uint64_t, part.high) >> 52 & 0x7ff);
        const double moved = static_cast<double>(static_cast<std::int64_t>(exponent)) - 1023;
        part = shifted(part, -moved);
        power += moved;
    }
    Scaled operator-() const { return {-part, power}; }

    // The nearest number of two doubles: infinite, or 0, where it is beyond their range.
    FASTNTK_NOT_INLINE DoubleDouble rounded() const {
        const DoubleDouble value = shifted(part, power);
        return isfinite(value.high) ? value : DoubleDouble(value.high);
    }
};

FASTNTK_LOCAL Scaled operator+(const Scaled& x, const Scaled& y) {
    if (!isfinite(x.part.high + y.part.high)) return Scaled(x.part.high + y.part.high);
    if (x.part.high == 0) return y;
    if (y.part.high == 0) return x;
    if (x.power < y.power) return y + x;
    const double apart = x.power - y.power;
    if (apart > 200) return x;
    return {x.part + times_power(y.part, power_of_2(-apart)), x.power};
}
FASTNTK_INLINE Scaled sum_of_positive(const Scaled& x, const Scaled& y) { return x + y; }
FASTNTK_LOCAL Scaled operator-(const Scaled& x, const Scaled& y) { return x + -y; }
FASTNTK_LOCAL Scaled operator*(const Scaled& x, const Scaled& y) {
    if (!isfinite(x.part.high + y.part.high)) return Scaled(x.part.high * y.part.high);
    return {x.part * y.part, x.power + y.power};
}
FASTNTK_LOCAL Scaled operator/(const Scaled& x, const Scaled& y) {
    if (y.part.high == 0 || !isfinite(x.part.high + y.part.high)) return Scaled(x.part.high / y.part.high);
    return {x.part / y.part, x.power - y.power};
}
FASTNTK_LOCAL bool operator<(const Scaled& x, const Scaled& y) { return (x - y).part.high < 0; }
FASTNTK_INLINE Scaled choose(bool first, const Scaled& x, const Scaled& y) { return first ? x : y; }

FASTNTK_LOCAL Scaled sqrt(const Scaled& x) {
    if (x.part.high == 0 || !isfinite(x.part.high)) return Scaled(sqrt(x.part.high));
    const double half = __builtin_floor(x.power / 2);
    return {sqrt(times_power(x.part, x.power == 2 * half ? 1.0 : 2.0)), half};
}

FASTNTK_LOCAL Scaled exp(const Scaled& x) {
    constexpr double largest = 1e6; // no power of such a number is of use
    const DoubleDouble value = x.rounded();
    if (!(value.high < largest)) return Scaled(value.high + __builtin_inf());
    if (value.high < -largest) return Scaled(0.0);
    const Reduced coarsely(value, 0x1p10), finely(coarsely.r);
    return {1 + exponential_minus_one(finely.r), coarsely.n + finely.n};
}
FASTNTK_LOCAL Scaled expm1(const Scaled& x) {
    if (x.power < -200) return x;
    if (x.power >= 9) return exp(x) - 1;
    return expm1(x.rounded());
}

FASTNTK_LOCAL Scaled atan2(const Scaled& y, const Scaled& x) {
    if (x.part.high == 0 || !isfinite(y.part.high) || y.power - x.power > 300) return Scaled(times_power(wide_pi, 0.5));
    if (y.power - x.power < -300) return y / x;
    return {atan2(shifted(y.part, y.power - x.power), x.part)};
}

} // namespace
} // namespace fastntk::FASTNTK_ISA
