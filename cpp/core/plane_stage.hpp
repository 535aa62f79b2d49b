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

// Short rows go through a window together, about so many strips: what was read last is still in the first-level cache.
constexpr Index strips_at_once = 32;

inline Index rows_at_once(Index strips_a_row) {
    return std::max<Index>(1, strips_at_once / std::max<Index>(1, strips_a_row));
}

// What planes take at most, in strips.
struct PlaneSize {
    Index state = 0, row = strips_at_once, summed = 0;

    void cover(const Plane& plane, std::size_t ops) {
        for (std::size_t i = 0; i <= ops; ++i) {
            state = std::max(state, strips_of(plane, i));
            if (i == ops || !plane[0]->is_window(i)) continue; // of windows alone, also of those that read nothing
            row = std::max({row, plane[2]->reading(i).pairs.count(), plane[2]->pairs(i + 1).count()});
            summed = std::max(summed, plane[0]->reading(i).pairs.count() * plane[1]->reading(i).pairs.count() *
                                          plane[2]->pairs(i + 1).count());
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
    StageRunner(const Stage<T>& stage, const Kernels<T>& kernels, const PlaneSize& size, Index channels, Index lanes,
                bool self, bool with_ntk)
        : stage_(stage), kernels_(kernels), planes_(kernels.planes), channels_(channels), lanes_(lanes), self_(self),
          with_ntk_(with_ntk), stride_(size.state * lanes), slots_(2 * stage.slots * stride_),
          read_(3 * size.row * lanes), summed_(3 * size.summed * lanes), read_stride_(size.row * lanes),
          summed_stride_(size.summed * lanes), flagged_(static_cast<std::size_t>(size.row)) {
        for (auto& buffer : state_) buffer = AlignedBuffer<T>(2 * stride_);
    }

    // The sample, or of each pair its first one, and the lanes, by their tables and, of the first stage, features; and
    // the lane where both are one sample.
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
                op.apply(kernels_, nullptr, nullptr, 0,
                         {gap(), ntk(), strips_of(plane, i + 1) * lanes_, slots_.data(), stride_, -1});
            }
        }
        return !stopped();
    }

    // K and Theta at the end.
    void covariances(double* k, double* theta) {
        planes_.covariances[self_](strips(stage_.ops.size()), p_ + stage_.end * step(), q_ + stage_.end * lanes_, gap(),
                                   ntk(), k, theta);
    }

