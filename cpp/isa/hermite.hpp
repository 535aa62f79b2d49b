// Hermite functions by their recurrence, for the coefficients of expansions.
#pragma once

#include "vmath.hpp"

namespace fastntk::FASTNTK_ISA {

// psi_k(z) = h_k(z) sqrt(pdf(z)), h_k orthonormal with respect to pdf, the standard normal density:
//   sqrt(k + 1) psi_{k+1} = z psi_k - sqrt(k) psi_{k-1},
// for ascending orders k: out[i * stride + j] = psi_{orders[i]}(z[j]), given psi_0(z[j]).
inline void hermite_functions(const double* z, const double* psi_0, Index count, const std::int64_t* orders,
                              Index order_count, double* out, Index stride) {
    constexpr Index chunk = 64;
    for (Index j0 = 0; j0 < count; j0 += chunk) {
        const Index width = min(chunk, count - j0);
        alignas(64) double x[chunk] = {}, current[chunk] = {}, previous[chunk] = {};
        for (Index j = 0; j < width; ++j) {
            x[j] = z[j0 + j];
            current[j] = psi_0[j0 + j];
        }
        std::int64_t k = 0;
        for (Index i = 0; i < order_count; ++i) {
            for (; k < orders[i]; ++k) {
                const double inverse = 1 / sqrt(static_cast<double>(k + 1));
                const double back = sqrt(static_cast<double>(k)) * inverse;
#pragma omp simd
                for (Index j = 0; j < chunk; ++j) {
                    const double next = inverse * x[j] * current[j] - back * previous[j];
                    previous[j] = current[j];
                    current[j] = next;
                }
            }
            for (Index j = 0; j < width; ++j) out[i * stride + j0 + j] = current[j];
        }
    }
}

} // namespace fastntk::FASTNTK_ISA
