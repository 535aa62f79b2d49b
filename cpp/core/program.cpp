#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "nodes.hpp"
#include "team.hpp"

namespace fastntk {
namespace {

constexpr std::size_t no_layer = static_cast<std::size_t>(-1);

constexpr double infinite = std::numeric_limits<double>::infinity();

// Of a sample, in multiply-adds.
constexpr double work_of_layer = 300, work_of_activation = 1500;

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

} // namespace

// Threads each take whole blocks: a sample's numbers do not depend on which.
template <class T>
template <class Run>
void Program<T>::for_samples(double work, const Run& run) const {
    constexpr Index block = 1024;
    const Index blocks = (samples_ + block - 1) / block;
    const int threads = team(work * static_cast<double>(samples_), blocks, threads_);
    if (threads == 1) return run(Index(0), samples_);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (Index i = 0; i < blocks; ++i) run(i * block, std::min(samples_, (i + 1) * block));
}

template <class T>
Program<T>::Program(const SampleKernels& kernels, int threads, const RowNorms& rows, std::vector<Direction> directions)
    : kernels_(kernels), threads_(threads), samples_(static_cast<Index>(rows.norms.size())), items_(samples_), node_(rows.norms.size(), directions.size()),
      a_(WideColumn::unwritten(rows.norms.size())), b_(WideColumn::unwritten(rows.norms.size())), directions_(std::move(directions)) {
    kernels_.input(all(), rows.norms.data(), rows.features);
    const ScaledNumbers k = node_.variance.view();
    for (std::size_t i = 0; i < rows.excess.size(); ++i) k.low[i] += k.high[i] * rows.excess[i];
    node_.units = static_cast<double>(rows.features);
    // Nothing is refused of given variances.
    for (std::size_t i = 0; i < size(samples_); ++i) node_.fates.variance[i] = rows.norms[i] > 0 && rows.features > 0;
}

template <class T>
void Program<T>::overflow(std::size_t i) {
    const ScaledNumbers k = node_.variance.view();
    k.high[i] = infinite;
    k.low[i] = k.power[i] = 0;
}

// The engine has Theta / K of a sample as a number of T.
template <class T>
void Program<T>::follow_ntk(Node& node) {
    moved_ = true;
    kernels_.check_ntk({0, samples_, node.variance.view(), node.ntk.view()}, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(),
                       node.fates.ntk.data(), node.fates.ntk_faint.data());
}

// An op with tables sees the samples.
template <class T>
void Program<T>::see_samples() {
    // Norms that are equal but for rounding differ by a few units of it.
    constexpr double rounding = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const ScaledNumbers k = node_.variance.view();
    std::size_t least = 0, most = 0;
    for (std::size_t i = 1; univariate_ && i < size(samples_); ++i) {
        const auto below = [&](std::size_t a, std::size_t b) { return k.high[a] != k.high[b] ? k.high[a] < k.high[b] : k.low[a] < k.low[b]; };
        if (below(i, least)) least = i;
        if (below(most, i)) most = i;
        const double apart = (k.high[most] - k.high[least]) + (k.low[most] - k.low[least]);
        univariate_ = k.power[i] == k.power[0] && apart <= rounding * k.high[least];
    }
}

// An op depends on these numbers of the samples, and not on their norms beyond.
template <class T>
void Program<T>::see_numbers(const double* numbers) {
    constexpr double rounding = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
    if (!univariate_ || samples_ == 0) return;
    const auto [least, most] = std::minmax_element(numbers, numbers + samples_);
    univariate_ = *most - *least <= rounding * *most;
}

// Numbers [table][sample] as the ops read them, [table][part][sample]; without `low` they are doubles.
template <class T>
void Program<T>::set_tables(std::vector<T>& tables, Index count, Index parts, const double* high, const double* low) const {
    const std::size_t n = size(samples_);
    tables.resize(size(count * parts) * n);
    for (std::size_t t = 0; t < size(count); ++t)
        for (std::size_t i = 0; i < n; ++i) {
            const double value = high[t * n + i];
            T* const target = tables.data() + t * size(parts) * n + i;
            target[0] = static_cast<T>(value);
            if (parts == 2) target[n] = static_cast<T>((value - static_cast<double>(target[0])) + (low ? low[t * n + i] : 0));
        }
}

// In gradients the derivatives of the tables, `slopes`, follow them, and then d log q along every direction.
template <class T>
void Program<T>::emit(OpCode code, std::vector<T> parameters, std::vector<T> tables, Index table_count, const double* slopes,
                      Index slope_count, const double* elasticity) {
    const Index values = table_count;
    if (table_count > 0) reach_samples();
    if (with_gradient() && table_count > 0) {
        tables.insert(tables.end(), slopes, slopes + slope_count * samples_);
        for (Index k = 0; k < reached_; ++k) {
            const double* const slope = node_.log_slopes[size(k)].high();
            tables.insert(tables.end(), slope, slope + samples_);
        }
        if (second_) tables.insert(tables.end(), elasticity, elasticity + samples_);
        table_count += slope_count + reached_ + second_;
    }
    push({code, node_.nonnegative, std::move(parameters), std::move(tables), table_count, values, reached_});
}

template <class T>
void Program<T>::replace_ops(const std::vector<double>& parameters) {
    ops_.clear();
    std::vector<T> rounded;
    for (const double value : parameters) rounded.push_back(static_cast<T>(value));
    emit(OpCode::univariate, std::move(rounded));
}

// Tables of the shares of two parts, see ShareArguments, or PartTablesArguments where what is carried along both is given.
template <class T>
std::vector<T> Program<T>::share_tables(WideNumbers a, WideNumbers b, double* carried, const double* carried_b) {
    const Index table_count = carried_b ? 4 : 3;
    std::vector<T> tables(size(table_count * samples_));
    for_samples(work_of_layer, [&](Index begin, Index end) {
        const ShareArguments<T> shares{begin, end, a, b, carried, tables.data(), samples_};
        const PartTablesArguments<T> parts{begin, end, a, b, carried, carried_b, tables.data(), samples_};
        if constexpr (sizeof(T) == sizeof(float)) carried_b ? kernels_.nodes->part_tables_float(parts) : kernels_.shares_float(shares);
        else carried_b ? kernels_.nodes->part_tables_double(parts) : kernels_.shares_double(shares);
    });
    return tables;
}

// d log K of every direction through a layer that has been followed; of one with bias, whose op is the last, two tables for
// each that has reached it: the derivatives of a and of b/sqrt 2.
template <class T>
void Program<T>::move_slopes(double sigma_w, double sigma_b, std::size_t layer, WideNumbers a, WideNumbers b) {
    std::vector<double> slopes(a.high ? 2 * size(samples_) : 0);
    for (std::size_t k = 0; k < directions_.size(); ++k) {
        const bool with_tables = a.high && k < size(reached_);
        const double moved_w = layer == no_layer ? 0 : directions_[k][2 * layer];
        const double moved_b = layer == no_layer ? 0 : directions_[k][2 * layer + 1];
        kernels_.dense_slope({all(), sigma_w, sigma_b, moved_w, moved_b, a, b, node_.log_slopes[k].view(),
                              with_tables ? slopes.data() : nullptr, with_tables ? slopes.data() + samples_ : nullptr});
        if (!with_tables) continue;
        ops_.back().tables.insert(ops_.back().tables.end(), slopes.begin(), slopes.end());
        ops_.back().table_count += 2;
    }
}

// K <- sigma_b^2 + sigma_w^2 K, as an op of that code: joins the feature vector, of squared length sigma_w^2 K(x, x), and one
// feature of squared length sigma_b^2.
template <class T>
void Program<T>::linear(OpCode code, double sigma_w, double sigma_b, bool trainable, std::size_t layer) {
    const bool with_bias = sigma_b != 0;
    const WideNumbers none{nullptr, nullptr}, share_a = with_bias ? a_.view() : none, share_b = with_bias ? b_.view() : none;
    // The op sees the samples before the bias, all alike where sigma_w = 0.
    if (with_bias && sigma_w != 0) see_samples();
    for_samples(work_of_layer, [&](Index begin, Index end) {
        kernels_.dense({diagonals(begin, end), sigma_w, sigma_b, trainable, share_a, share_b});
    });
    if (with_bias) reach_samples();
    if (with_bias) push({code, node_.nonnegative, {}, share_tables(share_a, share_b, node_.carried.data()), 3, 3, reached_});
    else if (trainable) emit(code, {});
    if (with_bias || trainable) fuse_hidden();
    if (with_gradient()) move_slopes(sigma_w, sigma_b, layer, share_a, share_b);
    for (std::size_t i = 0; i < size(samples_); ++i) {
        node_.fates.variance[i] = (node_.fates.variance[i] & (sigma_w != 0)) | with_bias;
        if (with_bias) node_.fates.faint[i] = node_.fates.faint[i] & !(share_a.high[i] * share_a.high[i] < unseen);
        node_.fates.ntk[i] = (node_.fates.ntk[i] & (sigma_w != 0)) | (trainable & node_.fates.variance[i]);
        node_.fates.ntk_faint[i] = node_.fates.ntk_faint[i] & !trainable; // next to K
    }
}

// A piecewise linear activation and the Dense layer behind it as one op, where neither gradients nor branches need both.
template <class T>
void Program<T>::fuse_hidden() {
    if (with_gradient() || placed_ || !frames_.empty() || ops_.size() < sealed_ + 2) return;
    const Op<T>& activation = ops_[ops_.size() - 2];
    Op<T>& dense = ops_.back();
    const bool with_bias = dense.code == OpCode::dense;
    if (activation.code != OpCode::piecewise_linear || !dense.nonnegative || !(with_bias || dense.code == OpCode::dense_bias_free))
        return;
    dense.code = with_bias ? OpCode::hidden : OpCode::hidden_bias_free;
    dense.nonnegative = activation.nonnegative;
    dense.parameters = activation.parameters;
    ops_.erase(ops_.end() - 2);
    ++fused_;
}

// The number of a Dense layer. Directions come in the order of the first layer they move; one that moves nothing keeps none waiting.
template <class T>
std::size_t Program<T>::next_layer() {
    const std::size_t layer = dense_layers_++;
    const auto moves = [&](const Direction& d) {
        const auto nothing = [](double by) { return by == 0; };
        return !nothing(d[2 * layer]) || !nothing(d[2 * layer + 1]) || (!along_inputs_ && std::ranges::all_of(d, nothing));
    };
    while (reached_ < directions() && moves(directions_[size(reached_)])) ++reached_;
    return layer;
}

template <class T>
void Program<T>::follow_inputs(Index rows, bool second) {
    if (!with_gradient() || rows > samples_) throw std::invalid_argument("directions of the inputs.");
    along_inputs_ = true;
    second_ = second;
    reached_ = 1;
    std::fill_n(node_.log_slopes.at(1).view().high, rows, 1.0);
    if (directions() > 2) std::fill_n(node_.log_slopes[2].view().high + rows, samples_ - rows, 1.0);
}

// A pair depends on log q of its samples from the first op on that has tables of them.
template <class T>
void Program<T>::reach_samples() {
    if (along_inputs_) reached_ = directions();
}

template <class T>
void Program<T>::dense(double sigma_w, double sigma_b, bool trainable) {
    remember([=](Program& program) { program.dense(sigma_w, sigma_b, trainable); });
    const std::size_t layer = next_layer();
    linear(sigma_b != 0 ? (trainable ? OpCode::dense : OpCode::offset) : OpCode::dense_bias_free, sigma_w, sigma_b, trainable, layer);
    become_gaussian();
    follow_ntk(node_);
}

template <class T>
void Program<T>::activate(const ActivationOp<T>& op) {
    remember([op](Program& program) { program.activate(op); });
    require_gaussian();
    if (with_means()) keep_mean(op);
    node_.law = Law::given;
    const std::size_t n = size(samples_), table_count = size(op.tables);
    // Tables in double are those that are computed.
    constexpr bool in_place = sizeof(T) == sizeof(double);
    std::vector<T> tables(in_place ? table_count * n : 0);
    std::vector<double> high(in_place ? 0 : table_count * n), low(in_place ? 0 : table_count * n);
    std::vector<double> slopes(with_gradient() ? table_count * n : 0);
    WideColumn elasticity(with_gradient() ? n : 0);
    if (table_count > 0) see_samples();
    double* target = high.data();
    if constexpr (in_place) target = tables.data();
    for_samples(work_of_activation, [&](Index begin, Index end) {
        kernels_.activations[static_cast<int>(op.form)][with_gradient()](
            {diagonals(begin, end), op.arguments.data(), op.smallest, op.largest, op.largest_variance, target,
             in_place ? nullptr : low.data(), samples_, slopes.data(), elasticity.view()});
    });
    if (!in_place) set_tables(tables, op.tables, op.parts, high.data(), low.data());
    if (op.code != OpCode::count) emit(op.code, op.parameters, std::move(tables), op.tables * op.parts, slopes.data(), op.tables, elasticity.high());
    for (WideColumn& slope : node_.log_slopes) kernels_.times(0, samples_, slope.view(), elasticity.view());
    // Of what does not depend on the size of K, however small, the direction matters, and is not known there.
    if (op.form == ClosedForm::step || op.form == ClosedForm::sign)
        for (std::size_t i = 0; i < n; ++i) {
            node_.fates.faint[i] = node_.fates.faint[i] | (node_.fates.undirected[i] & !node_.fates.variance[i]);
            if (node_.fates.faint[i] && !node_.positions.empty()) node_.fates.lost[i] |= lost_in_rounding;
        }
    const Vanishing vanishes = kernels_.vanishing[static_cast<int>(op.form)](op.arguments.data());
    const ScaledNumbers k = node_.variance.view();
    unsigned char *const some = node_.fates.variance.data(), stays = !vanishes.variance;
    for (std::size_t i = 0; i < n; ++i) some[i] = (k.high[i] > 0) | (some[i] & stays);
    if (vanishes.slope) std::ranges::fill(node_.fates.ntk, 0);
    follow_ntk(node_);
    node_.nonnegative = node_.nonnegative || op.nonnegative;
}

template <class T>
void Program<T>::piecewise_linear(double a, double b) {
    const double bend = kernels_.bend(a, b);
    ActivationOp<T> op{ClosedForm::piecewise_linear, {a, b}};
    if (bend > 0) {
        op.code = OpCode::piecewise_linear;
        op.parameters = {static_cast<T>(bend)};
    }
    op.nonnegative = bend >= 1;
    activate(op);
}

// The parameter of the ops is the gain q F'(q, q) / F(q, q) = n^2 / (2n - 1).
template <class T>
void Program<T>::rectified_monomial(int degree) {
    switch (degree) {
    case 0: return activate({.form = ClosedForm::step, .code = OpCode::step, .nonnegative = true});
    case 1: return piecewise_linear(0, 1);
    case 2: return activate({.form = ClosedForm::rectified_square, .code = OpCode::rectified_square, .parameters = {T(4) / T(3)}, .nonnegative = true});
    case 3: return activate({.form = ClosedForm::rectified_cube, .code = OpCode::rectified_cube, .parameters = {T(9) / T(5)}, .nonnegative = true});
    }
}

template <class T>
std::unique_ptr<Program<T>> Program<T>::again(int threads, const RowNorms& rows, const double* ntk) const {
    if (computed_) return nullptr;
    if (placed_) return placed_again(threads, rows, ntk);
    auto program = std::make_unique<Program>(kernels_, threads, rows, directions_);
    if (along_inputs_) program->follow_inputs(program->samples_, second_);
    program->follow(recipe_);
    return program;
}

template <class T>
void Program<T>::follow(const Recipe<T>& recipe) {
    remembers_ = false;
    recipe_.with_means = recipe.with_means;
    ops_.reserve(recipe.layers.size());
    for (const auto& layer : recipe.layers) layer(*this);
}

template <class T>
void Program<T>::sign() {
    activate({.form = ClosedForm::sign, .code = OpCode::sign});
}

template <class T>
void Program<T>::erf(double a, double b, double c) {
    activate({.form = ClosedForm::erf,
              .arguments = {a, b},
              .code = OpCode::erf,
              .tables = 7,
              // Below this Q erf is linear to rounding and its normalised dual does not depend on Q; and the
              // squares of the tables stay in range.
              .smallest = 0.1 * static_cast<double>(std::numeric_limits<T>::epsilon()),
              .largest = std::numeric_limits<T>::max(),
              // 1 - sin A has to be a normal number of T.
              .largest_variance = 1 / static_cast<double>(std::numeric_limits<T>::min())});
    if (c != 0) offset(c);
}

template <class T>
void Program<T>::offset(double constant) {
    remember([=](Program& program) { program.offset(constant); });
    linear(OpCode::offset, 1, std::abs(constant), false, no_layer);
    if (with_means()) add_to_mean(constant);
    follow_ntk(node_);
}

template <class T>
std::vector<std::vector<T>> Program<T>::output_tables() const {
    std::vector<double> deviations(size(samples_));
    kernels_.root(0, samples_, node_.variance.view(), deviations.data());
    std::vector<std::vector<T>> tables{{deviations.begin(), deviations.end()}};
    for (const WideColumn& slope : node_.log_slopes) tables.emplace_back(slope.high(), slope.high() + samples_);
    return tables;
}

template <class T>
Index Program<T>::first_lost(bool with_ntk) const {
    const int matters = with_ntk ? ~0 : ~lost_in_ntk;
    const auto found = std::ranges::find_if(node_.fates.lost, [=](unsigned char lost) { return (lost & matters) != 0; });
    return found == node_.fates.lost.end() ? -1 : found - node_.fates.lost.begin();
}

template <class T>
unsigned char Program<T>::why_some_are_lost() const {
    return std::accumulate(node_.fates.lost.begin(), node_.fates.lost.end(), static_cast<unsigned char>(0), std::bit_or<unsigned char>());
}

template <class T>
Index Program<T>::first_out_of_range(double least, double most, bool with_ntk) const {
    std::vector<double> q(size(samples_)), theta(size(samples_));
    variance(q.data());
    ntk(theta.data());
    const auto fits = [=](double value, bool nonzero) { return value <= most && (value >= least || !nonzero); };
    for (std::size_t i = 0; i < size(samples_); ++i) {
        if (node_.fates.faint[i] || !fits(q[i], node_.fates.variance[i])) return static_cast<Index>(i);
        if (with_ntk && (node_.fates.ntk_faint[i] || !fits(theta[i], node_.fates.ntk[i]))) return static_cast<Index>(i);
    }
    return -1;
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
