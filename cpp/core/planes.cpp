#include "planes.hpp"

#include <cstdint>

#include "team.hpp"
#include "tiles.hpp"

namespace fastntk {
namespace {

template <class T>
const Kernels<T>& kernels_of(const KernelSet& set) {
    if constexpr (sizeof(T) == sizeof(float)) return set.f32;
    else return set.f64;
}

bool wraps(const std::vector<StepShape>& steps, std::size_t axis) {
    for (const StepShape& step : steps) {
        if (!step.window) continue;
        const Axis& window = (*step.window)[axis];
        for (Index output = 0; output < window.outputs; ++output)
            for (Index tap = 1; tap < window.taps; ++tap) {
                const Index before = window.source(output, tap - 1), at = window.source(output, tap);
                if (at >= 0 && at < before) return true;
            }
    }
    return false;
}

Pairs same_positions(Index count) {
    Pairs pairs;
    for (Index position = 0; position < count; ++position) {
        pairs.p.push_back(position);
        pairs.q.push_back(position);
    }
    return pairs;
}

// Of the pairs behind an average those of one plane that they are made of.
AxisLink link(const Axis& window, const Pairs& behind, std::size_t target, const Pairs& here) {
    AxisLink found{target, 0, {}};
    std::vector<std::vector<Index>> taps(behind.p.size());
    for (std::size_t j = 0; j < behind.p.size(); ++j) {
        const auto sources = window.sources.begin() + behind.q[j] * window.taps;
        for (Index a = 0; a < window.taps; ++a) {
            // Of the pairs of a plane few have that p.
            const auto [first, last] = std::equal_range(here.p.begin(), here.p.end(), window.source(behind.p[j], a));
            for (Index place = first - here.p.begin(); place < last - here.p.begin(); ++place) {
                const auto times = std::count(sources, sources + window.taps, here.q[static_cast<std::size_t>(place)]);
                taps[j].insert(taps[j].end(), static_cast<std::size_t>(times), place);
            }
        }
        found.tap_count = std::max(found.tap_count, static_cast<Index>(taps[j].size()));
    }
    for (std::vector<Index>& list : taps) {
        list.resize(static_cast<std::size_t>(found.tap_count), -1);
        found.taps.insert(found.taps.end(), list.begin(), list.end());
    }
    return found;
}

// Planes of a stage along one axis, from those that are needed behind its end.
void plan(StagePlanes& planes, const std::vector<StepShape>& steps, std::size_t axis, const Axis* window, std::vector<Pairs> behind) {
    std::vector<Pairs> ends = behind;
    if (window) {
        std::vector<const Pairs*> wanted;
        for (const Pairs& pairs : behind) wanted.push_back(&pairs);
        ends = planes_before(*window, wanted, wraps(steps, axis));
        planes.expected[axis].assign(behind.size(), 0);
        for (const Pairs& end : ends) {
            std::vector<AxisLink>& links = planes.links[axis].emplace_back();
            for (std::size_t target = 0; target < behind.size(); ++target) {
                AxisLink found = link(*window, behind[target], target, end);
                if (found.tap_count == 0) continue;
                ++planes.expected[axis][target];
                links.push_back(std::move(found));
            }
        }
        planes.behind[axis] = std::move(behind);
    }
    for (const Pairs& end : ends) planes.axes[axis].push_back(plan_axis(steps, axis, end));
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

Plane plane_at(const StagePlanes& planes, const std::array<std::size_t, most_axes>& at) {
    return {&planes.axes[0][at[0]], &planes.axes[1][at[1]], &planes.axes[2][at[2]]};
}

void measure(StagePlanes& planes, std::size_t ops) {
    for_planes(planes, [&](const auto& at) {
        const Plane plane = plane_at(planes, at);
        planes.size.cover(plane, ops);
        const Index rows = plane[0]->pairs[ops].count() * plane[1]->pairs[ops].count();
        for (const Pairs& behind : planes.behind[2]) planes.sums = std::max(planes.sums, rows * behind.count());
        return true;
    });
    planes.most_behind = 1;
    for (const auto& axis : planes.behind) {
        Index most = 0;
        for (const Pairs& pairs : axis) most = std::max(most, pairs.count());
        planes.most_behind *= most;
    }
}

} // namespace

template <class T>
PlaneNetwork<T>::PlaneNetwork(const Program<T>& program, const std::vector<const Program<double>*>& programs, std::vector<Pool> averages,
                              const Lengths& positions, Index channel_count)
    : first(program, positions), pools(std::move(averages)), planes(1 + programs.size()), channels(channel_count) {
    for (std::size_t i = 0; i < programs.size(); ++i) {
        Lengths behind;
        for (std::size_t axis = 0; axis < most_axes; ++axis) behind[axis] = pools[i].window[axis].outputs;
        later.emplace_back(*programs[i], behind);
    }
    for (std::size_t axis = 0; axis < most_axes; ++axis)
        for (std::size_t s = stage_count(); s-- > 0;) {
            const auto& steps = s == 0 ? first.steps : later[s - 1].steps;
            const bool is_last = s + 1 == stage_count();
            std::vector<Pairs> behind;
            if (!is_last)
                for (const AxisPlane& plane : planes[s + 1].axes[axis]) behind.push_back(plane.pairs[0]);
            else behind = {same_positions(ends_in_average() ? pools[s].window[axis].outputs : 1)};
            plan(planes[s], steps, axis, s < pools.size() ? &pools[s].window[axis] : nullptr, std::move(behind));
        }
    for (std::size_t s = 0; s < stage_count(); ++s) measure(planes[s], s == 0 ? first.ops.size() : later[s - 1].ops.size());
}

template <class T>
Index PlaneNetwork<T>::numbers() const {
    Index sum = first.numbers;
    for (const Stage<double>& stage : later) sum += stage.numbers * static_cast<Index>(sizeof(double) / sizeof(T));
    return sum;
}

template <class T>
double PlaneNetwork<T>::scratch() const {
    double bytes = 0;
    for (std::size_t s = 0; s < stage_count(); ++s) {
        const StagePlanes& stage = planes[s];
        const double size = s == 0 ? sizeof(T) : sizeof(double), slots = static_cast<double>(s == 0 ? first.slots : later[s - 1].slots);
        bytes += size * (static_cast<double>(stage.size.state) * (4 + 2 * slots) + 3 * static_cast<double>(stage.size.summed));
        // Of averages: what comes, sums along rows, and the planes on their way, some rows of them.
        const double on_their_way = static_cast<double>(stage.behind[2].size()) * 3;
        bytes += 2 * sizeof(double) * (static_cast<double>(stage.size.state + stage.sums) + on_their_way * static_cast<double>(stage.most_behind));
    }
    return bytes * static_cast<double>(lanes());
}

template <class T>
Index PlaneNetwork<T>::lanes() const {
    constexpr double cache = 1.4e6; // of a core, about
    double bytes = 0;
    for (std::size_t s = 0; s < stage_count(); ++s) {
        const double size = s == 0 ? sizeof(T) : sizeof(double);
        bytes = std::max(bytes, size * (4 * static_cast<double>(planes[s].size.state) + 3 * static_cast<double>(planes[s].size.summed)));
    }
    // One or two vectors, of the largest there are. Tables are read once, in their order, and may come from further away.
    constexpr Index vector = 64 / static_cast<Index>(sizeof(T));
    return 2 * static_cast<double>(vector) * bytes <= cache ? 2 * vector : vector;
}

template <class T>
PlaneSide<T>::PlaneSide(const PlaneNetwork<T>& network, const Program<T>& program, const std::vector<const Program<double>*>& programs, const T* x,
                        bool with_rows, Index lane_count)
    : items(program.items()), lanes(lane_count), first(network.first, program, with_rows, lanes),
      features(x, program.ops()[0].scales, items, network.first.lengths[0][0] * network.first.lengths[0][1] * network.first.lengths[0][2] * network.channels, with_rows, lanes) {
    for (std::size_t i = 0; i < programs.size(); ++i) later.emplace_back(network.later[i], *programs[i], with_rows, lanes);
}

namespace {

// One sample and some others in the lanes, through all planes. What one thread needs for it.
template <class T>
class PlaneRun {
public:
    PlaneRun(const PlaneNetwork<T>& network, const KernelSet& set, Index lanes, bool self, bool with_ntk)
        : network_(network), wide_(set.f64.planes), lanes_(lanes), with_ntk_(with_ntk),
          first_(network.first, kernels_of<T>(set), network.planes[0].size, network.channels, lanes, self, with_ntk) {
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

    // Row `item` of x and the lanes of y from `first` on; of x = y, paired with themselves, where both are the same.
    void set(const PlaneSide<T>& x, Index item, const PlaneSide<T>& y, Index first, bool self, Index self_lane) {
        first_.set(self ? y.first.block(first) : x.first.row(item), y.first.block(first), self ? y.features.block(first) : x.features.row(item),
                   y.features.block(first), self_lane);
        for (std::size_t i = 0; i < later_.size(); ++i)
            later_[i].set(self ? y.later[i].block(first) : x.later[i].row(item), y.later[i].block(first), nullptr, nullptr, self_lane);
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
                        if (expected(before, {a, b, c}) == 0 && !complete(s, {a, b, c}, opened(s, {a, b, c}), stopped)) return false;
        }
        return for_planes(network_.planes[0], [&](const auto& at) {
            if (!first_.run(plane_at(network_.planes[0], at), {}, stopped)) return false;
            return go_on(0, at, stopped);
        });
    }

