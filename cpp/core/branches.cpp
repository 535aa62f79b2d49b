// What is done with samples where branches meet, where units are left out, and in the standard parametrisation.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "nodes.hpp"
#include "program.hpp"

namespace fastntk {
namespace {

// Units of all branches together: as many as each has, or, side by side, in these fractions, as all have. 0 where it is not known.
double units_together(const std::vector<double>& units, const std::vector<double>& fractions) {
    const bool side_by_side = fractions.size() > 1 && fractions.front() < 1;
    const double sum = std::accumulate(units.begin(), units.end(), 0.0), most = std::ranges::max(units);
    const bool all_known = std::ranges::min(units) > 0;
    if (side_by_side && !all_known) return 0;
    for (std::size_t i = 0; i < units.size(); ++i) {
        const double wanted = side_by_side ? fractions[i] * sum : most;
        if (units[i] > 0 && std::abs(units[i] - wanted) >= 1)
            throw std::invalid_argument("a branch ends with " + std::to_string(std::lround(units[i])) + " units where " + std::to_string(std::lround(wanted)) +
                                        " are needed; features that come in are a unit each, and branches of a Sum or Product need as many, those of a "
                                        "Concat their fraction.");
    }
    return side_by_side ? sum : most;
}

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

} // namespace

// Strips: what is in hand when the next branch begins is kept, and that of the fork comes back.
template <class T>
void Program<T>::settle() {
    unpend();
    sealed_ = ops_.size();
}

template <class T>
void Program<T>::unpend() {
    if (frames_.empty() || !frames_.back().pending) return;
    Frame& frame = frames_.back();
    frame.pending = false;
    ops_.push_back({.code = OpCode::save, .slot = frame.whole_slot});
    ops_.push_back({.code = OpCode::load, .slot = frame.slot});
}

template <class T>
void Program<T>::push(Op<T> op) {
    unpend();
    ops_.push_back(std::move(op));
}

template <class T>
void Program<T>::fork() {
    remember([](Program& program) { program.fork(); });
    const Index slot = 2 * static_cast<Index>(frames_.size());
    slots_ = std::max(slots_, slot + 2);
    push({.code = OpCode::save, .slot = slot});
    frames_.push_back({.start = node_, .whole = std::nullopt, .slot = slot, .whole_slot = slot + 1, .branch = ops_.size()});
}

template <class T>
void Program<T>::join() {
    remember([](Program& program) { program.join(); });
    Frame& frame = frames_.back();
    to(std::move(*frame.whole)); // what is in hand is its strip
    node_.units = units_together(frame.units, frame.fractions);
    if (frame.units.size() == 2) fuse_block(frame.slot);
    frames_.pop_back();
}

// The ops of a residual block of a piecewise linear activation and a Dense layer as one, where gradients do not need all.
template <class T>
void Program<T>::fuse_block(Index slot) {
    if (with_gradient() || ops_.size() < sealed_ + 4) return;
    const auto first = ops_.end() - 4;
    const Op<T>&save = first[0], &activation = first[1], &dense = first[2], &sum = first[3];
    const bool with_bias = dense.code == OpCode::dense;
    if (save.code != OpCode::save || save.slot != slot || activation.code != OpCode::piecewise_linear || !dense.nonnegative ||
        !(with_bias || dense.code == OpCode::dense_bias_free) || sum.code != OpCode::add || sum.slot != slot)
        return;
    Op<T> block{.code = with_bias ? OpCode::residual_block : OpCode::residual_block_bias_free, .nonnegative = activation.nonnegative,
                .parameters = activation.parameters, .tables = dense.tables};
    block.tables.insert(block.tables.end(), sum.tables.begin(), sum.tables.end());
    block.table_count = block.values = dense.table_count + sum.table_count;
    ops_.erase(first, ops_.end());
    ops_.push_back(std::move(block));
    fused_ += 3;
}

template <class T>
void Program<T>::add(double fraction) {
    remember([=](Program& program) { program.add(fraction); });
    if (fraction != 1) {
        kernels_.nodes->scale(all(), fraction);
        if (node_.has_mean) {
            ScaledColumn scaled(size(samples_));
            kernels_.nodes->add_numbers(0, samples_, scaled.view(), fraction, node_.mean.view());
            node_.mean = std::move(scaled);
            for (auto& slope : node_.mean_slopes)
                for (double& value : slope) value *= fraction;
        }
    }
    put_together(OpCode::add, fraction);
}

template <class T>
void Program<T>::multiply() {
    remember([](Program& program) { program.multiply(); });
    put_together(OpCode::multiply, 1);
}

// The branch that ends here, `fraction` of all units, with those before it. The strip of one of the two is in hand, that of the
// other in a slot.
template <class T>
void Program<T>::put_together(OpCode code, double fraction) {
    Frame& frame = frames_.back();
    frame.units.push_back(node_.units);
    frame.fractions.push_back(fraction);
    if (!frame.whole) {
        const bool is_fork = ops_.size() == frame.branch; // its strip is that of the fork
        frame.pending = !is_fork;
        if (is_fork) frame.whole_slot = frame.slot;
        frame.whole = node_;
    } else {
        if (frame.whole->positions != node_.positions)
            throw std::invalid_argument("branches end with different positions.");
        reach_samples();
        const bool is_sum = code == OpCode::add, whole_in_hand = std::exchange(frame.pending, false);
        Node &first = whole_in_hand ? *frame.whole : node_, &second = whole_in_hand ? node_ : *frame.whole;
        const WideNumbers a = a_.view(), b = b_.view();
        const PartsArguments parts{{0, samples_, first.variance.view(), first.ntk.view()}, second.variance.view(), second.ntk.view(), a, b};
        (is_sum ? kernels_.nodes->add : kernels_.nodes->multiply)(parts);
        join_fates(is_sum, first.fates, second.fates);
        first.nonnegative = first.nonnegative && second.nonnegative;
        Op<T> op{.code = code, .nonnegative = first.nonnegative, .directions = reached_, .slot = whole_in_hand ? frame.slot : frame.whole_slot};
        if (is_sum) {
            see_numbers(a.high);
            op.tables = share_tables(a, b, first.carried.data(), second.carried.data());
            op.table_count = op.values = 4;
        } else {
            for (std::size_t i = 0; i < size(samples_); ++i) first.carried[i] += second.carried[i];
        }
        join_slopes(is_sum, first, second, op);
        join_means(is_sum, first, second);
        first.law = is_sum && first.law == Law::gaussian && second.law == Law::gaussian ? Law::gaussian : Law::other;
        ops_.push_back(std::move(op)); // nothing is pending
        if (!whole_in_hand) std::swap(*frame.whole, node_);
        frame.whole_slot = frame.slot + 1;
        frame.pending = true;
        follow_ntk(*frame.whole);
    }
    frame.branch = ops_.size();
    to(frame.start);
}

template <class T>
void Program<T>::join_fates(bool is_sum, Fates& f, const Fates& g) {
    const double *const a = a_.high(), *const b = b_.high();
    for (std::size_t i = 0; i < size(samples_); ++i) {
        const bool k1 = f.variance[i], k2 = g.variance[i], t1 = f.ntk[i], t2 = g.ntk[i], faint1 = f.ntk_faint[i], faint2 = g.ntk_faint[i];
        // What is faint is not seen next to what is much larger.
        const bool seen1 = !is_sum || !(a[i] * a[i] < unseen), seen2 = !is_sum || !(b[i] * b[i] < unseen);
        f.faint[i] = (f.faint[i] && seen1) || (g.faint[i] && seen2);
        f.variance[i] = is_sum ? k1 || k2 : k1 && k2;
        f.ntk[i] = is_sum ? t1 || t2 : (t1 && k2) || (k1 && t2);
        f.ntk_faint[i] = (faint1 || faint2) && !(t1 && !faint1) && !(t2 && !faint2);
        f.undirected[i] = !f.variance[i] && (is_sum || f.undirected[i] || g.undirected[i]);
        f.flat[i] = (f.flat[i] || !k1) && (g.flat[i] || !k2);
        f.lost[i] = f.lost[i] | g.lost[i];
    }
}

// d log K of the whole, and tables of the derivatives of both shares of a sum.
template <class T>
void Program<T>::join_slopes(bool is_sum, Node& first, Node& second, Op<T>& op) {
    const std::size_t n = size(samples_);
    const double *const a = a_.high(), *const b = b_.high();
    std::vector<double> slopes(2 * n);
    for (std::size_t k = 0; k < directions_.size(); ++k) {
        const WideNumbers whole = first.log_slopes[k].view();
        const double* const other = second.log_slopes[k].high();
        for (std::size_t i = 0; i < n; ++i) {
            const double one = whole.high[i];
            whole.high[i] = is_sum ? a[i] * a[i] * one + b[i] * b[i] * other[i] : one + other[i];
            whole.low[i] = 0;
            slopes[i] = 0.5 * a[i] * (one - whole.high[i]);
            slopes[n + i] = 0.5 * b[i] * (other[i] - whole.high[i]);
        }
        if (!is_sum || k >= size(reached_)) continue;
        op.tables.insert(op.tables.end(), slopes.begin(), slopes.end());
        op.table_count += 2;
    }
}

template <class T>
void Program<T>::require_gaussian() const {
    if (node_.law == Law::other)
        throw std::invalid_argument("an activation acts on Gaussians, and a sum that has the raw input as a member is none: put a Dense before it.");
}

template <class T>
void Program<T>::become_gaussian() {
    node_.law = Law::gaussian;
    node_.knows_mean = true;
    node_.has_mean = false;
    std::ranges::fill(node_.fates.flat, 0);
    node_.units = 0;
}

template <class T>
void Program<T>::set_width(double units) {
    remember([=](Program& program) { program.set_width(units); });
    node_.units = units;
}

template <class T>
void Program<T>::dropout(double p) {
    remember([=](Program& program) { program.dropout(p); });
    if (p == 0) return;
    kernels_.nodes->scale(all(), 1 / (1 - p));
    emit(OpCode::dropout, {static_cast<T>(1 - p)});
    node_.law = Law::other;
    univariate_ = false;
}

template <class T>
void Program<T>::dense_standard(double sigma_w, double sigma_b, bool trainable, bool bias) {
    remember([=](Program& program) { program.dense_standard(sigma_w, sigma_b, trainable, bias); });
    const std::size_t layer = next_layer(), n = size(samples_);
    if (!(node_.units > 0))
        throw std::invalid_argument("parametrization='standard' needs the number of units it sums over: give the Dense before it a width, Dense(..., width=512).");
    if (!trainable) {
        linear(sigma_b != 0 ? OpCode::offset : OpCode::dense_bias_free, sigma_w, sigma_b, trainable, layer);
    } else {
        reach_samples();
        const WideNumbers a = a_.view(), b = b_.view();
        std::vector<double> w(n), v(n);
        std::vector<std::vector<double>> before; // d log K
        for (std::size_t k = 0; k < size(reached_); ++k) before.emplace_back(node_.log_slopes[k].high(), node_.log_slopes[k].high() + n);
        if (sigma_b != 0 && sigma_w != 0) see_samples();
        kernels_.nodes->standard({all(), sigma_w, sigma_b, node_.units, bias ? 1.0 : 0.0, a, b, w.data(), v.data()});
        see_numbers(w.data());
        see_numbers(v.data());
        Op<T> op{.code = OpCode::dense_standard, .nonnegative = node_.nonnegative, .tables = share_tables(a, b, node_.carried.data()), .table_count = 5,
                 .values = 5, .directions = reached_};
        op.tables.insert(op.tables.end(), w.begin(), w.end());
        op.tables.insert(op.tables.end(), v.begin(), v.end());
        push(std::move(op));
        std::vector<T>& tables = ops_.back().tables;
        if (sigma_b != 0) {
            move_slopes(sigma_w, sigma_b, layer, a, b);
        } else { // a is 1
            move_slopes(sigma_w, sigma_b, layer, {nullptr, nullptr}, {nullptr, nullptr});
            tables.resize(tables.size() + 2 * size(reached_) * n);
            ops_.back().table_count += 2 * reached_;
        }
        for (std::size_t k = 0; k < size(reached_); ++k) {
            const double* const after = node_.log_slopes[k].high();
            for (std::size_t i = 0; i < n; ++i) tables.push_back(static_cast<T>(0.5 * w[i] * (before[k][i] - after[i])));
            for (std::size_t i = 0; i < n; ++i) tables.push_back(static_cast<T>(-0.5 * v[i] * after[i]));
            ops_.back().table_count += 2;
        }
        Fates& f = node_.fates;
        for (std::size_t i = 0; i < n; ++i) {
            f.ntk[i] = (f.ntk[i] && sigma_w != 0) || f.variance[i] || bias;
            f.variance[i] = (f.variance[i] && sigma_w != 0) || sigma_b != 0;
            if (sigma_b != 0) f.faint[i] = f.faint[i] && !(a.high[i] * a.high[i] < unseen);
            f.ntk_faint[i] = 0;
            if (f.ntk[i] && !f.variance[i]) f.lost[i] = f.lost[i] | lost_in_ntk;
        }
    }
    become_gaussian();
    follow_ntk(node_);
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
