#include "quadrature.hpp"

#include <algorithm>
#include <cmath>

namespace fastntk {

double QuadratureRule::mean_square(const std::function<double(double)>& f, double q) const {
    double sum = 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const double value = f(std::sqrt(q) * nodes_[i]);
        sum += weights_[i] * value * value;
    }
    return sum;
}

// E[f(u) f(v)] with u = sqrt(q1) x, v = sqrt(q2) (rho x + rest y), rest^2 = 1 - rho^2.
double QuadratureRule::expectation(const std::function<double(double)>& f, double q1, double q2, double rho,
                                   double rest) const {
    double sum = 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        double inner = 0;
        for (std::size_t j = 0; j < nodes_.size(); ++j)
            inner += weights_[j] * f(std::sqrt(q2) * (rho * nodes_[i] + rest * nodes_[j]));
        sum += weights_[i] * f(std::sqrt(q1) * nodes_[i]) * inner;
    }
    return sum;
}

template <class T>
void QuadratureRule::apply(const T* p, const T* q, Index q_stride, Index length, T* gap, T* ntk) const {
    for (Index j = 0; j < length; ++j) {
        const double norm = static_cast<double>(p[1]) * static_cast<double>(q[q_stride + j]);
        const double t = std::abs(static_cast<double>(gap[j]));
        const bool far = std::signbit(gap[j]);
        if (!(norm > 0)) { // phi is 0 on one side: any correlation will do
            if (ntk) ntk[j] = 0;
            continue;
        }
        // The larger variance first, so that the result does not depend on which sample is p.
        const double q1 = std::max(static_cast<double>(p[0]), static_cast<double>(q[j]));
        const double q2 = std::min(static_cast<double>(p[0]), static_cast<double>(q[j]));
        const double rho = far ? t - 1 : 1 - t;
        const double rest = std::sqrt(t * (2 - t));
        const bool same = t == 0 && !far && p[0] == q[j];
        const double next = same ? 1 : std::clamp(expectation(function_.phi, q1, q2, rho, rest) / norm, -1.0, 1.0);
        gap[j] = static_cast<T>(next >= 0 ? 1 - next : -(1 + next));
        if (ntk) ntk[j] *= static_cast<T>(expectation(function_.derivative, q1, q2, rho, rest) * std::sqrt(q1 * q2) / norm);
    }
}

template void QuadratureRule::apply(const float*, const float*, Index, Index, float*, float*) const;
template void QuadratureRule::apply(const double*, const double*, Index, Index, double*, double*) const;

} // namespace fastntk