    // Of every position at the end, [position][lane].
    const double* k() const { return ends_.data() ? ends_.data() : averages_.back().incoming.data(); }
    const double* theta() const { return ends_.data() ? ends_.data() + averages_.back().behind_stride : averages_.back().incoming.data() + averages_.back().stride; }

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
        const std::size_t end = plane[0]->pairs.size() - 1;
        const Index rows = plane[0]->pairs[end].count() * plane[1]->pairs[end].count(), y_rows = plane[1]->pairs[end].count();
        const Index length = plane[2]->pairs[end].count() * lanes_;
        for (const AxisLink& x : planes.links[2][at[2]]) {
            const Index width = planes.behind[2][x.target].count(), row = width * lanes_;
            double *const sums = average.sums.data(), *const theta_sums = sums + planes.sums * lanes_;
            for (Index r = 0; r < rows; ++r) {
                wide_.sum_wide(k + r * length, x.taps.data(), width, x.tap_count, lanes_, sums + r * row, false);
                if (theta) wide_.sum_wide(theta + r * length, x.taps.data(), width, x.tap_count, lanes_, theta_sums + r * row, false);
            }
            for (const AxisLink& z : planes.links[0][at[0]])
                for (const AxisLink& y : planes.links[1][at[1]]) {
                    const At target{z.target, y.target, x.target};
                    Open& open = opened(s, target);
                    add(z, y, y_rows, row, sums, open.buffer.data(), planes.behind[0][z.target].count(), planes.behind[1][y.target].count());
                    if (theta) add(z, y, y_rows, row, theta_sums, open.buffer.data() + average.behind_stride, planes.behind[0][z.target].count(), planes.behind[1][y.target].count());
                    if (++open.come == expected(planes, target) && !complete(s, target, open, stopped)) return false;
                }
        }
        return true;
    }

