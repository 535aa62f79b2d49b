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

// u = sqrt(q1) x and v = sqrt(q2) (rho x + rest y), rest^2 = 1 - rho^2.
struct QuadratureRule::Pair {
    double sd_1, sd_2, rho, rest;
};

// E[f(u) / scale_1 f(v) / scale_2]: scaled before they are multiplied, as the product may leave the range.
double QuadratureRule::expectation(const std::function<double(double)>& f, const Pair& pair, double scale_1,
                                   double scale_2) const {
    double sum = 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        double inner = 0;
        for (std::size_t j = 0; j < nodes_.size(); ++j)
            inner += weights_[j] * f(pair.sd_2 * (pair.rho * nodes_[i] + pair.rest * nodes_[j]));
        sum += weights_[i] * (f(pair.sd_1 * nodes_[i]) / scale_1) * (inner / scale_2);
    }
    return sum;
}

template <class T>
void QuadratureRule::apply(T q_p, const T* q_q, Index length, T* gap, T* ntk) const {
    for (Index j = 0; j < length; ++j) {
        // The larger variance first, so that the result does not depend on which sample is p.
        const double q1 = std::max(static_cast<double>(q_p), static_cast<double>(q_q[j]));
        const double q2 = std::min(static_cast<double>(q_p), static_cast<double>(q_q[j]));
        // Not tables of s' = sqrt(variance(q)): rounded to float they would be all that is left of a small gap.
        const double norm_1 = std::sqrt(variance(q1)), norm_2 = std::sqrt(variance(q2));
        if (!(norm_1 > 0 && norm_2 > 0)) { // phi is 0 on one side: any correlation will do
            if (ntk) ntk[j] = 0;
            continue;
        }
        const double t = std::abs(static_cast<double>(gap[j]));
        const bool far = std::signbit(gap[j]);
        const Pair pair{std::sqrt(q1), std::sqrt(q2), far ? t - 1 : 1 - t, std::sqrt(t * (2 - t))};
        const bool same = t == 0 && !far && q1 == q2;
        const double next = same ? 1 : std::clamp(expectation(function_.phi, pair, norm_1, norm_2), -1.0, 1.0);
        gap[j] = static_cast<T>(next >= 0 ? 1 - next : -(1 + next));
        if (!ntk) continue;
        if (q2 == 0) ntk[j] = 0; // the factor's limit, where norm / sd has no value
        else ntk[j] *= static_cast<T>(
                 expectation(function_.derivative, pair, norm_1 / pair.sd_1, norm_2 / pair.sd_2));
    }
}

template void QuadratureRule::apply(float, const float*, Index, float*, float*) const;
template void QuadratureRule::apply(double, const double*, Index, double*, double*) const;

} // namespace fastntk