private:
    T* gap() const { return const_cast<T*>(state_[current_].data()); }
    T* ntk() const { return with_ntk_ ? gap() + stride_ : nullptr; }
    Index step() const { return self_ ? lanes_ : 1; }
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

    // All strips at a node; where their rows start is kept until it is called again.
    Strips strips(std::size_t node) {
        rows_p_.clear();
        rows_q_.clear();
        for_rows(node, [&](Index, Index p_start, Index q_start) {
            rows_p_.push_back(p_start);
            rows_q_.push_back(q_start);
        });
        const Pairs& x = pairs(2, node);
        return {static_cast<Index>(rows_p_.size()),
                rows_p_.data(),
                rows_q_.data(),
                x.count(),
                x.p.data(),
                x.q.data(),
                lanes_};
    }

    // An op with tables, of a strip at positions p and q; its slot is `other` strips further.
    void apply(std::size_t i, Index strip, Index p, Index q, Index other) {
        const Op<T>& op = stage_.ops[i];
        const OpPlace& place = stage_.places[i];
        const Index first = strip * lanes_, stride = place.positions * lanes_;
        const T* const tables_q = q_ + (place.start + q) * lanes_;
        const bool same = op.code == OpCode::dropout && p == q;
        const Strip<T> s{gap() + first, with_ntk_ ? ntk() + first : nullptr,
                         lanes_,        slots_.data() ? slots_.data() + other * lanes_ : nullptr,
                         stride_,       same ? self_lane_ : -1};
        op.apply(kernels_, p_ + place.start + p * place.tables, tables_q, stride, s);
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
    Index place(std::size_t node, Index z, Index y, Index x) const {
        return (z * pairs(1, node).count() + y) * pairs(2, node).count() + x;
    }

    void join(std::size_t i) {
        const AxisPlane &z = *plane_[0], &y = *plane_[1], &x = *plane_[2];
        const Op<T>& op = stage_.ops[i];
        const Pairs &y_kept = slot_pairs(1, i), &x_kept = slot_pairs(2, i);
        const bool in_place = z.in_place[i] && y.in_place[i] && x.in_place[i];
        if (in_place && op.table_count == 0)
            return op.apply(kernels_, nullptr, nullptr, 0,
                            {gap(), ntk(), strips_of(plane_, i) * lanes_, slots_.data(), stride_, -1});
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
                const Index other =
                    (z.in_slot[i][a] * y_kept.count() + y.in_slot[i][b]) * x_kept.count() + x.in_slot[i][k];
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
            return weights[axis][static_cast<std::size_t>(list.p[j])] *
                   weights[axis][static_cast<std::size_t>(list.q[j])];
        };
        of_rows_.clear();
        for (std::size_t a = 0; a < z.p.size(); ++a)
            for (std::size_t b = 0; b < y.p.size(); ++b) of_rows_.push_back(weight(0, z, a) * weight(1, y, b));
        of_strips_.clear();
        for (std::size_t j = 0; j < x.p.size(); ++j) of_strips_.push_back(weight(2, x, j));
        const Deviations<T> d{
            p, p + positions * step(), q, q + positions * lanes_, p_ + place.scale * step(), q_ + place.scale * lanes_};
        planes_.from_covariances[self_](strips(i), stage_.ops[i].nonnegative, of_rows_.data(), of_strips_.data(), d,
                                        p + 2 * positions * step(), q + 2 * positions * lanes_, sums.k, sums.theta,
                                        gap(), ntk());
    }

    // Reads rows of strips as they are needed, puts together what is behind, and takes it through the op that comes
    // next.
    void through_window(std::size_t i, const Op<T>* next) {
        const Op<T>& op = stage_.ops[i];
        const OpPlace& place = stage_.places[i];
        const Reading &z = plane_[0]->reading(i), &y = plane_[1]->reading(i), &x = plane_[2]->reading(i);
        const Window& window = op.window->window;
        const bool is_input = features_p_ && i == 0, with_far = !op.nonnegative, with_theta = with_ntk_ && !is_input;
        const auto fields = [&](AlignedBuffer<T>& buffer, Index stride, Index strips_a_row) {
            T* const data = buffer.data();
            return Fields<T>{data, with_far ? data + stride : nullptr, with_theta ? data + 2 * stride : nullptr,
                             strips_a_row * lanes_};
        };
        const Strips all = strips(i + 1);
        const Index length = all.count * lanes_, behind = place.positions_behind, y_read = y.pairs.count(),
                    y_behind = pairs(1, i + 1).count();
        const Fields<T> read = fields(read_, read_stride_, x.pairs.count()),
                        summed = fields(summed_, summed_stride_, all.count);
        const T *const old_gap = gap(), *const p = p_ + place.behind * step(), *const q = q_ + place.behind * lanes_;
        const Deviations<T> d{
            p, p + behind * step(), q, q + behind * lanes_, p_ + place.scale * step(), q_ + place.scale * lanes_};
        T* const new_gap = state_[current_ ^ 1].data();
        const Index most_taps = window[0].taps * window[1].taps, at_once = rows_at_once(all.count);
        is_read_.assign(static_cast<std::size_t>(z.pairs.count() * y_read), false);
        tap_rows_.resize(static_cast<std::size_t>(at_once * most_taps));
        tap_counts_.resize(static_cast<std::size_t>(at_once));
        for (Index first = 0; first < all.rows; first += at_once) {
            const Index rows = std::min(at_once, all.rows - first);
            const auto taps_of = [&](Index row) {
                return std::pair(z.taps.data() + (first + row) / y_behind * window[0].taps,
                                 y.taps.data() + (first + row) % y_behind * window[1].taps);
            };
            for (Index row = 0; row < rows; ++row) {
                const auto [z_taps, y_taps] = taps_of(row);
                Index count = 0;
                for (Index a = 0; a < window[0].taps; ++a)
                    for (Index b = 0; b < window[1].taps; ++b) {
                        if (z_taps[a] < 0 || y_taps[b] < 0) continue;
                        const auto z_at = static_cast<std::size_t>(z_taps[a]),
                                   y_at = static_cast<std::size_t>(y_taps[b]);
                        // Outside along one axis is p, and along the other q.
                        if ((z.pairs.p[z_at] < 0 || y.pairs.p[y_at] < 0) &&
                            (z.pairs.q[z_at] < 0 || y.pairs.q[y_at] < 0))
                            continue;
                        const Index from = z_taps[a] * y_read + y_taps[b];
                        if (!is_read_[static_cast<std::size_t>(from)])
                            read_rows(i, z_taps[a], y_taps[b], is_input, read, summed);
                        tap_rows_[static_cast<std::size_t>(row * most_taps + count++)] = from * summed.pitch;
                    }
                tap_counts_[static_cast<std::size_t>(row)] = count;
            }
            T *const gap_rows = new_gap + first * length, *const ntk_rows = with_ntk_ ? gap_rows + stride_ : nullptr;
            const Strips here{rows, all.row_p + first, all.row_q + first, all.count, all.p, all.q, lanes_};
            const Index flagged =
                planes_.close[self_](here, op.window->form, d, summed, tap_rows_.data(), tap_counts_.data(), most_taps,
                                     gap_rows, ntk_rows, flagged_.data());
            for (Index f = 0, found = -1; f < flagged; ++f) {
                const Index strip = flagged_[static_cast<std::size_t>(f)], row = strip / all.count,
                            j = strip % all.count;
                if (row != found) {
                    const auto [z_taps, y_taps] = taps_of(row);
                    find_rows(i, z_taps, y_taps);
                    found = row;
                }
                find_taps(i, is_input, old_gap, j);
                const Index at_p = (here.row_p[row] + all.p[j]) * step(), at_q = (here.row_q[row] + all.q[j]) * lanes_;
                const Deviations<T> one{d.p + at_p,         d.inverse_p + at_p, d.q + at_q,
                                        d.inverse_q + at_q, d.scale_p,          d.scale_q};
                T *const gap_here = gap_rows + strip * lanes_, *const ntk_here =
                                                                   ntk_rows ? ntk_rows + strip * lanes_ : nullptr;
                const auto count = static_cast<Index>(taps_.size());
                if (is_input)
                    planes_.direct_input(taps_.data(), count, channels_, self_, lanes_, op.window->form, one, gap_here,
                                         ntk_here);
                else
                    planes_.direct(taps_.data(), count, self_, lanes_, !with_far, op.window->form, one, gap_here,
                                   ntk_here);
            }
            if (next)
                next->apply(kernels_, nullptr, nullptr, 0,
                            {gap_rows, ntk_rows, rows * length, slots_.data(), stride_, -1});
        }
        current_ ^= 1;
    }

    // An op of every pair by itself, without tables.
    bool is_plain(std::size_t i) const {
        const Op<T>& op = stage_.ops[i];
        return stage_.steps[i].step == Step::pointwise && !op.rule && op.table_count == 0 && op.code != OpCode::dropout;
    }

    // near, far and Theta of rows of strips that a window reads, that one and some after it, and their sums over the
    // taps along them.
    void read_rows(std::size_t i, Index a, Index b, bool is_input, const Fields<T>& read, const Fields<T>& summed) {
        const Pairs &z = plane_[0]->reading(i).pairs, &y = plane_[1]->reading(i).pairs,
                    &x = plane_[2]->reading(i).pairs, &inside = pairs(2, i);
        const auto first = static_cast<std::size_t>(a * y.count() + b);
        const OpPlace& place_of_op = stage_.places[i];
        const Lengths& lengths = stage_.lengths[i];
        const T *const deviation_p = p_ + place_of_op.start * step(), *const deviation_q =
                                                                          q_ + place_of_op.start * lanes_;
        const auto start = [&](const std::vector<Index>& zs, const std::vector<Index>& ys, Index row) {
            const Index z_at = zs[static_cast<std::size_t>(a)], y_at = ys[static_cast<std::size_t>(row)];
            return z_at < 0 || y_at < 0 ? -1 : (z_at * lengths[1] + y_at) * lengths[2];
        };
        Index rows = 0;
        const Index most = rows_at_once(x.count()), rows_inside = a < pairs(0, i).count() ? pairs(1, i).count() : 0;
        starts_p_.clear();
        starts_q_.clear();
        do { // of rows of which one position is outside each by itself
            starts_p_.push_back(start(z.p, y.p, b + rows));
            starts_q_.push_back(start(z.q, y.q, b + rows));
            is_read_[first + static_cast<std::size_t>(rows)] = true;
            ++rows;
        } while (rows < most && b + rows < rows_inside && !is_read_[first + static_cast<std::size_t>(rows)]);
        // Of strips c to d those of which one position is outside.
        const auto half = [&](bool of_p, Index c, Index d) {
            const Index at = c * lanes_;
            const Fields<T> out{read.near + at, read.far ? read.far + at : nullptr,
                                read.theta ? read.theta + at : nullptr, read.pitch};
            if (of_p) planes_.half(deviation_p, !self_, rows, starts_p_.data(), d - c, x.p.data() + c, lanes_, out);
            else planes_.half(deviation_q, false, rows, starts_q_.data(), d - c, x.q.data() + c, lanes_, out);
        };
        if (b < rows_inside) {
            const Strips here{
                rows, starts_p_.data(), starts_q_.data(), inside.count(), inside.p.data(), inside.q.data(), lanes_};
            const Index at = place(i, a, b, 0) * lanes_;
            if (is_input) planes_.input[self_](here, channels_, features_p_, features_q_, read);
            else planes_.open[self_](here, deviation_p, deviation_q, gap() + at, ntk() ? ntk() + at : nullptr, read);
            for (Index c = inside.count(); c < x.count(); ++c) half(x.p[static_cast<std::size_t>(c)] >= 0, c, c + 1);
        } else {
            half(starts_p_[0] >= 0, 0, x.count());
        }
        const Reading& along = plane_[2]->reading(i);
        const Taps taps{along.taps.data(), along.runs.data(), pairs(2, i + 1).count(),
                        stage_.ops[i].window->window[2].taps};
        const Index to = static_cast<Index>(first) * summed.pitch;
        planes_.sum(taps, rows, lanes_, read,
                    {summed.near + to, summed.far ? summed.far + to : nullptr,
                     summed.theta ? summed.theta + to : nullptr, summed.pitch});
    }

    // Of the taps of a row of strips behind a window: where the rows that they read start, -1 outside.
    void find_rows(std::size_t i, const Index* z_taps, const Index* y_taps) {
        const Pairs &z = plane_[0]->reading(i).pairs, &y = plane_[1]->reading(i).pairs;
        const Window& window = stage_.ops[i].window->window;
        const Lengths& lengths = stage_.lengths[i];
        rows_of_taps_.clear();
        for (Index a = 0; a < window[0].taps; ++a)
            for (Index b = 0; b < window[1].taps; ++b) {
                if (z_taps[a] < 0 || y_taps[b] < 0) continue;
                const auto start = [&](const std::vector<Index>& zs, const std::vector<Index>& ys) {
                    const Index z_at = zs[static_cast<std::size_t>(z_taps[a])], y_at = ys[static_cast<std::size_t>(y_taps[b])];
                    return z_at < 0 || y_at < 0 ? -1 : (z_at * lengths[1] + y_at) * lengths[2];
                };
                const RowOfTap row{start(z.p, y.p), start(z.q, y.q), -1};
                rows_of_taps_.push_back(row);
                if (row.p >= 0 && row.q >= 0) rows_of_taps_.back().pairs = place(i, z_taps[a], y_taps[b], 0);
            }
    }

    // All taps of a strip in the row of `find_rows`.
    void find_taps(std::size_t i, bool is_input, const T* old_gap, Index strip) {
        const Reading& x = plane_[2]->reading(i);
        const Index start = stage_.places[i].start, tap_count = stage_.ops[i].window->window[2].taps;
        const T *const of_p = is_input ? features_p_ : p_ + start * step(),
                *const of_q = is_input ? features_q_ : q_ + start * lanes_;
        const Index step_p = (is_input ? channels_ : 1) * step(), step_q = (is_input ? channels_ : 1) * lanes_;
        taps_.clear();
        for (const RowOfTap& row : rows_of_taps_)
            for (const Index* tap = x.taps.data() + strip * tap_count; tap != x.taps.data() + (strip + 1) * tap_count; ++tap) {
                if (*tap < 0) continue;
                const auto at = static_cast<std::size_t>(*tap);
                const bool has_p = row.p >= 0 && x.pairs.p[at] >= 0, has_q = row.q >= 0 && x.pairs.q[at] >= 0;
                taps_.push_back({has_p ? of_p + (row.p + x.pairs.p[at]) * step_p : nullptr,
                                 has_q ? of_q + (row.q + x.pairs.q[at]) * step_q : nullptr,
                                 has_p && has_q && !is_input ? old_gap + (row.pairs + *tap) * lanes_ : nullptr});
            }
    }

    // Rows of positions that a tap reads, and their first pair among those in hand.
    struct RowOfTap {
        Index p, q, pairs;
    };

    const Stage<T>& stage_;
    const Kernels<T>& kernels_;
    const PlaneKernels<T>& planes_;
    Index channels_, lanes_;
    bool self_, with_ntk_;
    Index stride_;
    AlignedBuffer<T> state_[2], slots_, read_, summed_;
    Index read_stride_, summed_stride_;
    std::size_t current_ = 0;
    std::vector<Index> flagged_, rows_p_, rows_q_, starts_p_, starts_q_, tap_rows_, tap_counts_;
    std::vector<char> is_read_;
    std::vector<double> of_rows_, of_strips_;
    std::vector<RowOfTap> rows_of_taps_;
    std::vector<Tap<T>> taps_;
    Plane plane_{};
    const T *p_ = nullptr, *q_ = nullptr, *features_p_ = nullptr, *features_q_ = nullptr;
    Index self_lane_ = -1;
};

} // namespace fastntk
