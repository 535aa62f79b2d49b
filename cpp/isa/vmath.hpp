// Branch-free elementary functions of one real number, written so that a loop over them vectorises.
// No standard header: an inline function of the library compiled for AVX would leak into the rest.
#pragma once

#include "polynomials.hpp"
#include "rationals.hpp"

#define FASTNTK_INLINE inline __attribute__((always_inline))
#define FASTNTK_NOT_INLINE __attribute__((noinline)) // not worth a copy wherever it is called
#define FASTNTK_COLD __attribute__((noinline, cold))  // seldom called: it is to be small

// Whether x y + z is rounded once.
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__)
#define FASTNTK_FUSED 1
#else
#define FASTNTK_FUSED 0
#endif

namespace fastntk::FASTNTK_ISA {

template <class T> constexpr T pi = T(3.14159265358979323846);

FASTNTK_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
FASTNTK_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
FASTNTK_INLINE float fma(float x, float y, float z) { return x * y + z; }
FASTNTK_INLINE double fma(double x, double y, double z) { return x * y + z; }
FASTNTK_INLINE float abs(float x) { return __builtin_fabsf(x); }
FASTNTK_INLINE double abs(double x) { return __builtin_fabs(x); }
FASTNTK_INLINE float copysign(float x, float sign) { return __builtin_copysignf(x, sign); }
FASTNTK_INLINE double copysign(double x, double sign) { return __builtin_copysign(x, sign); }
template <class T> FASTNTK_INLINE T max(T x, T y) { return x > y ? x : y; }
template <class T> FASTNTK_INLINE T min(T x, T y) { return x < y ? x : y; }

// first ? x : y, for any number type: of a struct the operator would choose an address, which does not vectorise.
template <class T> FASTNTK_INLINE T choose(bool first, T x, T y) { return first ? x : y; }

// Every `step`-th coefficient from c[first] on, by Horner's rule in y = x^step.
template <class Polynomial, int first, int step, class T>
FASTNTK_INLINE T horner(T y) {
    constexpr int last = first + (Polynomial::degree - first) / step * step;
    T sum = Polynomial::c[last];
#pragma GCC unroll 32
    for (int k = last - step; k >= first; k -= step) sum = fma(sum, y, Polynomial::c[k]);
    return sum;
}

// Two or four independent Horner chains: one long chain would wait for the latency of every FMA.
template <class Polynomial, class T>
FASTNTK_INLINE T polynomial(T x) {
    const T x2 = x * x;
    if constexpr (Polynomial::degree < 8) {
        return fma(horner<Polynomial, 1, 2>(x2), x, horner<Polynomial, 0, 2>(x2));
    } else {
        const T x4 = x2 * x2;
        const T low = fma(horner<Polynomial, 1, 4>(x4), x, horner<Polynomial, 0, 4>(x4));
        const T high = fma(horner<Polynomial, 3, 4>(x4), x, horner<Polynomial, 2, 4>(x4));
        return fma(high, x2, low);
    }
}

// atan(numerator / denominator) for numerator >= 0, denominator >= 0, not both 0. The quotient is
// brought into [-tan(pi/8), tan(pi/8)] before the division, so there is only one.
template <class T>
struct ArcTangent {
    bool small;        // numerator / denominator < tan(pi/8) = x, the argument of the polynomial
    T relative_excess; // atan(x) / x - 1
    T value;

    FASTNTK_INLINE ArcTangent(T numerator, T denominator) {
        constexpr T tan_pi_8 = T(0.41421356237309504880);
        small = numerator < tan_pi_8 * denominator;
        const bool large = denominator < tan_pi_8 * numerator;
        const T n = small ? numerator : large ? -denominator : numerator - denominator;
        const T d = small ? denominator : large ? numerator : numerator + denominator;
        const T offset = small ? T(0) : large ? pi<T> / 2 : pi<T> / 4;
        const T x = n / d;
        const T z = x * x;
        relative_excess = z * polynomial<isa::ArcTangentExcess<T>>(z);
        value = offset + fma(x, relative_excess, x);
    }
};

} // namespace fastntk::FASTNTK_ISA
