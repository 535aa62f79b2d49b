#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "team.hpp"

namespace fastntk {
namespace {

constexpr std::size_t no_layer = static_cast<std::size_t>(-1);

constexpr double infinite = std::numeric_limits<double>::infinity();

// Of a sample, in multiply-adds.
constexpr double work_of_layer = 300, work_of_activation = 1500;

// Of less than that part of K nothing is seen any more, not even through a chaotic network.
constexpr double unseen = 1e-25;

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
Program<T>::Program(const SampleKernels& kernels, int threads, const RowNorms& rows, std::vector<Direction> directions,
                    std::vector<Index> reference, const Program* like)
    : kernels_(kernels), threads_(threads), samples_(static_cast<Index>(rows.norms.size())), variance_(rows.norms.size()),
      ntk_(rows.norms.size()), reference_(std::move(reference)), given_centres_(like ? like->centres_ : decltype(centres_){}), is_like_(like != nullptr),
      a_(rows.norms.size()), b_(rows.norms.size()), carried_(rows.norms.size()), directions_(std::move(directions)), log_slopes_(directions_.size(), WideColumn(rows.norms.size())) {
    const std::size_t n = rows.norms.size();
    kernels_.input(diagonals(0, samples_), rows.norms.data(), rows.features);
    fates_ = {std::vector<unsigned char>(n), std::vector<unsigned char>(n), std::vector<unsigned char>(n), std::vector<unsigned char>(n)};
    // Nothing is refused of given variances.
    for (std::size_t i = 0; i < n; ++i) fates_.variance[i] = rows.norms[i] > 0 && rows.features > 0;
}

template <class T>
void Program<T>::overflow(std::size_t i) {
    const ScaledNumbers k = variance_.view();
    k.high[i] = infinite;
    k.low[i] = k.power[i] = 0;
}

// The engine has Theta / K of a sample as a number of T.
template <class T>
void Program<T>::follow_ntk() {
    kernels_.check_ntk(diagonals(0, samples_), std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), fates_.ntk.data(),
                       fates_.ntk_faint.data());
}

// An op with tables sees the samples.
template <class T>
void Program<T>::see_samples() {
    // Norms that are equal but for rounding differ by a few units of it.
    constexpr double rounding = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const ScaledNumbers k = variance_.view();
    std::size_t least = 0, most = 0;
    for (std::size_t i = 1; univariate_ && i < size(samples_); ++i) {
        const auto below = [&](std::size_t a, std::size_t b) { return k.high[a] != k.high[b] ? k.high[a] < k.high[b] : k.low[a] < k.low[b]; };
        if (below(i, least)) least = i;
        if (below(most, i)) most = i;
        const double apart = (k.high[most] - k.high[least]) + (k.low[most] - k.low[least]);
        univariate_ = k.power[i] == k.power[0] && apart <= rounding * k.high[least];
    }
}

// `value(table, sample)` as the ops read it: [table][part][sample].
template <class T>
template <class Value>
void Program<T>::set_tables(std::vector<T>& tables, Index count, Index parts, const Value& value) const {
    const std::size_t n = size(samples_);
    tables.resize(size(count * parts) * n);
    for (std::size_t t = 0; t < size(count); ++t)
        for (std::size_t i = 0; i < n; ++i) {
            const auto [high, low] = value(t * n + i);
            T* const target = tables.data() + t * size(parts) * n + i;
            target[0] = static_cast<T>(high);
            if (parts == 2) target[n] = static_cast<T>((high - static_cast<double>(target[0])) + low);
        }
}

// In gradients the derivatives of the tables, `slopes`, follow them, and then d log q along every direction.
template <class T>
void Program<T>::emit(OpCode code, std::vector<T> parameters, std::vector<T> tables, Index table_count, const double* slopes,
                      Index slope_count) {
    const Index values = table_count;
    if (with_gradient() && table_count > 0) {
        tables.insert(tables.end(), slopes, slopes + slope_count * samples_);
        for (Index k = 0; k < reached_; ++k) {
            const double* const slope = log_slopes_[size(k)].high();
            tables.insert(tables.end(), slope, slope + samples_);
        }
        table_count += slope_count + reached_;
    }
    ops_.push_back({code, nonnegative_, std::move(parameters), std::move(tables), table_count, values, reached_, nullptr});
}

template <class T>
void Program<T>::replace_ops(const std::vector<double>& parameters) {
    ops_.clear();
    std::vector<T> rounded;
    for (const double value : parameters) rounded.push_back(static_cast<T>(value));
    emit(OpCode::univariate, std::move(rounded));
}

// With tables of the shares of all features but the bias, and of the bias, see ShareArguments.
template <class T>
void Program<T>::emit_shares(OpCode code, WideNumbers a, WideNumbers b) {
    // Differences are what matters: any number near most samples is right.
    const auto mean = [&](const double* v) {
        if (reference_.empty()) return *v;
        double sums[4] = {};
        for (std::size_t i = 0; i < reference_.size(); ++i) sums[i % 4] += v[reference_[i]];
        return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / static_cast<double>(reference_.size());
    };
    std::array<double, 2> centre{};
    if (is_like_) centre = given_centres_.at(centres_.size());
    else if (samples_ > 0) centre = {mean(a.high), mean(b.high)};
    centres_.push_back(centre);
    std::vector<T> tables(4 * size(samples_));
    for_samples(work_of_layer, [&](Index begin, Index end) {
        const ShareArguments<T> arguments{begin, end, a, b, centre[0], centre[1], carried_.data(), tables.data(), samples_};
        if constexpr (sizeof(T) == sizeof(float)) kernels_.shares_float(arguments);
        else kernels_.shares_double(arguments);
    });
    ops_.push_back({code, nonnegative_, {}, std::move(tables), 4, 4, reached_, nullptr});
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
        kernels_.dense_slope({diagonals(0, samples_), sigma_w, sigma_b, moved_w, moved_b, a, b, log_slopes_[k].view(),
                              with_tables ? slopes.data() : nullptr, with_tables ? slopes.data() + samples_ : nullptr});
        if (!with_tables) continue;
        ops_.back().tables.insert(ops_.back().tables.end(), slopes.begin(), slopes.end());
        ops_.back().table_count += 2;
    }
}

