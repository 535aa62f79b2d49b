// One plane of pairs of positions, of one sample and a few others in the lanes, through the ops of a stage.
#pragma once

#include <utility>
#include <vector>

#include "plane_tables.hpp"

namespace fastntk {

// A plane along every axis.
using Plane = std::array<const AxisPlane*, most_axes>;

inline Index strips_of(const Plane& plane, std::size_t node) {
    Index count = 1;
    for (const AxisPlane* axis : plane) count *= axis->pairs(node).count();
    return count;
}

// What planes take at most, in strips.
struct PlaneSize {
    Index state = 0, row = 0, summed = 0;

    void cover(const Plane& plane, std::size_t ops) {
        for (std::size_t i = 0; i <= ops; ++i) {
            state = std::max(state, strips_of(plane, i));
            if (i == ops || !plane[0]->is_window(i)) continue; // of windows alone, also of those that read nothing
            row = std::max({row, plane[2]->reading(i).pairs.count(), plane[2]->pairs(i + 1).count()});
            summed = std::max(summed, plane[0]->reading(i).pairs.count() * plane[1]->reading(i).pairs.count() * plane[2]->pairs(i + 1).count());
        }
    }
};

// What a stage begins with behind an average: sums of K and Theta, and the weight of every position along each axis.
struct Sums {
    const double *k = nullptr, *theta = nullptr;
    const std::vector<std::vector<double>>* weights = nullptr;
};

template <class T>
class StageRunner {
public:
    StageRunner(const Stage<T>& stage, const Kernels<T>& kernels, const PlaneSize& size, Index channels, Index lanes, bool self, bool with_ntk)
        : stage_(stage), kernels_(kernels), planes_(kernels.planes), channels_(channels), lanes_(lanes), self_(self), with_ntk_(with_ntk),
          stride_(size.state * lanes), slots_(2 * stage.slots * stride_), row_(3 * size.row * lanes), summed_(3 * size.summed * lanes),
          row_stride_(size.row * lanes), summed_stride_(size.summed * lanes), flagged_(static_cast<std::size_t>(size.row)) {
        for (auto& buffer : state_) buffer = AlignedBuffer<T>(2 * stride_);
    }

    // The sample and the lanes, by their tables and, of the first stage, features; and the lane where both are one sample.
    void set(const T* p, const T* q, const T* features_p, const T* features_q, Index self_lane) {
        p_ = p;
        q_ = q;
        features_p_ = features_p;
        features_q_ = features_q;
        self_lane_ = self_lane;
    }

    // False if it was stopped.
    template <class Stopped>
    bool run(const Plane& plane, const Sums& sums, const Stopped& stopped) {
        plane_ = plane;
        for (std::size_t i = 0; i < stage_.ops.size(); ++i) {
            if (stopped()) return false;
            const Op<T>& op = stage_.ops[i];
            if (op.window) {
                const bool with_next = i + 1 < stage_.ops.size() && is_plain(i + 1);
                through_window(i, with_next ? &stage_.ops[i + 1] : nullptr);
                i += with_next;
            } else if (op.code == OpCode::average) {
                begin(i, sums);
            } else if (op.code == OpCode::add || op.code == OpCode::multiply) {
                join(i);
            } else if (op.table_count > 0 || op.code == OpCode::dropout) {
                strip_by_strip(i, stopped);
            } else {
                op.apply(kernels_, nullptr, nullptr, 0, {gap(), ntk(), strips_of(plane, i + 1) * lanes_, slots_.data(), stride_, -1});
            }
        }
        return !stopped();
    }

    // K and Theta at the end.
    void covariances(double* k, double* theta) const {
        const std::size_t end = stage_.ops.size();
        const Pairs& x = plane_[2]->pairs(end);
        const T *const p = p_ + stage_.end * step(), *const q = q_ + stage_.end * lanes_;
        for_rows(end, [&](Index row, Index p_start, Index q_start) {
            const Index at = row * x.count() * lanes_;
            planes_.covariances[self_](strips(x), p + p_start * step(), q + q_start * lanes_, gap() + at, ntk() ? ntk() + at : nullptr, k + at,
                                       theta ? theta + at : nullptr);
        });
    }

private:
    T* gap() const { return const_cast<T*>(state_[current_].data()); }
    T* ntk() const { return with_ntk_ ? gap() + stride_ : nullptr; }
    Index step() const { return self_ ? lanes_ : 1; }
    Strips strips(const Pairs& x) const { return {x.count(), x.p.data(), x.q.data(), lanes_}; }
    const Pairs& pairs(std::size_t axis, std::size_t node) const { return plane_[axis]->pairs(node); }

