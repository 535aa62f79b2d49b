// Numbers that are the unevaluated sum of two doubles, of some 104 bits, without a branch: a loop over them vectorises.
//
// Only for translation units compiled with -ffp-contract=off: what is computed here are the rounding errors of single
// operations. Relative errors are stated for numbers from 2^-400 to 2^400 whose results are too (tests/test_double_double.py).
#pragma once

#include <cstdint>

#include "vmath.hpp"

namespace fastntk::FASTNTK_ISA {

struct DoubleDouble {
    double high, low; // high is their sum, rounded

    DoubleDouble() = default;
    FASTNTK_INLINE constexpr DoubleDouble(double value) : high(value), low(0) {}
    FASTNTK_INLINE constexpr DoubleDouble(double h, double l) : high(h), low(l) {}
    FASTNTK_INLINE DoubleDouble operator-() const { return {-high, -low}; }
};

// x + y without error, for |x| >= |y|.
FASTNTK_INLINE DoubleDouble fast_two_sum(double x, double y) {
    const double sum = x + y;
    return {sum, y - (sum - x)};
}

// x + y without error: Knuth (1969).
FASTNTK_INLINE DoubleDouble two_sum(double x, double y) {
    const double sum = x + y;
    const double y_part = sum - x;
    return {sum, (x - (sum - y_part)) + (y - y_part)};
}

#if FASTNTK_FUSED
FASTNTK_INLINE double multiply_add(double x, double y, double z) { return __builtin_fma(x, y, z); }

FASTNTK_INLINE DoubleDouble two_product(double x, double y) {
    const double product = x * y;
    return {product, __builtin_fma(x, y, -product)};
}
#else
FASTNTK_INLINE double multiply_add(double x, double y, double z) { return x * y + z; }

// Rounded to 26 bits, in the integers: Veltkamp's multiplication would overflow near the end of the range.
FASTNTK_INLINE double leading_half(double x) {
    const auto bits = __builtin_bit_cast(std::uint64_t, x) + (std::uint64_t(1) << 26);
    return __builtin_bit_cast(double, bits & ~((std::uint64_t(1) << 27) - 1));
}

// x y without error, of products of halves: Dekker (1971).
FASTNTK_INLINE DoubleDouble two_product(double x, double y) {
    const double product = x * y;
    const double x_high = leading_half(x), y_high = leading_half(y);
    const double x_low = x - x_high, y_low = y - y_high;
    return {product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low};
}
#endif

// Within 2e-31: Joldes, Muller and Popescu (2017), algorithms 4, 6, 9 and 12; quotient and root by one Newton step.
FASTNTK_INLINE DoubleDouble operator+(DoubleDouble x, double y) {
    const DoubleDouble sum = two_sum(x.high, y);
    return fast_two_sum(sum.high, x.low + sum.low);
}
FASTNTK_INLINE DoubleDouble operator+(double x, DoubleDouble y) { return y + x; }
FASTNTK_INLINE DoubleDouble operator+(DoubleDouble x, DoubleDouble y) {
    const DoubleDouble high = two_sum(x.high, y.high), low = two_sum(x.low, y.low);
    const DoubleDouble sum = fast_two_sum(high.high, high.low + low.high);
    return fast_two_sum(sum.high, low.low + sum.low);
}
// Numbers of which none is negative need less care.
FASTNTK_INLINE DoubleDouble sum_of_positive(DoubleDouble x, DoubleDouble y) {
    const DoubleDouble sum = two_sum(x.high, y.high);
    return fast_two_sum(sum.high, sum.low + (x.low + y.low));
}
FASTNTK_INLINE DoubleDouble operator-(DoubleDouble x, double y) { return x + -y; }
FASTNTK_INLINE DoubleDouble operator-(double x, DoubleDouble y) { return -y + x; }
FASTNTK_INLINE DoubleDouble operator-(DoubleDouble x, DoubleDouble y) { return x + -y; }

FASTNTK_INLINE DoubleDouble operator*(DoubleDouble x, double y) {
    const DoubleDouble product = two_product(x.high, y);
    return fast_two_sum(product.high, multiply_add(x.low, y, product.low));
}
FASTNTK_INLINE DoubleDouble operator*(double x, DoubleDouble y) { return y * x; }
FASTNTK_INLINE DoubleDouble operator*(DoubleDouble x, DoubleDouble y) {
    const DoubleDouble product = two_product(x.high, y.high);
    const double cross = multiply_add(x.low, y.high, x.high * y.low);
    return fast_two_sum(product.high, product.low + cross);
}

FASTNTK_INLINE DoubleDouble operator/(DoubleDouble x, DoubleDouble y) {
    const double inverse = 1 / y.high, ratio = x.high * inverse;
    const DoubleDouble product = two_product(ratio, y.high);
    const double rest = ((x.high - product.high) - product.low) + multiply_add(-ratio, y.low, x.low);
    return fast_two_sum(ratio, rest * inverse);
}
FASTNTK_INLINE DoubleDouble operator/(DoubleDouble x, double y) { return x / DoubleDouble(y); }
FASTNTK_INLINE DoubleDouble operator/(double x, DoubleDouble y) { return DoubleDouble(x) / y; }

FASTNTK_INLINE DoubleDouble sqrt(DoubleDouble x) {
    const double root = sqrt(x.high);
    const DoubleDouble product = two_product(root, root);
    const double rest = (x.high - product.high) - product.low + x.low;
    return fast_two_sum(root, root > 0 ? 0.5 * rest / root : 0.0);
}

FASTNTK_INLINE bool operator<(DoubleDouble x, DoubleDouble y) { return (x - y).high < 0; }
FASTNTK_INLINE DoubleDouble choose(bool first, DoubleDouble x, DoubleDouble y) {
    return {first ? x.high : y.high, first ? x.low : y.low};
}

// Powers of 2 are exact.
FASTNTK_INLINE DoubleDouble times_power(DoubleDouble x, double power_of_2) { return {x.high * power_of_2, x.low * power_of_2}; }

constexpr DoubleDouble wide_pi{0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53};

// c + x y where that is about c.
FASTNTK_INLINE DoubleDouble correct(DoubleDouble c, DoubleDouble x, DoubleDouble y) {
    const DoubleDouble product = x * y;
    const DoubleDouble sum = fast_two_sum(c.high, product.high);
    return fast_two_sum(sum.high, sum.low + (c.low + product.low));
}

// exp(r) - 1 for |r| <= 0.35: the Taylor series at r / 16, its first terms in both parts, and four times
// exp(2x) - 1 = (exp(x) - 1) (exp(x) - 1 + 2). Within 1e-27.
FASTNTK_INLINE DoubleDouble exponential_minus_one(DoubleDouble r) {
    const DoubleDouble x = times_power(r, 0x1p-4);
    double rest = 1.0 / 6227020800;
    constexpr double c[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720};
#pragma GCC unroll 8
    for (const double coefficient : c) rest = multiply_add(rest, x.high, coefficient);
    DoubleDouble sum = correct({0x1.1111111111111p-7, 0x1.1111111111111p-63}, x, rest); // 1 / 120
    sum = correct({0x1.5555555555555p-5, 0x1.5555555555555p-59}, x, sum);               // 1 / 24
    sum = correct({0x1.5555555555555p-3, 0x1.5555555555555p-57}, x, sum);               // 1 / 6
    sum = correct(0.5, x, sum);
    sum = correct(1.0, x, sum) * x;
#pragma GCC unroll 4
    for (int doubling = 0; doubling < 4; ++doubling) sum = sum * (2 + sum);
    return sum;
}

// x = n ln 2 + r, |r| <= unit ln(2) / 2, with n a multiple of unit, a power of 2, by an integer of at most 11 bits.
struct Reduced {
    DoubleDouble r;
    double n;

