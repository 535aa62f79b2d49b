// The ops whose numbers of a sample are computed elsewhere: by Python, or by a rule of quadrature.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "program.hpp"

namespace fastntk {
namespace {

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

} // namespace

// F(q, q) and F'(q, q) were computed of q rounded to double, as doubles. Where that lost them, K becomes no less than it is:
// then a later bias tells whether it matters.
template <class T>
void Program<T>::follow_computed(const double* variance, const double* slope, const double* powers) {
    constexpr double least = std::numeric_limits<double>::min();
    const std::size_t n = size(samples_);
    std::vector<double> q(n), bound(variance, variance + n);
    kernels_.rounded(0, samples_, node_.variance.view(), q.data());
    for (std::size_t i = 0; i < n; ++i) {
        if (!node_.fates.variance[i]) continue;
        // F(q, q) <= phi(0)^2 + q F'(q, q), nearly.
        const bool seen = !(least * slope[i] < unseen * variance[i]), by_q = !(powers && powers[i] > 0) && q[i] < least && seen;
        if (!by_q && !(variance[i] < least)) continue;
        node_.fates.faint[i] = 1;
        node_.fates.ntk_faint[i] = node_.fates.ntk_faint[i] | (node_.fates.ntk[i] & (slope[i] < least));
        bound[i] += least + (by_q ? least * slope[i] : 0);
    }
    kernels_.assign(all(), bound.data(), slope, powers);
    const ScaledNumbers k = node_.variance.view(), theta = node_.ntk.view();
    for (std::size_t i = 0; i < n; ++i) {
        node_.fates.variance[i] = k.high[i] != 0;
        node_.fates.ntk[i] = node_.fates.ntk[i] & (theta.high[i] != 0);
    }
    follow_ntk(node_);
}

template <class T>
void Program<T>::emit_computed(OpCode code, const Computed& computed, Index wide) {
    computed_ = true;
    require_gaussian();
    take_mean();
    const std::size_t n = size(samples_), entries = n * size(computed.table_count);
    std::vector<T> parameters, tables;
    for (const double value : computed.parameters) parameters.push_back(static_cast<T>(value));
    for (std::size_t i = 0; i < entries; ++i)
        if (!(std::abs(computed.tables[i]) <= std::numeric_limits<T>::max())) overflow(i % n);
    const Index narrow = computed.table_count - wide;
    tables.reserve(n * size(wide * wide_parts<T> + narrow));
    set_tables(tables, wide, wide_parts<T>, computed.tables, nullptr);
    std::transform(computed.tables + n * size(wide), computed.tables + entries, std::back_inserter(tables),
                   [](double value) { return static_cast<T>(value); });
    if (computed.table_count > 0) see_samples();
    emit(code, std::move(parameters), std::move(tables), wide * wide_parts<T> + narrow, computed.table_slopes, computed.table_count,
         computed.elasticity);
    if (computed.table_count == 0) std::fill(node_.fates.variance.begin(), node_.fates.variance.end(), 0);
    follow_computed(computed.variance, computed.slope, computed.powers);
    if (with_gradient()) {
        WideColumn elasticity(n);
        std::copy_n(computed.elasticity, n, elasticity.view().high);
        for (WideColumn& slope : node_.log_slopes) kernels_.times(0, samples_, slope.view(), elasticity.view());
    }
    node_.nonnegative = false; // coefficients of one order may differ in sign between variances
}

template <class T>
void Program<T>::expansion(const Computed& computed) {
    check_expansion(computed);
    emit_computed(OpCode::expansion, computed, 0);
}

template <class T>
void Program<T>::pieces(const Computed& computed) {
    const Index wide = check_pieces(computed);
    // Samples without any coefficient are those that it cannot follow.
    const std::size_t n = size(samples_), coefficients = 4 * static_cast<std::size_t>(computed.parameters[0]);
    for (std::size_t i = 0; i < n; ++i) {
        bool known = false;
        for (std::size_t k = 0; k < coefficients; ++k) known = known || computed.tables[k * n + i] != 0;
        node_.fates.faint[i] = node_.fates.faint[i] || (node_.fates.variance[i] && !known);
    }
    emit_computed(OpCode::pieces, computed, wide);
}

template <class T>
void Program<T>::quadrature(std::shared_ptr<const QuadratureRule> rule) {
    computed_ = true;
    require_gaussian();
    take_mean();
    const std::size_t n = size(samples_);
    std::vector<double> q(n), next(n), slope(n);
    variance(q.data());
    std::vector<T> tables;
    for (std::size_t i = 0; i < n; ++i) {
        tables.push_back(static_cast<T>(q[i]));
        if (!(q[i] <= static_cast<double>(std::numeric_limits<T>::max()))) overflow(i);
        if (q[i] < static_cast<double>(std::numeric_limits<T>::min())) node_.fates.faint[i] = node_.fates.variance[i];
        next[i] = rule->variance(q[i]);
        slope[i] = rule->slope(q[i]);
    }
    see_samples();
    push({OpCode::quadrature, node_.nonnegative, {}, std::move(tables), 1, 1, 0, -1, rule});
    follow_computed(next.data(), slope.data(), nullptr);
    node_.nonnegative = false; // the rule may miss by a little
}

template void Program<float>::expansion(const Computed&);
template void Program<double>::expansion(const Computed&);
template void Program<float>::pieces(const Computed&);
template void Program<double>::pieces(const Computed&);
template void Program<float>::quadrature(std::shared_ptr<const QuadratureRule>);
template void Program<double>::quadrature(std::shared_ptr<const QuadratureRule>);

} // namespace fastntk