// K <- sigma_b^2 + sigma_w^2 K, as an op of that code: joins the feature vector, of squared length sigma_w^2 K(x, x), and one
// feature of squared length sigma_b^2.
template <class T>
void Program<T>::join(OpCode code, double sigma_w, double sigma_b, bool trainable, std::size_t layer) {
    const bool with_bias = sigma_b != 0;
    const WideNumbers none{nullptr, nullptr}, share_a = with_bias ? a_.view() : none, share_b = with_bias ? b_.view() : none;
    // The op sees the samples before the bias, all alike where sigma_w = 0.
    if (with_bias && sigma_w != 0) see_samples();
    for_samples(work_of_layer, [&](Index begin, Index end) {
        kernels_.dense({diagonals(begin, end), sigma_w, sigma_b, trainable, share_a, share_b});
    });
    if (with_bias) emit_shares(code, share_a, share_b);
    else if (trainable) emit(code, {});
    if (with_gradient()) move_slopes(sigma_w, sigma_b, layer, share_a, share_b);
    for (std::size_t i = 0; i < size(samples_); ++i) {
        fates_.variance[i] = (fates_.variance[i] & (sigma_w != 0)) | with_bias;
        if (with_bias) fates_.faint[i] = fates_.faint[i] & !(share_a.high[i] * share_a.high[i] < unseen);
        fates_.ntk[i] = (fates_.ntk[i] & (sigma_w != 0)) | (trainable & fates_.variance[i]);
        fates_.ntk_faint[i] = fates_.ntk_faint[i] & !trainable; // next to K
    }
}