    void add(const AxisLink& z, const AxisLink& y, Index y_rows, Index row, const double* sums, double* target, Index z_count, Index y_count) {
        taps_.resize(static_cast<std::size_t>(z.tap_count * y.tap_count));
        for (Index a = 0; a < z_count; ++a)
            for (Index b = 0; b < y_count; ++b) {
                for (Index i = 0; i < z.tap_count; ++i)
                    for (Index j = 0; j < y.tap_count; ++j) {
                        const Index z_row = z.taps[static_cast<std::size_t>(a * z.tap_count + i)], y_row = y.taps[static_cast<std::size_t>(b * y.tap_count + j)];
                        taps_[static_cast<std::size_t>(i * y.tap_count + j)] = z_row < 0 || y_row < 0 ? -1 : z_row * y_rows + y_row;
                    }
                wide_.sum_wide(sums, taps_.data(), 1, z.tap_count * y.tap_count, row, target + (a * y_count + b) * row, true);
            }
    }

    Open& opened(std::size_t s, const At& target) {
        const StagePlanes& planes = network_.planes[s];
        Average& average = averages_[s];
        Open& open = average.open[(target[0] * planes.behind[1].size() + target[1]) * planes.behind[2].size() + target[2]];
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
        const bool done = later_[s].run(plane_at(network_.planes[s + 1], target), {open.buffer.data(), theta, &network_.pools[s].weights}, stopped);
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
                        const double factor = z * z * y * y * (x * x);
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

// Rows of x that a thread takes at a time, where there are many: the numbers of the lanes stay in its cache.
constexpr Index most_rows_at_once = 16;

} // namespace

template <class T>
void compute_planes(const PlaneRequest<T>& request, const KernelSet& set, int threads, Monitor& monitor) {
    const PlaneSide<T>&x = request.x, &y = request.y;
    const Index lanes = y.lanes, blocks = (y.items + lanes - 1) / lanes;
    const Index rows_at_once = std::clamp<Index>(blocks * x.items / (8 * threads), 1, most_rows_at_once), chunks = (x.items + rows_at_once - 1) / rows_at_once;
    const bool is_diagonal = request.symmetric && request.x_first == request.y_first && x.items == y.items, with_ntk = request.ntk.data != nullptr;
    Watch watch(monitor, static_cast<double>(blocks * lanes * x.items));
    const auto stopped = [&] { return watch.stopped(); };
#pragma omp parallel num_threads(static_cast<int>(std::min<Index>(threads, blocks * chunks)))
    {
        PlaneRun<T> run(request.network, set, lanes, false, with_ntk);
#pragma omp for schedule(dynamic)
        for (Index task = 0; task < blocks * chunks; ++task) {
            const Index column = task / chunks * lanes, columns = std::min(lanes, y.items - column), first_row = task % chunks * rows_at_once;
            for (Index row = first_row; row < std::min(x.items, first_row + rows_at_once); ++row) {
                watch.add_done(lanes);
                if (stopped() || (is_diagonal && row >= column + columns)) continue;
                const Index same = request.x_first + row - (request.y_first + column);
                run.set(x, row, y, column, false, request.symmetric && same >= 0 && same < columns ? same : -1);
                if (!run.run(stopped)) continue;
                const auto write = [&](const MatrixView<T>& out, const double* values) {
                    for (Index l = is_diagonal ? std::max<Index>(0, row - column) : 0; l < columns; ++l) {
                        out.data[row * out.row_stride + (column + l) * out.column_stride] = static_cast<T>(values[l]);
                        if (is_diagonal) out.data[(column + l) * out.row_stride + row * out.column_stride] = static_cast<T>(values[l]);
                    }
                };
                if (request.nngp.data) write(request.nngp, run.k());
                if (request.ntk.data) write(request.ntk, run.theta());
            }
        }
    }
}

template <class T>
void plane_variances(const PlaneNetwork<T>& network, const PlaneSide<T>& side, const KernelSet& set, int threads, Monitor& monitor, double* k, double* theta) {
    const Index lanes = side.lanes, blocks = (side.items + lanes - 1) / lanes;
    Index positions = 1;
    for (const Axis& axis : network.pools.back().window) positions *= axis.outputs;
    Watch watch(monitor, static_cast<double>(side.items));
    const auto stopped = [&] { return watch.stopped(); };
#pragma omp parallel num_threads(static_cast<int>(std::min<Index>(threads, blocks)))
    {
        PlaneRun<T> run(network, set, lanes, true, true);
#pragma omp for schedule(dynamic)
        for (Index block = 0; block < blocks; ++block) {
            const Index first = block * lanes;
            run.set(side, first, side, first, true, -1);
            if (!run.run(stopped)) continue;
            for (Index position = 0; position < positions; ++position)
                for (Index l = 0; l < std::min(lanes, side.items - first); ++l) {
                    k[position * side.items + first + l] = run.k()[position * lanes + l];
                    theta[position * side.items + first + l] = run.theta()[position * lanes + l];
                }
        }
    }
}

template class PlaneNetwork<float>;
template class PlaneNetwork<double>;
template struct PlaneSide<float>;
template struct PlaneSide<double>;
template void compute_planes(const PlaneRequest<float>&, const KernelSet&, int, Monitor&);
template void compute_planes(const PlaneRequest<double>&, const KernelSet&, int, Monitor&);
template void plane_variances(const PlaneNetwork<float>&, const PlaneSide<float>&, const KernelSet&, int, Monitor&, double*, double*);
template void plane_variances(const PlaneNetwork<double>&, const PlaneSide<double>&, const KernelSet&, int, Monitor&, double*, double*);

} // namespace fastntk