    // body(row, first position of p, of q) for the rows of strips at a node.
    template <class Body>
    void for_rows(std::size_t node, const Body& body) const {
        const Pairs &z = pairs(0, node), &y = pairs(1, node);
        const Lengths& lengths = stage_.lengths[node];
        Index row = 0;
        for (std::size_t a = 0; a < z.p.size(); ++a)
            for (std::size_t b = 0; b < y.p.size(); ++b, ++row)
                body(row, (z.p[a] * lengths[1] + y.p[b]) * lengths[2], (z.q[a] * lengths[1] + y.q[b]) * lengths[2]);
    }

    // An op with tables, of a strip at positions p and q; its slot is `other` strips further.
    void apply(std::size_t i, Index strip, Index p, Index q, Index other) {
        const Op<T>& op = stage_.ops[i];
        const OpPlace& place = stage_.places[i];
        const Index first = strip * lanes_, stride = place.positions * lanes_;
        const T* const tables_q = q_ + (place.start + q) * lanes_;
        const bool same = op.code == OpCode::dropout && p == q;
        Strip<T> s{gap() + first, with_ntk_ ? ntk() + first : nullptr, lanes_, slots_.data() ? slots_.data() + other * lanes_ : nullptr, stride_,
                   same ? self_lane_ : -1};
        if (!self_) return op.apply(kernels_, p_ + place.start + p * place.tables, tables_q, stride, s);
        if (same) return; // every lane is a sample with itself
        // Every lane has tables of p of its own.
        own_.resize(static_cast<std::size_t>(place.tables));
        for (Index l = 0; l < lanes_; ++l) {
            for (Index t = 0; t < place.tables; ++t) own_[static_cast<std::size_t>(t)] = p_[(place.start + t * place.positions + p) * lanes_ + l];
            op.apply(kernels_, own_.data(), tables_q + l, stride, s.part(l, 1));
        }
    }

    template <class Stopped>
    void strip_by_strip(std::size_t i, const Stopped& stopped) {
        const Pairs& x = pairs(2, i);
        for_rows(i, [&](Index row, Index p_start, Index q_start) {
            if (stopped()) return;
            for (Index j = 0; j < x.count(); ++j) {
                if (stage_.ops[i].rule && stopped()) return;
                const auto k = static_cast<std::size_t>(j);
                apply(i, row * x.count() + j, p_start + x.p[k], q_start + x.q[k], 0);
            }
        });
    }

    // The place among the strips of a node of those found along each axis.
    Index place(std::size_t node, Index z, Index y, Index x) const { return (z * pairs(1, node).count() + y) * pairs(2, node).count() + x; }

    void join(std::size_t i) {
        const AxisPlane &z = *plane_[0], &y = *plane_[1], &x = *plane_[2];
        const Op<T>& op = stage_.ops[i];
        const Pairs &y_kept = slot_pairs(1, i), &x_kept = slot_pairs(2, i);
        const bool in_place = z.in_place[i] && y.in_place[i] && x.in_place[i];
        if (in_place && op.table_count == 0)
            return op.apply(kernels_, nullptr, nullptr, 0, {gap(), ntk(), strips_of(plane_, i) * lanes_, slots_.data(), stride_, -1});
        if (!in_place) {
            const T *const old_gap = gap(), *const old_ntk = ntk();
            current_ ^= 1;
            Index to = 0;
            for (const Index a : z.in_hand[i])
                for (const Index b : y.in_hand[i])
                    for (const Index c : x.in_hand[i]) {
                        const Index from = place(i, a, b, c) * lanes_;
                        std::copy_n(old_gap + from, lanes_, gap() + to);
                        if (ntk()) std::copy_n(old_ntk + from, lanes_, ntk() + to);
                        to += lanes_;
                    }
        }
        const Pairs& behind = pairs(2, i + 1);
        const std::size_t y_count = y.in_slot[i].size();
        for_rows(i + 1, [&](Index row, Index p_start, Index q_start) {
            const auto a = static_cast<std::size_t>(row) / y_count, b = static_cast<std::size_t>(row) % y_count;
            for (Index j = 0; j < behind.count(); ++j) {
                const auto k = static_cast<std::size_t>(j);
                const Index other = (z.in_slot[i][a] * y_kept.count() + y.in_slot[i][b]) * x_kept.count() + x.in_slot[i][k];
                apply(i, row * behind.count() + j, p_start + behind.p[k], q_start + behind.q[k], other);
            }
        });
    }