    FASTNTK_INLINE explicit Reduced(DoubleDouble x, double unit = 1) {
        constexpr double inverse_ln2 = 1.44269504088896340736;
        constexpr double ln2_high = 0x1.62e42fefa3800p-1, ln2_middle = 0x1.ef35793c76730p-45, ln2_low = 0x1.f97b57a079a19p-103;
        const double to_multiple = 0x1.8p52 * unit;
        n = (x.high * inverse_ln2 + to_multiple) - to_multiple;
        r = two_sum(x.high - n * ln2_high, x.low) - two_product(n, ln2_middle);
        r.low -= n * ln2_low;
        r = fast_two_sum(r.high, r.low);
    }
};

// 2^n for whole n from -1022 to 1023.
FASTNTK_INLINE double power_of_2(double n) {
    constexpr double to_integer = 0x1.8p52; // its last bits count units
    return __builtin_bit_cast(double, (__builtin_bit_cast(std::int64_t, n + to_integer) + 1023) << 52);
}

// exp(x) and exp(x) - 1, within 1e-27 of themselves; 0 and -1 below -700, infinite above 700.
FASTNTK_INLINE DoubleDouble within_700(DoubleDouble x) {
    return choose(x.high < -700, -700.0, choose(x.high > 700, 700.0, x));
}
FASTNTK_INLINE DoubleDouble exp(DoubleDouble x) {
    const Reduced reduced(within_700(x));
    const DoubleDouble value = times_power(1 + exponential_minus_one(reduced.r), power_of_2(reduced.n));
    return choose(x.high < -700, 0.0, choose(x.high > 700, __builtin_inf(), value));
}
FASTNTK_INLINE DoubleDouble expm1(DoubleDouble x) {
    const Reduced reduced(within_700(x));
    const double power = power_of_2(reduced.n);
    const DoubleDouble value = times_power(exponential_minus_one(reduced.r), power) + two_sum(power, -1.0);
    return choose(x.high < -700, -1.0, choose(x.high > 700, __builtin_inf(), value));
}

// sin x and 1 - cos x for 0 <= x <= pi / 2: their Taylor series at x / 8, and three times the formulas of the doubled
// angle. Within 1e-26.
struct SineAndVersine {
    DoubleDouble sine, versine;

