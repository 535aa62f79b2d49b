// Samples whose nodes are mixed, in a program.
#include "mixing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "program.hpp"

namespace fastntk {
namespace {

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

// body(source, weight) of what a node behind is made of.
template <class Body>
void for_sources(const Mix& mix, std::size_t node, const Body& body) {
    switch (mix.kind) {
    case Mix::Kind::matrix:
        for (Index i = mix.rows[node]; i < mix.rows[node + 1]; ++i) body(size(mix.columns[size(i)]), mix.weights[size(i)]);
        break;
    case Mix::Kind::window:
        for (std::size_t i = node; i < mix.columns.size(); i += size(mix.starts.back()))
            if (mix.columns[i] >= 0) body(size(mix.columns[i]), 1 / std::sqrt(static_cast<double>(mix.taps)));
        break;
    case Mix::Kind::pairs: body(node, std::sqrt(mix.scale)); break;
    case Mix::Kind::shift:
    case Mix::Kind::recur: body(node, std::sqrt(mix.factor));
    }
}

} // namespace

void Mix::see_alike() {
    const std::size_t count = rows.size() - 1, block = size(rows_alike);
    alike.assign(count, 0);
    for (std::size_t r = 0; r + block <= count; ++r) {
        const Index terms = rows[r + 1] - rows[r];
        const auto own = columns.begin() + rows[r];
        bool same = true;
        for (std::size_t next = r + 1; same && next < r + block; ++next)
            same = rows[next + 1] - rows[next] == terms && std::equal(own, own + terms, columns.begin() + rows[next]);
        alike[r] = same;
    }
}

template <class T>
bool Program<T>::multiplies_input() const {
    return std::ranges::all_of(ops_, [](const Op<T>& op) { return op.code == OpCode::dense_bias_free; });
}

template <class T>
void Program<T>::mix(const Mix& given, const double* variance, const double* ntk) {
    if (with_gradient() || placed_) throw std::invalid_argument("nodes are mixed in kernels of samples without positions.");
    const Index count = given.starts.back();
    const Uninitialised<double> before = deviations();
    const unsigned char lost = why_some_are_lost();
    const bool by_weights = given.kind == Mix::Kind::pairs; // of its own
    Node next(size(count), 0);
    kernels_.input({0, count, next.variance.view(), next.ntk.view()}, variance, 0);
    const ScaledNumbers theta = next.ntk.view();
    constexpr double smallest = std::numeric_limits<double>::min(), least = smallest / std::numeric_limits<double>::epsilon();
    for (std::size_t i = 0; i < size(count); ++i) {
        theta.high[i] = ntk[i];
        next.fates.ntk[i] = ntk[i] > 0;
        next.fates.lost[i] = lost;
        // Of less there are no inverses; and what is left of less than that is 0.
        bool seen = variance[i] > 0, faint = given.kind != Mix::Kind::window && seen && variance[i] < least;
        for_sources(given, i, [&](std::size_t source, double weight) {
            const double root = weight * before[source], part = root * root;
            seen |= (weight != 0) & (node_.fates.variance[source] != 0) & (by_weights | (part < smallest));
            faint |= (node_.fates.faint[source] != 0) & (part >= unseen * variance[i]);
        });
        next.fates.variance[i] = seen;
        next.fates.faint[i] = faint;
    }
    next.units = node_.units * static_cast<double>(std::max<Index>(1, given.taps)); // side by side
    next.law = by_weights ? Law::gaussian : node_.law;
    const bool one_each = given.kind == Mix::Kind::window && given.taps == 1; // some of the nodes that there are, in an order
    next.knows_mean = by_weights || (node_.knows_mean && (one_each || !node_.has_mean));
    if (one_each && node_.has_mean) {
        next.has_mean = true;
        next.mean = ScaledColumn(size(count));
        const ScaledNumbers from = node_.mean.view(), to = next.mean.view();
        for (std::size_t i = 0; i < size(count); ++i)
            for_sources(given, i, [&](std::size_t source, double) {
                to.high[i] = from.high[source];
                to.low[i] = from.low[source];
                to.power[i] = from.power[source];
                next.fates.flat[i] = node_.fates.flat[source];
            });
    }
    if (by_weights) next.units = 0;
    next.nonnegative = node_.nonnegative && given.nonnegative;
    computed_ = true;
    univariate_ = false;
    to(std::move(next));
    follow_ntk(node_);
    sealed_ = ops_.size();
    if (given.kind == Mix::Kind::matrix && multiplies_input()) return; // who has the rows mixes them
    Mix mix = given;
    const Uninitialised<double> roots = deviations();
    const auto window_shares = [&] {
        const double taps = std::sqrt(static_cast<double>(mix.taps));
        for (std::size_t i = 0; i < mix.columns.size(); ++i) {
            const double whole = roots[i % size(count)] * taps;
            mix.behind.push_back(mix.columns[i] >= 0 && whole > 0 ? before[size(mix.columns[i])] / whole : 0.0);
        }
    };
    if (mix.kind == Mix::Kind::window) {
        window_shares();
    } else {
        mix.behind.assign(roots.begin(), roots.end());
        for (const double root : roots) mix.behind.push_back(root * root >= least ? 1 / root : 0.0);
        mix.behind.insert(mix.behind.end(), variance, variance + count);
    }
    push({.code = OpCode::mix,
          .nonnegative = node_.nonnegative,
          .tables = {before.begin(), before.end()},
          .table_count = 1,
          .values = 1,
          .mix = std::make_shared<const Mix>(std::move(mix))});
    sealed_ = ops_.size();
}

template <class T>
void Program<T>::recur(const Program& activation, std::vector<Index> starts, double sigma_w, double sigma_u, double sigma_b) {
    if (with_gradient() || placed_ || activation.samples_ != samples_ || activation.ops_.size() < 2)
        throw std::invalid_argument("a recurrence is of the nodes of samples, and their activation.");
    const std::size_t n = size(samples_);
    const Uninitialised<double> in = deviations(), out = activation.deviations();
    std::vector<T> shares(3 * n);
    for (std::size_t item = 0; item + 1 < starts.size(); ++item)
        for (std::size_t i = size(starts[item]); i < size(starts[item + 1]); ++i) {
            const bool is_first = i == size(starts[item]);
            const double parts[] = {is_first ? 0 : sigma_w * out[i - 1], sigma_u * in[i], sigma_b};
            const double whole = std::hypot(parts[0], parts[1], parts[2]);
            for (std::size_t part = 0; part < 3; ++part) shares[part * n + i] = static_cast<T>(whole > 0 ? parts[part] / whole : part == 2);
        }
    const bool nonnegative = node_.nonnegative && activation.node_.nonnegative;
    Mix mix{.kind = Mix::Kind::recur, .starts = std::move(starts), .inside = activation.ops_.size() - 1};
    Node next = activation.node_;
    next.law = Law::given;
    for (unsigned char& lost : next.fates.lost) lost = lost | why_some_are_lost();
    computed_ = true;
    univariate_ = false;
    push({.code = OpCode::mix,
          .nonnegative = nonnegative,
          .tables = std::move(shares),
          .table_count = 3,
          .values = 3,
          .mix = std::make_shared<const Mix>(std::move(mix))});
    for (std::size_t i = 1; i < activation.ops_.size(); ++i) ops_.push_back(activation.ops_[i]); // the first has the variances of z
    to(std::move(next));
    sealed_ = ops_.size();
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