    // The pairs in the slot of a join: those that were in hand where it was kept.
    const Pairs& slot_pairs(std::size_t axis, std::size_t i) const {
        std::size_t kept = i;
        while (!(stage_.ops[kept].code == OpCode::save && stage_.ops[kept].slot == stage_.ops[i].slot)) --kept;
        return pairs(axis, kept);
    }

    void begin(std::size_t i, const Sums& sums) {
        const OpPlace& place = stage_.places[i];
        const Pairs &z = pairs(0, i), &y = pairs(1, i), &x = pairs(2, i);
        const Index positions = place.positions;
        const T *const p = p_ + place.start * step(), *const q = q_ + place.start * lanes_;
        const auto& weights = *sums.weights;
        const auto weight = [&](std::size_t axis, const Pairs& list, std::size_t j) {
            return weights[axis][static_cast<std::size_t>(list.p[j])] * weights[axis][static_cast<std::size_t>(list.q[j])];
        };
        std::vector<double> factors(x.p.size());
        for_rows(i, [&](Index row, Index p_start, Index q_start) {
            const auto a = static_cast<std::size_t>(row) / y.p.size(), b = static_cast<std::size_t>(row) % y.p.size();
            for (std::size_t j = 0; j < factors.size(); ++j) factors[j] = weight(0, z, a) * weight(1, y, b) * weight(2, x, j);
            const Index at = row * x.count() * lanes_;
            const T *const p_row = p + p_start * step(), *const q_row = q + q_start * lanes_;
            const Deviations<T> d{p_row, p_row + positions * step(), q_row, q_row + positions * lanes_, p_ + place.scale * step(), q_ + place.scale * lanes_};
            planes_.from_covariances[self_](strips(x), factors.data(), d, p_row + 2 * positions * step(), q_row + 2 * positions * lanes_,
                                            sums.k + at, sums.theta ? sums.theta + at : nullptr, gap() + at, ntk() ? ntk() + at : nullptr);
        });
    }

    // The fields of a window, or nullptr where they are not wanted.
    struct Fields {
        T *near, *far, *theta;
    };

