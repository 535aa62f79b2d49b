// The means of units, which are followed for LayerNorm, and what it does.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "nodes.hpp"
#include "program.hpp"

namespace fastntk {
namespace {

// The gaps of some activations are good to the rounding of K, not of what is left of it without the mean: a smaller part of K
// cannot be normalised.
template <class T>
constexpr double least_left = sizeof(T) == sizeof(float) ? 1e-2 : 1e-6;

constexpr double root_half = 0.70710678118654752440;

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

} // namespace

template <class T>
void Program<T>::join_means(bool is_sum, Node& first, Node& second) {
    const std::size_t n = size(samples_);
    first.knows_mean = first.knows_mean && second.knows_mean;
    if (!with_means() || (!first.has_mean && !second.has_mean)) return;
    if (is_sum && second.has_mean) {
        if (!first.has_mean) {
            first.mean = std::move(second.mean);
            first.mean_slopes = std::move(second.mean_slopes);
        } else {
            kernels_.nodes->add_numbers(0, samples_, first.mean.view(), 1, second.mean.view());
            for (std::size_t k = 0; k < first.mean_slopes.size(); ++k)
                for (std::size_t i = 0; i < n; ++i) first.mean_slopes[k][i] += second.mean_slopes[k][i];
        }
        first.has_mean = true;
    } else if (!is_sum && first.has_mean && second.has_mean) {
        std::vector<double> one(n), other(n);
        kernels_.rounded(0, samples_, first.mean.view(), one.data());
        kernels_.rounded(0, samples_, second.mean.view(), other.data());
        for (std::size_t k = 0; k < first.mean_slopes.size(); ++k)
            for (std::size_t i = 0; i < n; ++i)
                first.mean_slopes[k][i] = first.mean_slopes[k][i] * other[i] + one[i] * second.mean_slopes[k][i];
        kernels_.nodes->multiply_numbers(0, samples_, first.mean.view(), second.mean.view());
    } else if (!is_sum) {
        first.has_mean = false;
    }
}

// Behind an activation, of what comes in now.
template <class T>
void Program<T>::keep_mean(const ActivationOp<T>& op) {
    const std::size_t n = size(samples_);
    const NodeKernels::Mean function = kernels_.nodes->means[static_cast<int>(op.form)];
    // Where no mean but that of an odd function vanishes, or leaves the range.
    double high = 1e-250, zero = 0, power = 0, mean_high = 0, mean_low = 0, mean_power = 0;
    function(0, 1, op.arguments.data(), {&high, &zero, &power}, {&mean_high, &mean_low, &mean_power}, nullptr);
    node_.knows_mean = true;
    node_.has_mean = mean_high != 0;
    if (!node_.has_mean) return;
    keep_flat();
    node_.mean = ScaledColumn(n);
    std::vector<double> slope(n);
    function(0, samples_, op.arguments.data(), node_.variance.view(), node_.mean.view(), slope.data());
    node_.mean_slopes.assign(directions_.size(), slope);
    for (std::size_t k = 0; k < directions_.size(); ++k)
        for (std::size_t i = 0; i < n; ++i) node_.mean_slopes[k][i] *= node_.log_slopes[k].high()[i];
}

// Where K is 0, all units behind an activation are one number.
template <class T>
void Program<T>::keep_flat() {
    for (std::size_t i = 0; i < size(samples_); ++i) node_.fates.flat[i] = !node_.fates.variance[i];
}

// Tables of samples below that variance are those of a larger one: of use while Theta / K is not huge.
template <class T>
void Program<T>::limit_ntk(double smallest, double most) {
    std::vector<double> q(size(samples_)), theta(size(samples_));
    variance(q.data());
    ntk(theta.data());
    const ScaledNumbers target = node_.ntk.view();
    for (std::size_t i = 0; i < size(samples_); ++i) {
        if (!node_.fates.variance[i] || !(q[i] < smallest) || !(theta[i] / q[i] > most)) continue;
        target.high[i] = std::numeric_limits<double>::infinity();
        target.low[i] = target.power[i] = 0;
    }
}

template <class T>
void Program<T>::set_mean(const double* mean, const double* slope) {
    given_mean_.assign(mean, mean + samples_);
    given_mean_slope_.assign(slope, slope + samples_);
}

// Of an activation that is computed elsewhere.
template <class T>
void Program<T>::take_mean() {
    node_.law = Law::given;
    node_.knows_mean = with_means();
    node_.has_mean = !given_mean_.empty();
    if (!node_.has_mean) return;
    keep_flat();
    node_.mean = ScaledColumn(size(samples_));
    std::copy(given_mean_.begin(), given_mean_.end(), node_.mean.view().high);
    node_.mean_slopes.assign(directions_.size(), given_mean_slope_);
    for (std::size_t k = 0; k < directions_.size(); ++k)
        for (std::size_t i = 0; i < size(samples_); ++i) node_.mean_slopes[k][i] *= node_.log_slopes[k].high()[i];
    given_mean_.clear();
}

template <class T>
void Program<T>::add_to_mean(double constant) {
    const std::size_t n = size(samples_);
    if (!node_.has_mean) {
        node_.mean = ScaledColumn(n);
        node_.mean_slopes.assign(directions_.size(), std::vector<double>(n));
    }
    std::vector<double> ones(n, 1.0), zeros(n);
    kernels_.nodes->add_numbers(0, samples_, node_.mean.view(), constant, {ones.data(), zeros.data(), zeros.data()});
    node_.has_mean = true;
}

template <class T>
void Program<T>::subtract_mean(double eps) {
    reach_samples();
    const std::size_t n = size(samples_);
    const WideNumbers a = a_.view(), b = b_.view();
    std::vector<double> deviation(n), carried(n);
    kernels_.root(0, samples_, node_.variance.view(), deviation.data());
    kernels_.nodes->centre({all(), node_.mean.view(), a, b});
    see_numbers(a.high);
    Op<T> op{.code = OpCode::centre, .nonnegative = node_.nonnegative, .tables = share_tables(a, b, carried.data()), .table_count = 3, .values = 3,
             .directions = reached_};
    const ScaledNumbers k = node_.variance.view();
    for (std::size_t d = 0; d < directions_.size(); ++d) {
        std::vector<double> slopes(2 * n);
        const WideNumbers log_slope = node_.log_slopes[d].view();
        for (std::size_t i = 0; i < n; ++i) {
            const double before = log_slope.high[i], moved = deviation[i] > 0 ? node_.mean_slopes[d][i] / deviation[i] : 0;
            const double after = k.high[i] != 0 ? (before - 2 * b.high[i] * moved) / (a.high[i] * a.high[i]) : 0;
            slopes[i] = 0.5 * a.high[i] * (after - before);
            slopes[n + i] = root_half * (moved - 0.5 * b.high[i] * before);
            log_slope.high[i] = after;
            log_slope.low[i] = 0;
        }
        if (d >= size(reached_)) continue;
        op.tables.insert(op.tables.end(), slopes.begin(), slopes.end());
        op.table_count += 2;
    }
    push(std::move(op));
    for (std::size_t i = 0; i < n; ++i) {
        // Beside eps, and other positions, little of what is left is enough.
        const double before = deviation[i] * deviation[i], left = k.high[i] != 0 ? a.high[i] * a.high[i] * before : 0;
        const bool some = k.high[i] != 0 || !node_.fates.flat[i];
        const bool little = some && (eps > 0 && placed_ ? left + eps < least_left<T> * before : k.high[i] == 0 || a.high[i] * a.high[i] < least_left<T>);
        if (little) node_.fates.lost[i] |= lost_in_rounding;
        node_.fates.variance[i] = k.high[i] != 0;
    }
    node_.nonnegative = false;
}

template <class T>
void Program<T>::layer_norm(double eps, bool of_all) {
    remember([=](Program& program) { program.layer_norm(eps, of_all); });
    if (!node_.knows_mean)
        throw std::invalid_argument("LayerNorm: the mean of the raw input over its features is not known of its kernel; put a Dense before it, or normalise the samples themselves.");
    if (of_all && !node_.positions.empty()) return normalise_all(eps);
    if (node_.has_mean) subtract_mean(eps);
    const std::size_t n = size(samples_);
    const ScaledNumbers k = node_.variance.view();
    std::vector<double> q(n);
    variance(q.data());
    std::vector<unsigned char> infinite(n);
    for (std::size_t i = 0; i < n; ++i) {
        infinite[i] = !std::isfinite(k.high[i]);
        if (eps == 0 && k.high[i] == 0) node_.fates.lost[i] |= lost_to_zero;
        // Of a faint position the direction is not known.
        if (!node_.positions.empty() && node_.fates.faint[i] && !(q[i] < unseen * eps)) node_.fates.lost[i] |= lost_in_rounding;
    }
    WideColumn kept(n);
    kernels_.nodes->normalise(all(), eps, kept.view().high);
    for (WideColumn& slope : node_.log_slopes) kernels_.times(0, samples_, slope.view(), kept.view());
    for (std::size_t i = 0; i < n; ++i)
        if (infinite[i]) overflow(i); // it stays
    node_.has_mean = false;
    follow_ntk(node_);
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
