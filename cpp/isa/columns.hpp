// Numbers of samples as they are stored (core/samples.hpp), and as they are computed with.
#pragma once

#include "../core/samples.hpp"
#include "scaled.hpp"

// No iteration of the loop reads what another one writes. Not `omp simd`: GCC 12 keeps structs of its body in memory, and
// vectorises nothing.
#ifdef __clang__
#define FASTNTK_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define FASTNTK_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace fastntk::FASTNTK_ISA {
namespace {

// Numbers of this size are computed with as they are, as DoubleDouble: products of some of them are in the range of double.
// The samples that have others, before or after an op, are computed again with Scaled numbers, one by one: what is
// computed of a sample depends on it alone.
constexpr double least_moderate = 0x1p-200, most_moderate = 0x1p200;

bool is_moderate(double x) { return x >= least_moderate && x <= most_moderate; }

// 0 if it is, or 1: sums of these vectorise, as truth values do not.
FASTNTK_INLINE double outside(double x) { return min(max(x, least_moderate), most_moderate) == x ? 0.0 : 1.0; }
FASTNTK_INLINE double outside_but_0(double x) { return x == 0 ? 0.0 : outside(x); }
FASTNTK_INLINE double unless(bool condition) { return condition ? 0.0 : 1.0; }

// Whether one of these numbers, of which none is negative, is not 0: of their bits, whose order does not matter.
bool any(const double* flags, Index count) {
    std::uint64_t bits = 0;
    for (Index i = 0; i < count; ++i) bits |= __builtin_bit_cast(std::uint64_t, flags[i]);
    return bits != 0;
}

// Of parameters, of which squares are taken.
bool is_moderate_parameter(double x) { return x == 0 || (abs(x) >= 0x1p-100 && abs(x) <= 0x1p100); }

FASTNTK_NOT_INLINE Scaled load(const ScaledNumbers& x, Index i) { return {DoubleDouble(x.high[i], x.low[i]), x.power[i]}; }

FASTNTK_NOT_INLINE void store(const Scaled& value, const ScaledNumbers& x, Index i) {
    const bool plain = !(value.part.high != 0) || abs(value.power) < 200 || !isfinite(value.part.high);
    const DoubleDouble number = plain ? value.rounded() : value.part;
    x.high[i] = number.high;
    x.low[i] = number.low;
    x.power[i] = plain ? 0 : value.power;
}

FASTNTK_INLINE DoubleDouble load(const WideNumbers& x, Index i) { return {x.high[i], x.low[i]}; }
FASTNTK_INLINE void store(DoubleDouble value, const WideNumbers& x, Index i) {
    x.high[i] = value.high;
    x.low[i] = value.low;
}

// t = b / (1 + a) = tan(x/2) of shares a = cos x and b = sin x: its nearest multiple of 1/256, and the rest; at 1 and -1 that is
// as small as a.
FASTNTK_INLINE DoubleDouble half_tangent(DoubleDouble a, DoubleDouble b, double& whole) {
    constexpr double rounds = 0x1.8p44;
    const DoubleDouble t = b / (1 + a), size = choose(b.high < 0, -b, b);
    whole = (t.high + rounds) - rounds;
    const DoubleDouble to_one = a * (1 + a / (1 + size)) / (1 + a); // 1 - b = a^2 / (1 + b)
    return choose(abs(whole) == 1, choose(b.high < 0, to_one, -to_one), t - whole);
}

} // namespace
} // namespace fastntk::FASTNTK_ISA