    // Reads rows of strips as they are needed, puts together what is behind, and takes it through the op that comes next:
    // what was read last is still in the cache.
    void through_window(std::size_t i, const Op<T>* next) {
        const AxisPlane &z = *plane_[0], &y = *plane_[1];
        const Op<T>& op = stage_.ops[i];
        const Window& window = op.window->window;
        const OpPlace& place = stage_.places[i];
        const Pairs& x = pairs(2, i + 1);
        const bool is_input = features_p_ && i == 0, with_far = !op.nonnegative, with_theta = with_ntk_ && !is_input;
        const Fields row{row_.data(), with_far ? row_.data() + row_stride_ : nullptr, with_theta ? row_.data() + 2 * row_stride_ : nullptr};
        const Fields summed{summed_.data(), row.far ? summed_.data() + summed_stride_ : nullptr, row.theta ? summed_.data() + 2 * summed_stride_ : nullptr};
        const Index length = x.count() * lanes_, y_read = y.reading(i).pairs.count(), y_behind = pairs(1, i + 1).count(), behind = place.positions_behind;
        const T *const old_gap = gap(), *const p = p_ + place.behind * step(), *const q = q_ + place.behind * lanes_;
        T* const new_gap = state_[current_ ^ 1].data();
        const Index outer_taps = window[0].taps * window[1].taps;
        rows_read_.resize(static_cast<std::size_t>(outer_taps));
        Index read = 0;
        for_rows(i + 1, [&](Index to, Index p_start, Index q_start) {
            const Index* const z_taps = z.reading(i).taps.data() + to / y_behind * window[0].taps;
            const Index* const y_taps = y.reading(i).taps.data() + to % y_behind * window[1].taps;
            for (Index a = 0; a < window[0].taps; ++a)
                for (Index b = 0; b < window[1].taps; ++b) {
                    const Index from = z_taps[a] < 0 || y_taps[b] < 0 ? -1 : z_taps[a] * y_read + y_taps[b];
                    rows_read_[static_cast<std::size_t>(a * window[1].taps + b)] = from;
                    // Halves are the last ones, and may be needed first.
                    for (; read <= from; ++read) read_row(i, read / y_read, read % y_read, is_input, row, summed);
                }
            const auto sum = [&](T* target, const T* source) {
                constexpr Index one = 1;
                if (target) planes_.sum(source, rows_read_.data(), &one, 1, outer_taps, length, target);
            };
            sum(row.near, summed.near);
            sum(row.far, summed.far);
            sum(row.theta, summed.theta);
            const Index at = to * length;
            const T *const p_row = p + p_start * step(), *const q_row = q + q_start * lanes_;
            const Deviations<T> d{p_row, p_row + behind * step(), q_row, q_row + behind * lanes_, p_ + place.scale * step(), q_ + place.scale * lanes_};
            T *const gap_row = new_gap + at, *const ntk_row = with_ntk_ ? gap_row + stride_ : nullptr;
            const Index flagged = planes_.close[self_](strips(x), op.window->form, d, row.near, row.far, row.theta, gap_row, ntk_row, flagged_.data());
            for (Index f = 0; f < flagged; ++f) {
                const Index j = flagged_[static_cast<std::size_t>(f)];
                const auto k = static_cast<std::size_t>(j);
                find_taps(i, is_input, old_gap, z_taps, y_taps, j);
                const Deviations<T> one{d.p + x.p[k] * step(), d.inverse_p + x.p[k] * step(), d.q + x.q[k] * lanes_, d.inverse_q + x.q[k] * lanes_, d.scale_p, d.scale_q};
                T *const gap_here = gap_row + j * lanes_, *const ntk_here = ntk_row ? ntk_row + j * lanes_ : nullptr;
                const auto count = static_cast<Index>(taps_.size());
                if (is_input) planes_.direct_input[self_](taps_.data(), count, channels_, lanes_, op.window->form, one, gap_here, ntk_here);
                else planes_.direct[self_](taps_.data(), count, lanes_, !with_far, op.window->form, one, gap_here, ntk_here);
            }
            if (next) next->apply(kernels_, nullptr, nullptr, 0, {gap_row, ntk_row, length, slots_.data(), stride_, -1});
        });
        current_ ^= 1;
    }

    // An op of every pair by itself, without tables.
    bool is_plain(std::size_t i) const {
        const Op<T>& op = stage_.ops[i];
        return stage_.steps[i].step == Step::pointwise && !op.rule && op.table_count == 0 && op.code != OpCode::dropout;
    }

    // near, far and Theta of one row of strips that a window reads, and their sums over the taps along it.
    void read_row(std::size_t i, Index a, Index b, bool is_input, const Fields& row, const Fields& summed) {
        const AxisPlane &z = *plane_[0], &y = *plane_[1], &x = *plane_[2];
        const OpPlace& place_of_op = stage_.places[i];
        const Lengths& lengths = stage_.lengths[i];
        const Pairs &z_read = z.reading(i).pairs, &y_read = y.reading(i).pairs, &x_read = x.reading(i).pairs, &x_full = x.pairs(i);
        const Index width = x.pairs(i + 1).count(), tap_count = stage_.ops[i].window->window[2].taps;
        const T *const deviation_p = p_ + place_of_op.start * step(), *const deviation_q = q_ + place_of_op.start * lanes_;
        const auto zi = static_cast<std::size_t>(a), yi = static_cast<std::size_t>(b);
        const bool p_in = z_read.p[zi] >= 0 && y_read.p[yi] >= 0, q_in = z_read.q[zi] >= 0 && y_read.q[yi] >= 0, full = p_in && q_in;
        const Index p_start = (z_read.p[zi] * lengths[1] + y_read.p[yi]) * lengths[2], q_start = (z_read.q[zi] * lengths[1] + y_read.q[yi]) * lengths[2];
        if (full && is_input) {
            planes_.input[self_](strips(x_full), channels_, features_p_ + p_start * channels_ * step(), features_q_ + q_start * channels_ * lanes_, row.near, row.far);
        } else if (full) {
            const Index at = place(i, a, b, 0) * lanes_;
            planes_.open[self_](strips(x_full), deviation_p + p_start * step(), deviation_q + q_start * lanes_, gap() + at, ntk() ? ntk() + at : nullptr, row.near, row.far, row.theta);
        }
        for (Index c = full ? x_full.count() : 0; c < x_read.count(); ++c) {
            const auto xi = static_cast<std::size_t>(c);
            const bool p_here = p_in && x_read.p[xi] >= 0, q_here = q_in && x_read.q[xi] >= 0;
            constexpr T nothing = 0;
            const T* const s = p_here ? deviation_p + (p_start + x_read.p[xi]) * step() : q_here ? deviation_q + (q_start + x_read.q[xi]) * lanes_ : &nothing;
            planes_.half(s, p_here ? !self_ : !q_here, lanes_, row.near + c * lanes_, row.far ? row.far + c * lanes_ : nullptr);
            if (row.theta) std::fill_n(row.theta + c * lanes_, lanes_, T(0));
        }
        const Index start = (a * y_read.count() + b) * width * lanes_;
        const auto sum = [&](const T* source, T* target) {
            if (source) planes_.sum(source, x.reading(i).taps.data(), x.reading(i).runs.data(), width, tap_count, lanes_, target + start);
        };
        sum(row.near, summed.near);
        sum(row.far, summed.far);
        sum(row.theta, summed.theta);
    }

