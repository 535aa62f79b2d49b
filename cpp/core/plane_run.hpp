// One sample and some others in the lanes, through all planes of a network.
#pragma once

#include "planes.hpp"

namespace fastntk {

template <class T>
const Kernels<T>& plane_kernels_of(const KernelSet& set) {
    if constexpr (sizeof(T) == sizeof(float)) return set.f32;
    else return set.f64;
}

// body(index of a plane along each axis) for all of them, in their order.
template <class Body>
bool for_planes(const StagePlanes& planes, const Body& body) {
    for (std::size_t a = 0; a < planes.axes[0].size(); ++a)
        for (std::size_t b = 0; b < planes.axes[1].size(); ++b)
            for (std::size_t c = 0; c < planes.axes[2].size(); ++c)
                if (!body(std::array{a, b, c})) return false;
    return true;
}

inline Plane plane_at(const StagePlanes& planes, const std::array<std::size_t, most_axes>& at) {
    return {&planes.axes[0][at[0]], &planes.axes[1][at[1]], &planes.axes[2][at[2]]};
}

// What one thread needs for it.
template <class T>
class PlaneRun {
public:
    PlaneRun(const PlaneNetwork<T>& network, const KernelSet& set, Index lanes, bool self, bool with_ntk)
        : network_(network), wide_(set.f64.planes), lanes_(lanes), with_ntk_(with_ntk),
          first_(network.first, plane_kernels_of<T>(set), network.planes[0].size, network.channels, lanes, self,
                 with_ntk) {
        later_.reserve(network.later.size());
        for (std::size_t i = 0; i < network.later.size(); ++i)
            later_.emplace_back(network.later[i], set.f64, network.planes[i + 1].size, 0, lanes, self, with_ntk);
        for (const StagePlanes& planes : network.planes) {
            averages_.emplace_back();
            Average& average = averages_.back();
            average.stride = planes.size.state * lanes;
            average.incoming = AlignedBuffer<double>(2 * average.stride);
            average.sums = AlignedBuffer<double>(2 * planes.sums * lanes);
            average.behind_stride = planes.most_behind * lanes;
            average.open.resize(planes.behind[0].size() * planes.behind[1].size() * planes.behind[2].size());
        }
    }

    // Row `item` of x and the lanes of y from `first` on.
    void set(const PlaneSide<T>& x, Index item, const PlaneSide<T>& y, Index first, Index self_lane) {
        first_.set(x.first.row(item), y.first.block(first), x.features.row(item), y.features.block(first), self_lane);
        for (std::size_t i = 0; i < later_.size(); ++i)
            later_[i].set(x.later[i].row(item), y.later[i].block(first), nullptr, nullptr, self_lane);
    }

    // The samples of a block, each with itself.
    void set_selves(const PlaneSide<T>& x, Index first) {
        first_.set(x.first.block(first), x.first.block(first), x.features.block(first), x.features.block(first), -1);
        for (std::size_t i = 0; i < later_.size(); ++i)
            later_[i].set(x.later[i].block(first), x.later[i].block(first), nullptr, nullptr, -1);
    }

    // Pairs of samples, one in each lane.
    void set_pairs(const LanesOfBoth<T>& first, const LanesOfBoth<T>& features,
                   const std::vector<LanesOfBoth<double>>& later) {
        first_.set(first.p.data(), first.q.data(), features.p.data(), features.q.data(), -1);
        for (std::size_t i = 0; i < later_.size(); ++i)
            later_[i].set(later[i].p.data(), later[i].q.data(), nullptr, nullptr, -1);
    }

    // False if it was stopped.
    template <class Stopped>
    bool run(const Stopped& stopped) {
        for (std::size_t s = 0; s < averages_.size(); ++s) // of one that was stopped
            for (Open& open : averages_[s].open) {
                if (open.buffer.data()) averages_[s].free.push_back(std::move(open.buffer));
                open = {};
            }
        // Planes of which all that they read is outside.
        for (std::size_t s = 0; s < network_.pools.size(); ++s) {
            const StagePlanes& before = network_.planes[s];
            for (std::size_t a = 0; a < before.expected[0].size(); ++a)
                for (std::size_t b = 0; b < before.expected[1].size(); ++b)
                    for (std::size_t c = 0; c < before.expected[2].size(); ++c)
                        if (expected(before, {a, b, c}) == 0 && !complete(s, {a, b, c}, opened(s, {a, b, c}), stopped))
                            return false;
        }
        return for_planes(network_.planes[0], [&](const auto& at) {
            if (!first_.run(plane_at(network_.planes[0], at), {}, stopped)) return false;
            return go_on(0, at, stopped);
        });
    }

    // Of every position at the end, [position][lane].
    const double* k() const { return ends_.data() ? ends_.data() : averages_.back().incoming.data(); }
    const double* theta() const {
        return ends_.data() ? ends_.data() + averages_.back().behind_stride
                            : averages_.back().incoming.data() + averages_.back().stride;
    }

private:
    struct Open {
        AlignedBuffer<double> buffer;
        Index come = 0;
    };
    // What is on its way through an average.
    struct Average {
        AlignedBuffer<double> incoming, sums;
        Index stride = 0, behind_stride = 0;
        std::vector<Open> open;
        std::vector<AlignedBuffer<double>> free;
    };
    using At = std::array<std::size_t, most_axes>;

