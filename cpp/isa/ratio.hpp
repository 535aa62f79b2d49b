// Differences of rows of different length, whose digits near duplicates depend on.
#pragma once

#include "vmath.hpp"

namespace fastntk::FASTNTK_ISA {

// A double of 26 bits: Veltkamp (1968). A vector of them, too.
template <class V> FASTNTK_INLINE V leading_bits(V x) {
    const V multiple = x * double((1 << 27) + 1);
    return multiple - (multiple - x);
}

// A ratio as the sum of two numbers, and x - ratio y with little more than one rounding.
template <class T>
struct Ratio {
    T high, low;
    explicit Ratio(double ratio)
        : high(static_cast<T>(sizeof(T) == 4 || FASTNTK_FUSED ? ratio : leading_bits(ratio))),
          low(static_cast<T>(ratio - static_cast<double>(high))) {}

    template <class V>
    FASTNTK_INLINE V difference(V x, V y) const {
        if constexpr (sizeof(T) == 4) {
            return (x - high * y) - low * y;
        } else if constexpr (FASTNTK_FUSED) {
            return x - high * y;
        } else {
            const V y_high = leading_bits(y); // both products with the high part are exact
            return ((x - high * y_high) - high * (y - y_high)) - low * y;
        }
    }
};

} // namespace fastntk::FASTNTK_ISA