    // All taps of a strip behind a window.
    void find_taps(std::size_t i, bool is_input, const T* old_gap, const Index* z_taps, const Index* y_taps, Index strip) {
        const AxisPlane &z = *plane_[0], &y = *plane_[1], &x = *plane_[2];
        const Window& window = stage_.ops[i].window->window;
        const OpPlace& at = stage_.places[i];
        const Lengths& lengths = stage_.lengths[i];
        const Index* const x_taps = x.reading(i).taps.data() + strip * window[2].taps;
        taps_.clear();
        for (Index a = 0; a < window[0].taps; ++a)
            for (Index b = 0; b < window[1].taps; ++b)
                for (Index c = 0; c < window[2].taps; ++c) {
                    if (z_taps[a] < 0 || y_taps[b] < 0 || x_taps[c] < 0) continue;
                    const auto zi = static_cast<std::size_t>(z_taps[a]), yi = static_cast<std::size_t>(y_taps[b]), xi = static_cast<std::size_t>(x_taps[c]);
                    const auto position = [&](const std::vector<Index>& zs, const std::vector<Index>& ys, const std::vector<Index>& xs) {
                        return zs[zi] < 0 || ys[yi] < 0 || xs[xi] < 0 ? -1 : (zs[zi] * lengths[1] + ys[yi]) * lengths[2] + xs[xi];
                    };
                    const Index p = position(z.reading(i).pairs.p, y.reading(i).pairs.p, x.reading(i).pairs.p), q = position(z.reading(i).pairs.q, y.reading(i).pairs.q, x.reading(i).pairs.q);
                    Tap<T> tap{nullptr, nullptr, nullptr};
                    if (is_input) {
                        if (p >= 0) tap.p = features_p_ + p * channels_ * step();
                        if (q >= 0) tap.q = features_q_ + q * channels_ * lanes_;
                    } else {
                        if (p >= 0) tap.p = p_ + (at.start + p) * step();
                        if (q >= 0) tap.q = q_ + (at.start + q) * lanes_;
                        if (p >= 0 && q >= 0) tap.gap = old_gap + place(i, z_taps[a], y_taps[b], x_taps[c]) * lanes_;
                    }
                    taps_.push_back(tap);
                }
    }

    const Stage<T>& stage_;
    const Kernels<T>& kernels_;
    const PlaneKernels<T>& planes_;
    Index channels_, lanes_;
    bool self_, with_ntk_;
    Index stride_;
    AlignedBuffer<T> state_[2], slots_, row_, summed_;
    Index row_stride_, summed_stride_;
    std::size_t current_ = 0;
    std::vector<Index> flagged_, rows_read_;
    std::vector<Tap<T>> taps_;
    std::vector<T> own_;
    Plane plane_{};
    const T *p_ = nullptr, *q_ = nullptr, *features_p_ = nullptr, *features_q_ = nullptr;
    Index self_lane_ = -1;
};

} // namespace fastntk
