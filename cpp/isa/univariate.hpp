// A whole network that is a function of the gap alone, as one polynomial in a variable in which it is smooth.
#pragma once

#include "homogeneous.hpp"
#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// rho and Theta / (s_p s_q) of the output as Chebyshev series in zeta = 2 x (1 + kappa) / (x + kappa) - 1, where
// pi x is the angle between the inputs: every dual is smooth in the angle, and a network of L layers varies within
// 1/L of 0, where kappa ~ 1/L makes room. Summed by Clenshaw's recurrence in Reinsch's form, which knows 1 + zeta to
// its last digit: near duplicates have zeta near -1, and the largest slopes. Parameters: number of coefficients, kappa, those of rho, those of Theta.
template <class T, class V, int n, bool with_ntk>
FASTNTK_INLINE void evaluate_univariate(const T* parameters, T* gap, T* ntk) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    const Index count = static_cast<Index>(parameters[0]);
    const T kappa = parameters[1];
    const T* const rho = parameters + 2;
    const T* const theta = rho + count;
    alignas(64) T from_end[width]; // 2 (1 + zeta)
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T t = abs(gap[j]);
        const T near = e0(t, sqrt(t));
        const T x = is_far(gap[j]) ? 1 - near : near;
        from_end[j] = 4 * (x * (1 + kappa) / (x + kappa));
    }
    const V* const u = reinterpret_cast<const V*>(from_end);
    V k[n] = {}, k_sum[n] = {}, t[n] = {}, t_sum[n] = {}; // b_i, and b_i + b_(i+1)
    for (Index i = count - 1; i > 0; --i)
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            k_sum[v] = u[v] * k[v] + (rho[i] - k_sum[v]);
            k[v] = k_sum[v] - k[v];
            if constexpr (with_ntk) {
                t_sum[v] = u[v] * t[v] + (theta[i] - t_sum[v]);
                t[v] = t_sum[v] - t[v];
            }
        }
    alignas(64) T result[width], slope[width];
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(result)[v] = T(0.5) * u[v] * k[v] + (rho[0] - k_sum[v]);
        if constexpr (with_ntk) reinterpret_cast<V*>(slope)[v] = T(0.5) * u[v] * t[v] + (theta[0] - t_sum[v]);
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
    using V = typename Vector<T>::type;
    Index j = 0;
    for (; j + 4 * lanes<T> <= s.length; j += 4 * lanes<T>)
        evaluate_univariate<T, V, 4, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
    for (; j + lanes<T> <= s.length; j += lanes<T>)
        evaluate_univariate<T, V, 1, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
    for (; j < s.length; ++j)
        evaluate_univariate<T, T, 1, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
}

} // namespace fastntk::FASTNTK_ISA
