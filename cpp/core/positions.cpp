// Samples with positions in a program: windows of positions, and what is known of all of a sample.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "nodes.hpp"
#include "program.hpp"

namespace fastntk {
namespace {

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

Index product(const std::vector<Index>& lengths) {
    Index count = 1;
    for (const Index length : lengths) count *= length;
    return count;
}

// Output positions of an axis one after the other whose taps move along with them: the sources of the first, those
// inside.
struct Run {
    Index position, count;
    std::vector<Index> sources;
};

std::vector<Run> runs_of(const Axis& axis) {
    std::vector<Run> runs;
    for (Index position = 0; position < axis.outputs; ++position) {
        std::vector<Index> sources;
        for (Index tap = 0; tap < axis.taps; ++tap)
            if (axis.source(position, tap) >= 0) sources.push_back(axis.source(position, tap));
        const auto goes_on = [&](const Run& run) {
            return std::ranges::equal(run.sources, sources,
                                      [&](Index first, Index source) { return first + run.count == source; });
        };
        if (!runs.empty() && goes_on(runs.back())) ++runs.back().count;
        else runs.push_back({position, 1, std::move(sources)});
    }
    return runs;
}

// of(out, in, to, sources, length, is_last) for the taps of all output positions, axis by axis: of rows of numbers that
// are next to each other. `next` gives the column that an axis is written to.
template <class Column, class Next, class Of>
Column over_window(Column column, const Window& window, Index items, const Next& next, const Of& of) {
    const auto is_one = [](const Axis& axis) {
        return axis.inputs == 1 && axis.outputs == 1 && std::ranges::count(axis.sources, 0) == 1;
    };
    std::size_t last = window.size() - 1; // that is there; at least one is taken
    while (last > 0 && is_one(window[last])) --last;
    Index before = 1, behind = inputs_of(window) * items;
    std::vector<Index> sources;
    for (std::size_t a = 0; a <= last; ++a) {
        const Axis& axis = window[a];
        behind /= axis.inputs; // numbers of one position of this axis and those before it
        if (!is_one(axis) || a == last) {
            Column out = next(before * axis.outputs * behind);
            const std::vector<Run> runs = runs_of(axis);
            for (Index o = 0; o < before; ++o)
                for (const Run& run : runs) {
                    sources.clear();
                    for (const Index source : run.sources) sources.push_back((o * axis.inputs + source) * behind);
                    of(out, column, (o * axis.outputs + run.position) * behind, sources, run.count * behind, a == last);
                }
            column = std::move(out);
        }
        before *= axis.outputs;
    }
    return column;
}

// Whether any is not 0: all are alike if each is as the next one.
bool some(const std::vector<unsigned char>& flags) {
    return !flags.empty() && (flags.front() != 0 || std::memcmp(flags.data(), flags.data() + 1, flags.size() - 1) != 0);
}

ScaledNumbers from(const ScaledColumn& column, Index start) {
    const ScaledNumbers all = column.view();
    return {all.high + start, all.low + start, all.power + start};
}

// Some of a column once more, from there on.
void repeat(const ScaledColumn& column, Index start, Index count, Index to) {
    const ScaledNumbers numbers = column.view();
    for (double* const part : {numbers.high, numbers.low, numbers.power}) std::copy_n(part + start, count, part + to);
}

} // namespace

template <class T>
void Program<T>::place(std::vector<Index> positions) {
    items_ = samples_ / std::max<Index>(1, product(positions));
    if (items_ * product(positions) != samples_) throw std::invalid_argument("the positions do not fit the samples.");
    begin_ = positions;
    node_.positions = std::move(positions);
    placed_ = true;
    univariate_ = false;
    // What brings the raw input to the state of strips: a window of one tap.
    Window window;
    for (const Index length : node_.positions) {
        Axis axis{length, length, 1, {}};
        for (Index position = 0; position < length; ++position) axis.sources.push_back(position);
        window.push_back(std::move(axis));
    }
    push_window(padded(std::move(window)), deviations(), {T(1), T(0), T(0), T(0)});
    moved_ = false;
}

template <class T>
void Program<T>::begin_with(const double* ntk, double units, bool nonnegative) {
    const ScaledNumbers k = node_.variance.view(), theta = node_.ntk.view();
    for (std::size_t i = 0; i < size(samples_); ++i) {
        theta.high[i] = ntk[i];
        node_.fates.variance[i] = k.high[i] > 0;
        node_.fates.ntk[i] = ntk[i] > 0;
    }
    node_.units = begin_units_ = units;
    node_.nonnegative = begin_nonnegative_ = nonnegative;
    node_.law = Law::gaussian; // what may follow was checked
    node_.knows_mean = true;
    follow_ntk(node_);
    const Uninitialised<double> roots = deviations();
    const std::vector<double> scales = scales_of_items(roots);
    std::vector<T> tables = behind(roots, scales);
    std::vector<double> q(size(samples_));
    variance(q.data());
    for (std::size_t i = 0; i < q.size(); ++i) {
        const double scale = scales[i % size(items_)];
        tables.push_back(static_cast<T>(q[i] * scale * scale));
    }
    ops_.clear();
    reads_input_ = false;
    ops_.push_back({.code = OpCode::average,
                    .nonnegative = nonnegative,
                    .tables = std::move(tables),
                    .table_count = 3,
                    .values = 3,
                    .scales = {scales.begin(), scales.end()}});
}

// body(item, position of it among all), position by position.
template <class T>
template <class Body>
void Program<T>::for_items(const Body& body) const {
    for (Index start = 0; start < samples_; start += items_)
        for (Index item = 0; item < items_; ++item) body(size(item), size(start + item));
}

// Of every item a power of 2, about one over the root of its mean K(x, x) over the positions.
template <class T>
std::vector<double> Program<T>::scales_of_items(const Uninitialised<double>& roots) const {
    std::vector<double> scales(size(items_), 1.0);
    std::vector<double> largest(size(items_)), sums(size(items_));
    for_items([&](std::size_t item, std::size_t i) { largest[item] = std::max(largest[item], roots[i]); });
    for (double& value : largest) value = value > 0 ? value : 1;
    for_items([&](std::size_t item, std::size_t i) {
        sums[item] += (roots[i] / largest[item]) * (roots[i] / largest[item]);
    });
    const double positions = static_cast<double>(roots.size()) / static_cast<double>(items_);
    for (std::size_t i = 0; i < size(items_); ++i) {
        const double size_of_it = largest[i] * std::sqrt(sums[i] / positions);
        if (size_of_it > 0 && std::isfinite(size_of_it)) scales[i] = std::ldexp(1.0, -std::ilogb(size_of_it));
    }
    return scales;
}

// Below it differences of K have lost their digits.
template <class T>
constexpr T least_square = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();

// Deviations in these units, and their inverses; 0 where those of two samples together are beyond the range.
template <class T>
std::vector<T> Program<T>::behind(const Uninitialised<double>& roots, const std::vector<double>& scales) const {
    std::vector<T> tables(2 * roots.size());
    T *const deviations = tables.data(), *const inverses = deviations + roots.size();
    for_items([&](std::size_t item, std::size_t i) {
        const double root = roots[i] * scales[item];
        const T rounded = static_cast<T>(root), inverse = static_cast<T>(1 / root);
        deviations[i] = rounded;
        inverses[i] = rounded * rounded >= least_square<T> ? inverse : T(0);
    });
    return tables;
}

// Of what has been followed through a window, from the deviations before it.
template <class T>
void Program<T>::push_window(Window window, const Uninitialised<double>& before, const LinearForm<T>& form) {
    const Uninitialised<double> roots = deviations();
    const std::vector<double> scales = scales_of_items(roots);
    std::vector<T> read(before.size());
    for (std::size_t start = 0; start < before.size(); start += scales.size())
        for (std::size_t i = 0; i < scales.size(); ++i) read[start + i] = static_cast<T>(before[start + i] * scales[i]);
    auto made = std::make_shared<WindowOp<T>>(WindowOp<T>{std::move(window), form, behind(roots, scales)});
    const T* const inverses = made->behind.data() + samples_;
    unsigned char *const faint = node_.fates.faint.data(), *const variance = node_.fates.variance.data();
    for (Index i = 0, count = samples_; i < count; ++i)
        faint[i] = faint[i] | (variance[i] & (inverses[i] == 0)); // beside much brighter positions
    // A window on the raw input itself needs no other before it.
    const bool is_raw = std::exchange(reads_input_, ops_.empty()) && ops_.size() == 1 && frames_.empty() && !moved_;
    if (is_raw) ops_.clear();
    push({.code = OpCode::window,
          .nonnegative = node_.nonnegative,
          .tables = std::move(read),
          .table_count = 1,
          .values = 1,
          .window = std::move(made),
          .scales = {scales.begin(), scales.end()}});
}

// At another node, where there may be more positions, or fewer.
template <class T>
void Program<T>::to(Node node) {
    node_ = std::move(node);
    const Index samples = static_cast<Index>(node_.variance.size());
    if (std::exchange(samples_, samples) == samples) return;
    a_ = WideColumn::unwritten(size(samples_));
    b_ = WideColumn::unwritten(size(samples_));
}

template <class T>
Uninitialised<double> Program<T>::deviations() const {
    Uninitialised<double> roots(size(samples_));
    kernels_.root(0, samples_, node_.variance.view(), roots.data());
    return roots;
}

// Means over a window of K and Theta, and what is known of the samples.
template <class T>
void Program<T>::behind_window(const Window& window) {
    const double taps = static_cast<double>(taps_of(window));
    const auto mean = [&](ScaledColumn&& column) {
        const auto next = [](Index count) { return ScaledColumn::unwritten(size(count)); };
        std::vector<ScaledNumbers> terms;
        return over_window(std::move(column), window, items_, next,
                           [&](ScaledColumn& out, const ScaledColumn& in, Index to, const std::vector<Index>& sources,
                               Index length, bool is_last) {
                               terms.clear();
                               for (const Index source : sources) terms.push_back(from(in, source));
                               kernels_.nodes->sum(length, from(out, to), terms.data(),
                                                   static_cast<Index>(terms.size()), is_last ? taps : 1);
                           });
    };
    using Flags = std::vector<unsigned char>;
    const auto any = [&](Flags&& flags) {
        const auto next = [](Index count) { return Flags(size(count)); };
        if (!some(flags)) return next(outputs_of(window) * items_);
        return over_window(
            std::move(flags), window, items_, next,
            [](Flags& out, const Flags& in, Index to, const std::vector<Index>& sources, Index length, bool) {
                unsigned char* const target = out.data() + to;
                for (const Index source : sources) {
                    const unsigned char* const more = in.data() + source;
                    for (Index i = 0; i < length; ++i) target[i] = target[i] | more[i];
                }
            });
    };
    Node next(0, 0);
    next.variance = mean(std::move(node_.variance));
    Fates& f = node_.fates;
    next.ntk = some(f.ntk) ? mean(std::move(node_.ntk)) : ScaledColumn(size(outputs_of(window) * items_));
    for (const auto flags : {&f.variance, &f.ntk, &f.faint, &f.ntk_faint, &f.undirected, &f.lost, &f.flat})
        *flags = any(std::move(*flags));
    next.fates = std::move(f);
    next.nonnegative = node_.nonnegative;
    next.units = node_.units;
    next.law = node_.law;
    next.knows_mean = node_.knows_mean && !node_.has_mean;
    for (std::size_t axis = most_axes - node_.positions.size(); axis < most_axes; ++axis)
        next.positions.push_back(window[axis].outputs);
    next.carried.resize(size(outputs_of(window) * items_));
    to(std::move(next));
    // What is faint is not seen next to what is much larger.
    const auto unless_seen = [&](Flags& faint, const ScaledNumbers& all) {
        if (!some(faint)) return;
        for (std::size_t i = 0; i < faint.size(); ++i)
            faint[i] = faint[i] & !(all.high[i] * unseen > std::numeric_limits<double>::min());
    };
    unless_seen(node_.fates.faint, node_.variance.view());
    unless_seen(node_.fates.ntk_faint, node_.ntk.view());
}

template <class T>
void Program<T>::conv(const Window& window, double sigma_w, double sigma_b, bool trainable, bool standard, bool bias) {
    remember([=](Program& program) { program.conv(window, sigma_w, sigma_b, trainable, standard, bias); });
    next_layer();
    const double taps = static_cast<double>(taps_of(window)), inputs = node_.units * taps;
    if (standard && !(inputs > 0))
        throw std::invalid_argument("parametrization='standard' needs the number of units it sums over: give the layer "
                                    "with weights before it a width.");
    const bool own_units = standard && trainable;
    if (own_units && sigma_w == 0)
        throw std::invalid_argument("a Conv of parametrization='standard' needs sigma_w > 0.");
    const Uninitialised<double> before = deviations();
    behind_window(window);
    const WideNumbers none{nullptr, nullptr}, a = a_.view(), b = b_.view();
    if (own_units) {
        std::vector<double> w(size(samples_)), v(size(samples_));
        kernels_.nodes->standard({all(), sigma_w, sigma_b, inputs, bias ? 1.0 : 0.0, a, b, w.data(), v.data()});
    } else {
        kernels_.dense({all(), sigma_w, sigma_b, trainable, sigma_b != 0 ? a : none, sigma_b != 0 ? b : none});
    }
    const double own = !trainable ? 0 : standard ? inputs / (sigma_w * sigma_w) : 1;
    const double own_bias = own_units ? (bias ? 1.0 : 0.0) - own * sigma_b * sigma_b : 0;
    push_window(window, before,
                {static_cast<T>(sigma_w * sigma_w / taps), static_cast<T>(sigma_b), static_cast<T>(own),
                 static_cast<T>(own_bias)});
    Fates& f = node_.fates;
    unsigned char *const k = f.variance.data(), *const theta = f.ntk.data(), *const theta_faint = f.ntk_faint.data(),
                         *const lost = f.lost.data();
    const unsigned char goes_on = sigma_w != 0, has_bias = sigma_b != 0, adds_bias = standard && bias,
                        is_new = trainable, by_units = own_units;
    for (Index i = 0, count = samples_; i < count; ++i) {
        const unsigned char had = k[i];
        k[i] = (had & goes_on) | has_bias;
        theta[i] = (theta[i] & goes_on) | (is_new & (standard ? had | adds_bias : k[i]));
        theta_faint[i] = theta_faint[i] & (is_new ^ 1);
        lost[i] = lost[i] | (by_units & theta[i] & (k[i] ^ 1)); // lost_in_ntk, which is 1
    }
    become_gaussian();
    follow_ntk(node_);
}

template <class T>
void Program<T>::flatten() {
    remember([](Program& program) { program.flatten(); });
    if (node_.positions.empty()) return;
    Window window;
    for (const Index length : node_.positions) {
        Axis axis{length, 1, length, {}};
        for (Index tap = 0; tap < length; ++tap) axis.sources.push_back(tap);
        window.push_back(std::move(axis));
    }
    const Index count = product(node_.positions);
    window = padded(std::move(window));
    const Uninitialised<double> before = deviations();
    behind_window(window);
    node_.positions.clear();
    node_.units *= static_cast<double>(count);
    node_.law = count == 1 ? node_.law : Law::other;
    push_window(std::move(window), before, {T(1) / static_cast<T>(count), T(0), T(0), T(0)});
    follow_ntk(node_);
}

// K(x, x) of all positions together.
template <class T>
void Program<T>::normalise_all(double eps) {
    const Index positions = product(node_.positions);
    ScaledColumn mean(size(samples_));
    std::vector<ScaledNumbers> terms;
    for (Index p = 0; p < positions; ++p) terms.push_back(from(node_.variance, p * items_));
    kernels_.nodes->sum(items_, mean.view(), terms.data(), positions, static_cast<double>(positions));
    for (Index p = 1; p < positions; ++p) repeat(mean, 0, items_, p * items_);
    divide_by(mean.view(), eps);
}

template <class T>
void Program<T>::normalise_nodes(double eps, const std::vector<Index>& starts) {
    if (starts.empty() || starts.front() != 0 || starts.back() != samples_ || !std::ranges::is_sorted(starts))
        throw std::invalid_argument("starts are those of all nodes.");
    if (!node_.knows_mean) throw std::invalid_argument("LayerNorm: the mean of what comes in is not known.");
    ScaledColumn mean(size(samples_));
    std::vector<ScaledNumbers> terms;
    for (std::size_t item = 0; item + 1 < starts.size(); ++item) {
        const Index first = starts[item], count = starts[item + 1] - first;
        if (count == 0) continue;
        terms.clear();
        for (Index p = 0; p < count; ++p) terms.push_back(from(node_.variance, first + p));
        kernels_.nodes->sum(1, from(mean, first), terms.data(), count, static_cast<double>(count));
        for (Index p = 1; p < count; ++p) repeat(mean, first, 1, first + p);
    }
    divide_by(mean.view(), eps);
}

// K and Theta by that of each sample, and eps. Strips of pairs stay as they are.
template <class T>
void Program<T>::divide_by(const ScaledNumbers& mean, double eps) {
    if (node_.has_mean) throw std::invalid_argument("LayerNorm of all positions together is for what has mean 0.");
    kernels_.nodes->divide_numbers(samples_, node_.variance.view(), mean, eps);
    kernels_.nodes->divide_numbers(samples_, node_.ntk.view(), mean, eps);
    for (std::size_t i = 0; i < size(samples_); ++i) {
        if (eps == 0 && !(mean.high[i] > 0)) node_.fates.lost[i] |= lost_to_zero;
        if (!std::isfinite(mean.high[i])) overflow(i); // it stays
    }
    follow_ntk(node_);
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
