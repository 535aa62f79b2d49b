// Per-sample tables of the ops that join a feature vector and a constant (cpp/isa/layers.hpp).
#pragma once

#include <cmath>

#include "kernels.hpp"

namespace fastntk {

// signal: length of the feature vector before joining; length: after it. Writes the rows
// a; (a - mean a)/sqrt 2; (b - mean b)/sqrt 2; b/sqrt 2 of tables, with a = signal/length, b = constant/length.
//
// In a deep network a converges, and would be rounded the same way in every layer. So a is rounded such
// that its product over the layers so far is kept: carried is exact product / product of rounded numbers.
template <class T>
void concatenation_tables(const long double* signal, const long double* length, long double constant, Index count,
                          long double* carried, T* tables) {
    long double sum_a = 0;
    long double sum_b = 0;
    for (Index i = 0; i < count; ++i) {
        sum_a += signal[i] / length[i];
        sum_b += constant / length[i];
    }
    const long double half = std::sqrt(0.5L);
    const long double mean_a = sum_a / static_cast<long double>(count);
    const long double mean_b = sum_b / static_cast<long double>(count);
    for (Index i = 0; i < count; ++i) {
        const long double a = signal[i] / length[i];
        const long double b = constant / length[i];
        const T rounded = static_cast<T>(a * carried[i]);
        carried[i] = rounded > 0 ? a * carried[i] / static_cast<long double>(rounded) : 1;
        tables[i] = rounded;
        tables[count + i] = static_cast<T>(half * (a - mean_a));
        tables[2 * count + i] = static_cast<T>(half * (b - mean_b));
        tables[3 * count + i] = static_cast<T>(half * b);
    }
}

} // namespace fastntk