    FASTNTK_INLINE explicit SineAndVersine(double angle) {
        const double x = angle / 8;
        const DoubleDouble z = two_product(x, x);
        double s = -1.0 / 121645100408832000, v = 1.0 / 6402373705728000;
        constexpr double sine_c[] = {1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880};
        constexpr double versine_c[] = {-1.0 / 20922789888000, 1.0 / 87178291200, -1.0 / 479001600, 1.0 / 3628800, -1.0 / 40320};
#pragma GCC unroll 8
        for (const double coefficient : sine_c) s = multiply_add(s, z.high, coefficient);
#pragma GCC unroll 8
        for (const double coefficient : versine_c) v = multiply_add(v, z.high, coefficient);
        sine = correct({-0x1.a01a01a01a01ap-13, -0x1.a01a01a01a01ap-73}, z, s);           // -1 / 5040
        sine = correct({0x1.1111111111111p-7, 0x1.1111111111111p-63}, z, sine);           // 1 / 120
        sine = correct({-0x1.5555555555555p-3, -0x1.5555555555555p-57}, z, sine);         // -1 / 6
        sine = correct(1.0, z, sine) * x;
        versine = correct({0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65}, z, v);         // 1 / 720
        versine = correct({-0x1.5555555555555p-5, -0x1.5555555555555p-59}, z, versine);   // -1 / 24
        versine = correct(0.5, z, versine) * z;
#pragma GCC unroll 4
        for (int doubling = 0; doubling < 3; ++doubling) {
            const DoubleDouble doubled = times_power(sine * (1 - versine), 2.0);
            versine = times_power(sine * sine, 2.0);
            sine = doubled;
        }
    }
};

// The angle of (x, y) for x >= 0, y >= 0, not both 0: that in double, and the angle between the two. Within 1e-26.
FASTNTK_INLINE DoubleDouble atan2(DoubleDouble y, DoubleDouble x) {
    const double angle = ArcTangent<double>(y.high, x.high).value;
    const SineAndVersine at(angle);
    const DoubleDouble across = (y - y * at.versine) - x * at.sine;
    const double along = x.high * (1 - at.versine.high) + y.high * at.sine.high;
    return fast_two_sum(angle, across.high / along);
}

} // namespace fastntk::FASTNTK_ISA