    static Index expected(const StagePlanes& planes, const At& at) {
        return planes.expected[0][at[0]] * planes.expected[1][at[1]] * planes.expected[2][at[2]];
    }

    // From the end of a stage into the average behind it, if there is one, and on through the planes that are complete.
    template <class Stopped>
    bool go_on(std::size_t s, const At& at, const Stopped& stopped) {
        Average& average = averages_[s];
        double *const k = average.incoming.data(), *const theta = with_ntk_ ? k + average.stride : nullptr;
        if (s == 0) first_.covariances(k, theta);
        else later_[s - 1].covariances(k, theta);
        if (s >= network_.pools.size()) return true; // the end
        const StagePlanes& planes = network_.planes[s];
        const Plane plane = plane_at(planes, at);
        const std::size_t end = plane[0]->steps();
        const Index rows = plane[0]->pairs(end).count() * plane[1]->pairs(end).count(),
                    y_rows = plane[1]->pairs(end).count();
        const Index length = plane[2]->pairs(end).count() * lanes_;
        for (const AxisLink& x : planes.links[2][at[2]]) {
            const Index width = planes.behind[2][x.target].count(), row = width * lanes_;
            double *const sums = average.sums.data(), *const theta_sums = sums + planes.sums * lanes_;
            const Taps taps{x.taps.data(), nullptr, width, x.tap_count};
            wide_.sum_wide(taps, rows, lanes_, k, length, sums, row, false);
            if (theta) wide_.sum_wide(taps, rows, lanes_, theta, length, theta_sums, row, false);
            for (const AxisLink& z : planes.links[0][at[0]])
                for (const AxisLink& y : planes.links[1][at[1]]) {
                    const At target{z.target, y.target, x.target};
                    Open& open = opened(s, target);
                    add(z, y, y_rows, row, sums, open.buffer.data(), planes.behind[0][z.target].count(),
                        planes.behind[1][y.target].count());
                    if (theta)
                        add(z, y, y_rows, row, theta_sums, open.buffer.data() + average.behind_stride,
                            planes.behind[0][z.target].count(), planes.behind[1][y.target].count());
                    if (++open.come == expected(planes, target) && !complete(s, target, open, stopped)) return false;
                }
        }
        return true;
    }

    void add(const AxisLink& z, const AxisLink& y, Index y_rows, Index row, const double* sums, double* target,
             Index z_count, Index y_count) {
        taps_.resize(static_cast<std::size_t>(z.tap_count * y.tap_count));
        for (Index a = 0; a < z_count; ++a)
            for (Index b = 0; b < y_count; ++b) {
                for (Index i = 0; i < z.tap_count; ++i)
                    for (Index j = 0; j < y.tap_count; ++j) {
                        const Index z_row = z.taps[static_cast<std::size_t>(a * z.tap_count + i)],
                                    y_row = y.taps[static_cast<std::size_t>(b * y.tap_count + j)];
                        taps_[static_cast<std::size_t>(i * y.tap_count + j)] =
                            z_row < 0 || y_row < 0 ? -1 : z_row * y_rows + y_row;
                    }
                wide_.sum_wide({taps_.data(), nullptr, 1, z.tap_count * y.tap_count}, 1, row, sums, row,
                               target + (a * y_count + b) * row, row, true);
            }
    }

    Open& opened(std::size_t s, const At& target) {
        const StagePlanes& planes = network_.planes[s];
        Average& average = averages_[s];
        Open& open =
            average.open[(target[0] * planes.behind[1].size() + target[1]) * planes.behind[2].size() + target[2]];
        if (!open.buffer.data()) {
            if (average.free.empty()) average.free.emplace_back(2 * average.behind_stride);
            open.buffer = std::move(average.free.back());
            average.free.pop_back();
            std::fill_n(open.buffer.data(), 2 * average.behind_stride, 0.0);
        }
        return open;
    }

    template <class Stopped>
    bool complete(std::size_t s, const At& target, Open& open, const Stopped& stopped) {
        Average& average = averages_[s];
        if (s + 1 == network_.stage_count()) { // it ends in this average
            ends_ = std::move(open.buffer);
            weigh(s);
            return true;
        }
        const double* const theta = with_ntk_ ? open.buffer.data() + average.behind_stride : nullptr;
        const bool done = later_[s].run(plane_at(network_.planes[s + 1], target),
                                        {open.buffer.data(), theta, &network_.pools[s].weights}, stopped);
        average.free.push_back(std::move(open.buffer));
        open.buffer = {};
        return done && go_on(s + 1, target, stopped);
    }

    void weigh(std::size_t s) {
        const auto& weights = network_.pools[s].weights;
        double *k = ends_.data(), *theta = k + averages_[s].behind_stride;
        for (const double z : weights[0])
            for (const double y : weights[1])
                for (const double x : weights[2])
                    for (Index l = 0; l < lanes_; ++l) {
                        const double factor = (z * z) * (y * y) * (x * x);
                        *k++ *= factor;
                        *theta++ *= factor;
                    }
    }

    const PlaneNetwork<T>& network_;
    const PlaneKernels<double>& wide_;
    Index lanes_;
    bool with_ntk_;
    StageRunner<T> first_;
    std::vector<StageRunner<double>> later_;
    std::vector<Average> averages_;
    AlignedBuffer<double> ends_;
    std::vector<Index> taps_;
};

} // namespace fastntk
