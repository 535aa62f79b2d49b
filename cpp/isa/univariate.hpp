// A whole network that is a function of the gap alone, as one polynomial in a variable in which it is smooth.
#pragma once

#include "homogeneous.hpp"
#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// The sum of c_i T_i(zeta), given u = 2 (1 + zeta), by Clenshaw's recurrence in Reinsch's form, which knows 1 + zeta to
// its last digit: near duplicates have zeta near -1, and the largest slopes.
template <class T, class V, int n>
FASTNTK_INLINE void chebyshev_sum(const T* c, Index count, const V* u, T* result) {
    V b[n] = {}, sum[n] = {}; // b_i, and b_i + b_(i + 1)
    for (Index i = count - 1; i > 0; --i)
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            sum[v] = u[v] * b[v] + (c[i] - sum[v]);
            b[v] = sum[v] - b[v];
        }
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) reinterpret_cast<V*>(result)[v] = T(0.5) * u[v] * b[v] + (c[0] - sum[v]);
}

// rho and Theta / (s_p s_q) of the output as Chebyshev series in zeta = 2 x (1 + kappa) / (x + kappa) - 1, where
// pi x is the angle between the inputs: every dual is smooth in the angle, and a network of L layers varies within
// 1/L of 0, where kappa ~ 1/L makes room. Duplicates and antipodes, where the slopes are largest, have their own
// numbers. Parameters: kappa, how many coefficients of rho (0: it is not wanted) and of Theta, the signed gap of
// antipodes, Theta of duplicates and of antipodes, and the coefficients.
template <class T, class V, int n, bool with_ntk>
FASTNTK_INLINE void evaluate_univariate(const T* parameters, T* gap, T* ntk) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    const T kappa = parameters[0];
    const Index rho_count = static_cast<Index>(parameters[1]), theta_count = static_cast<Index>(parameters[2]);
    const T antipode_gap = parameters[3], duplicate_ntk = parameters[4], antipode_ntk = parameters[5];
    const T* const coefficients = parameters + 6;
    alignas(64) T from_end[width], result[width]; // 2 (1 + zeta)
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const T t = abs(gap[j]);
        const T near = e0(t, sqrt(t));
        const T x = is_far(gap[j]) ? 1 - near : near;
        from_end[j] = 4 * (x * (1 + kappa) / (x + kappa));
    }
    const V* const u = reinterpret_cast<const V*>(from_end);
    if constexpr (with_ntk) {
        chebyshev_sum<T, V, n>(coefficients + rho_count, theta_count, u, result);
#pragma omp simd
        for (int j = 0; j < width; ++j)
            ntk[j] = gap[j] != 0 ? result[j] : is_far(gap[j]) ? antipode_ntk : duplicate_ntk;
    }
    if (rho_count > 0) {
        chebyshev_sum<T, V, n>(coefficients, rho_count, u, result);
#pragma omp simd
        for (int j = 0; j < width; ++j) {
            const T rho = max(T(-1), min(T(1), result[j]));
            const T between = rho >= 0 ? 1 - rho : -(1 + rho);
            gap[j] = gap[j] != 0 ? between : is_far(gap[j]) ? antipode_gap : T(0);
        }
    }
}

template <class T, bool with_ntk>
void univariate(const StripArguments<T>& s, T* gap, T* ntk) {
    using V = typename Vector<T>::type;
    Index j = 0;
    for (; j + 4 * lanes<T> <= s.length; j += 4 * lanes<T>)
        evaluate_univariate<T, V, 4, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
    for (; j < s.length; j += lanes<T>)
        evaluate_univariate<T, V, 1, with_ntk>(s.parameters, gap + j, with_ntk ? ntk + j : nullptr);
}

} // namespace fastntk::FASTNTK_ISA
