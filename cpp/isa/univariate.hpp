// A whole network that is a function of the gap alone, as one polynomial in a variable in which it is smooth.
#pragma once

#include "homogeneous.hpp"
#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// rho and Theta / (s_p s_q) of the output as Chebyshev series in zeta = 2 x (1 + kappa) / (x + kappa) - 1, where
// pi x is the angle between the inputs: every dual is smooth in the angle, and a network of L layers varies within
// 1/L of 0, where kappa ~ 1/L makes room. Parameters: number of coefficients, kappa, those of rho, those of Theta.
template <class T, class V, int n, bool with_ntk>
FASTNTK_INLINE void evaluate_univariate(const T* parameters, T* gap, T* ntk) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    const Index count = static_cast<Index>(parameters[0]);
    const T kappa = parameters[1];
    const T* const rho = parameters + 2;
    const T* const theta = rho + count;
    alignas(64) T twice_zeta[width];
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T t = abs(gap[j]);
        const T near = e0(t, sqrt(t));
        const T x = is_far(gap[j]) ? 1 - near : near;
        twice_zeta[j] = 4 * (x * (1 + kappa) / (x + kappa)) - 2;
    }
    const V* const z = reinterpret_cast<const V*>(twice_zeta);
    V k1[n] = {}, k2[n] = {}, t1[n] = {}, t2[n] = {};
    for (Index i = count - 1; i > 0; --i)
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            const V next = z[v] * k1[v] + (rho[i] - k2[v]);
            k2[v] = k1[v];
            k1[v] = next;
            if constexpr (with_ntk) {
                const V next_theta = z[v] * t1[v] + (theta[i] - t2[v]);
                t2[v] = t1[v];
                t1[v] = next_theta;
            }
        }
    alignas(64) T result[width], slope[width];
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(result)[v] = T(0.5) * z[v] * k1[v] + (rho[0] - k2[v]);
        if constexpr (with_ntk) reinterpret_cast<V*>(slope)[v] = T(0.5) * z[v] * t1[v] + (theta[0] - t2[v]);
    }
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T r = max(T(-1), min(T(1), result[j]));
        gap[j] = r >= 0 ? 1 - r : -(1 + r);
        if constexpr (with_ntk) ntk[j] = slope[j];
    }
}

template <class T, bool with_ntk>
void univariate(const StripArguments<T>& s, T* gap, T* ntk) {
    constexpr Index width = 4 * lanes<T>;
    Index j = 0;
    for (; j + width <= s.length; j += width)
        evaluate_univariate<T, typename Vector<T>::type, 4, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
    for (; j < s.length; ++j) evaluate_univariate<T, T, 1, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
}

} // namespace fastntk::FASTNTK_ISA
