// The direct Gauss-Hermite rule for the dual of a named activation: n x n evaluations of phi for every pair. Slow on
// purpose: with its own phi and its own arithmetic it checks the fast ways.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels.hpp"

namespace fastntk {

// phi and phi' of one real number; at a kink phi' is the mean of both slopes.
struct ScalarFunction {
    std::function<double(double)> phi, derivative;
};

// The activation of that name, an empty function if there is none.
ScalarFunction scalar_function(std::string_view name, std::span<const double> parameters);

class QuadratureRule {
public:
    // Nodes and weights of the rule for N(0, 1).
    QuadratureRule(ScalarFunction function, std::vector<double> nodes, std::vector<double> weights)
        : function_(std::move(function)), nodes_(std::move(nodes)), weights_(std::move(weights)) {}

    // E[phi(sqrt(q) x)^2] and E[phi'(sqrt(q) x)^2].
    double variance(double q) const { return mean_square(function_.phi, q); }
    double slope(double q) const { return mean_square(function_.derivative, q); }

    // Of a pair, in multiply-adds: phi at every pair of nodes, and phi'.
    double work() const { return 200 * static_cast<double>(nodes_.size() * nodes_.size()); }

    // As an op (kernels.hpp): one table, the variances q.
    template <class T>
    void apply(T q_p, const T* q_q, Index length, T* gap, T* ntk) const;

private:
    double mean_square(const std::function<double(double)>& f, double q) const;
    struct Pair;
    double expectation(const std::function<double(double)>& f, const Pair& pair, double scale_1, double scale_2) const;

    ScalarFunction function_;
    std::vector<double> nodes_, weights_;
};

} // namespace fastntk