template <class T>
void Program<T>::dense(double sigma_w, double sigma_b, bool trainable) {
    remember([=](Program& program) { program.dense(sigma_w, sigma_b, trainable); });
    const std::size_t layer = dense_layers_++;
    // Directions come in the order of the first layer they move.
    const auto moves = [&](const Direction& d) { return d[2 * layer] != 0 || d[2 * layer + 1] != 0; };
    while (reached_ < directions() && moves(directions_[size(reached_)])) ++reached_;
    join(sigma_b != 0 ? (trainable ? OpCode::dense : OpCode::offset) : OpCode::dense_bias_free, sigma_w, sigma_b, trainable, layer);
    follow_ntk();
}

template <class T>
void Program<T>::activate(const ActivationOp<T>& op) {
    remember([op](Program& program) { program.activate(op); });
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
    if (!in_place) set_tables(tables, op.tables, op.parts, [&](std::size_t i) { return std::pair(high[i], low[i]); });
    if (op.code != OpCode::count) emit(op.code, op.parameters, std::move(tables), op.tables * op.parts, slopes.data(), op.tables);
    for (WideColumn& slope : log_slopes_) kernels_.times(0, samples_, slope.view(), elasticity.view());
    const Vanishing vanishes = kernels_.vanishing[static_cast<int>(op.form)](op.arguments.data());
    const ScaledNumbers k = variance_.view();
    for (std::size_t i = 0; i < n; ++i) {
        fates_.variance[i] = (k.high[i] > 0) | (fates_.variance[i] & !vanishes.variance);
        fates_.ntk[i] = fates_.ntk[i] & !vanishes.slope;
    }
    follow_ntk();
    nonnegative_ = nonnegative_ || op.nonnegative;
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
std::unique_ptr<Program<T>> Program<T>::again(int threads, const RowNorms& rows) const {
    if (computed_) return nullptr;
    auto program = std::make_unique<Program>(kernels_, threads, rows, std::vector<Direction>(), std::vector<Index>(), this);
    program->ops_.reserve(ops_.size());
    for (const auto& layer : layers_) layer(*program);
    return program;
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
    if (c != 0) offset(std::abs(c));
}

template <class T>
void Program<T>::offset(double sigma) {
    remember([=](Program& program) { program.offset(sigma); });
    join(OpCode::offset, 1, sigma, false, no_layer);
    follow_ntk();
}

// F(q, q) and F'(q, q) were computed of q rounded to double, as doubles. Where that lost them, K becomes no less than it is:
// then a later bias tells whether it matters.
template <class T>
void Program<T>::follow_computed(const double* variance, const double* slope, const double* powers) {
    constexpr double least = std::numeric_limits<double>::min();
    const std::size_t n = size(samples_);
    std::vector<double> q(n), bound(variance, variance + n);
    kernels_.rounded(0, samples_, variance_.view(), q.data());
    for (std::size_t i = 0; i < n; ++i) {
        if (!fates_.variance[i]) continue;
        // F(q, q) <= phi(0)^2 + q F'(q, q), nearly.
        const bool seen = !(least * slope[i] < unseen * variance[i]), by_q = !(powers && powers[i] > 0) && q[i] < least && seen;
        if (!by_q && !(variance[i] < least)) continue;
        fates_.faint[i] = 1;
        fates_.ntk_faint[i] = fates_.ntk_faint[i] | (fates_.ntk[i] & (slope[i] < least));
        bound[i] += least + (by_q ? least * slope[i] : 0);
    }
    kernels_.assign(diagonals(0, samples_), bound.data(), slope, powers);
    const ScaledNumbers k = variance_.view(), theta = ntk_.view();
    for (std::size_t i = 0; i < n; ++i) {
        fates_.variance[i] = k.high[i] != 0;
        fates_.ntk[i] = fates_.ntk[i] & (theta.high[i] != 0);
    }
    follow_ntk();
}

template <class T>
void Program<T>::emit_computed(OpCode code, const Computed& computed, Index parts) {
    computed_ = true;
    const std::size_t n = size(samples_), entries = n * size(computed.table_count);
    std::vector<T> parameters, tables;
    for (const double value : computed.parameters) parameters.push_back(static_cast<T>(value));
    for (std::size_t i = 0; i < entries; ++i)
        if (!(std::abs(computed.tables[i]) <= std::numeric_limits<T>::max())) overflow(i % n);
    set_tables(tables, computed.table_count, parts, [&](std::size_t i) { return std::pair(computed.tables[i], 0.0); });
    if (computed.table_count > 0) see_samples();
    emit(code, std::move(parameters), std::move(tables), computed.table_count * parts, computed.table_slopes, computed.table_count);
    if (computed.table_count == 0) std::fill(fates_.variance.begin(), fates_.variance.end(), 0);
    follow_computed(computed.variance, computed.slope, computed.powers);
    if (with_gradient()) {
        WideColumn elasticity(n);
        std::copy_n(computed.elasticity, n, elasticity.view().high);
        for (WideColumn& slope : log_slopes_) kernels_.times(0, samples_, slope.view(), elasticity.view());
    }
    nonnegative_ = false; // coefficients of one order may differ in sign between variances
}

template <class T>
void Program<T>::expansion(const Computed& computed) {
    check_expansion(computed);
    emit_computed(OpCode::expansion, computed, 1);
}

template <class T>
void Program<T>::pieces(const Computed& computed) {
    check_pieces(computed);
    // Samples without any coefficient are those that it cannot follow.
    const std::size_t n = size(samples_), coefficients = 4 * static_cast<std::size_t>(computed.parameters[0]);
    for (std::size_t i = 0; i < n; ++i) {
        bool known = false;
        for (std::size_t k = 0; k < coefficients; ++k) known = known || computed.tables[k * n + i] != 0;
        fates_.faint[i] = fates_.faint[i] || (fates_.variance[i] && !known);
    }
    emit_computed(OpCode::pieces, computed, wide_parts<T>);
}

template <class T>
void Program<T>::quadrature(std::shared_ptr<const QuadratureRule> rule) {
    computed_ = true;
    const std::size_t n = size(samples_);
    std::vector<double> q(n), next(n), slope(n);
    variance(q.data());
    std::vector<T> tables;
    for (std::size_t i = 0; i < n; ++i) {
        tables.push_back(static_cast<T>(q[i]));
        if (!(q[i] <= static_cast<double>(std::numeric_limits<T>::max()))) overflow(i);
        if (q[i] < static_cast<double>(std::numeric_limits<T>::min())) fates_.faint[i] = fates_.variance[i];
        next[i] = rule->variance(q[i]);
        slope[i] = rule->slope(q[i]);
    }
    see_samples();
    ops_.push_back({OpCode::quadrature, nonnegative_, {}, std::move(tables), 1, 1, 0, rule});
    follow_computed(next.data(), slope.data(), nullptr);
    nonnegative_ = false; // the rule may miss by a little
}

template <class T>
std::vector<std::vector<T>> Program<T>::output_tables() const {
    std::vector<double> deviations(size(samples_));
    kernels_.root(0, samples_, variance_.view(), deviations.data());
    std::vector<std::vector<T>> tables{{deviations.begin(), deviations.end()}};
    for (const WideColumn& slope : log_slopes_) tables.emplace_back(slope.high(), slope.high() + samples_);
    return tables;
}

template <class T>
Index Program<T>::first_out_of_range(double least, double most, bool with_ntk) const {
    std::vector<double> q(size(samples_)), theta(size(samples_));
    variance(q.data());
    ntk(theta.data());
    const auto fits = [=](double value, bool nonzero) { return value <= most && (value >= least || !nonzero); };
    for (std::size_t i = 0; i < size(samples_); ++i) {
        if (fates_.faint[i] || !fits(q[i], fates_.variance[i])) return static_cast<Index>(i);
        if (with_ntk && (fates_.ntk_faint[i] || !fits(theta[i], fates_.ntk[i]))) return static_cast<Index>(i);
    }
    return -1;
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
