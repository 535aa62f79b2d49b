#include "planes.hpp"

#include <exception>
#include <memory>

#include "plane_pairs.hpp"
#include "plane_run.hpp"
#include "team.hpp"
#include "tiles.hpp"

namespace fastntk {
namespace {

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
void plan(StagePlanes& planes, const std::vector<StepShape>& steps, std::size_t axis, const Axis* window,
          std::vector<Pairs> behind) {
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

template <class T>
void measure(StagePlanes& planes, const std::vector<Op<T>>& list) {
    const std::size_t ops = list.size();
    for_planes(planes, [&](const auto& at) {
        const Plane plane = plane_at(planes, at);
        planes.size.cover(plane, ops);
        for (std::size_t i = 0; i < ops; ++i)
            planes.work +=
                static_cast<double>(strips_of(plane, i + 1)) * (10 + 4 * static_cast<double>(list[i].values));
        const Index rows = plane[0]->pairs(ops).count() * plane[1]->pairs(ops).count();
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
PlaneNetwork<T>::PlaneNetwork(const Program<T>& program, const std::vector<const Program<double>*>& programs,
                              std::vector<Pool> averages, const Lengths& positions, Index channel_count)
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
                for (const AxisPlane& plane : planes[s + 1].axes[axis]) behind.push_back(plane.pairs(0));
            else behind = {same_positions(ends_in_average() ? pools[s].window[axis].outputs : 1)};
            plan(planes[s], steps, axis, s < pools.size() ? &pools[s].window[axis] : nullptr, std::move(behind));
        }
    measure(planes[0], first.ops);
    for (std::size_t s = 1; s < stage_count(); ++s) measure(planes[s], later[s - 1].ops);
}

template <class T>
double PlaneNetwork<T>::work() const {
    double sum = 0;
    for (const StagePlanes& stage : planes) sum += stage.work;
    return sum;
}

template <class T>
Index PlaneNetwork<T>::numbers() const {
    Index sum = first.numbers;
    for (const Stage<double>& stage : later) sum += stage.numbers * static_cast<Index>(sizeof(double) / sizeof(T));
    return sum;
}

template <class T>
bool PlaneNetwork<T>::takes_any_pairs() const {
    const auto takes_them = [](const auto& stage) {
        return std::ranges::none_of(stage.ops, [](const auto& op) {
            return op.rule || op.code == OpCode::dropout || (op.table_count > 0 && !is_by_table(op));
        });
    };
    return takes_them(first) && std::ranges::all_of(later, takes_them);
}

template <class T>
double PlaneNetwork<T>::scratch() const {
    double bytes = takes_any_pairs() ? 2 * static_cast<double>(sizeof(T)) * static_cast<double>(numbers())
                                     : 0; // of pairs in lanes
    for (std::size_t s = 0; s < stage_count(); ++s) {
        const StagePlanes& stage = planes[s];
        const double size = s == 0 ? sizeof(T) : sizeof(double),
                     slots = static_cast<double>(s == 0 ? first.slots : later[s - 1].slots);
        bytes += size *
                 (static_cast<double>(stage.size.state) * (4 + 2 * slots) + 3 * static_cast<double>(stage.size.summed));
        // Of averages: what comes, sums along rows, and the planes on their way, some rows of them.
        const double on_their_way = static_cast<double>(stage.behind[2].size()) * 3;
        bytes += 2 * sizeof(double) *
                 (static_cast<double>(stage.size.state + stage.sums) +
                  on_their_way * static_cast<double>(stage.most_behind));
    }
    return bytes * static_cast<double>(lanes());
}

template <class T>
Index PlaneNetwork<T>::lanes() const {
    constexpr double cache = 1.4e6; // of a core, about
    double bytes = 0;
    for (std::size_t s = 0; s < stage_count(); ++s) {
        const double size = s == 0 ? sizeof(T) : sizeof(double);
        bytes = std::max(bytes, size * (4 * static_cast<double>(planes[s].size.state) +
                                        3 * static_cast<double>(planes[s].size.summed)));
    }
    // One or two vectors, of the largest there are. Tables are read once, in their order, and may come from further
    // away.
    constexpr Index vector = 64 / static_cast<Index>(sizeof(T));
    return 2 * static_cast<double>(vector) * bytes <= cache ? 2 * vector : vector;
}

template <class T>
PlaneSide<T>::PlaneSide(const PlaneNetwork<T>& network, const Program<T>& program,
                        const std::vector<const Program<double>*>& programs, const T* x, bool with_rows,
                        Index lane_count)
    : items(program.items()), lanes(lane_count), first(network.first, program, with_rows, lanes),
      features(x, program.ops()[0].scales, items,
               network.first.lengths[0][0] * network.first.lengths[0][1] * network.first.lengths[0][2] *
                   network.channels,
               with_rows, lanes) {
    for (std::size_t i = 0; i < programs.size(); ++i)
        later.emplace_back(network.later[i], *programs[i], with_rows, lanes);
}

namespace {

// Rows of x that a thread takes at a time, where there are many: the numbers of the lanes stay in its cache. Where a
// pair takes long they do not, and few rows share the work out better.
constexpr double most_work_at_once = 1e8;
constexpr Index most_rows_at_once = 16;

// body(run, task) for all tasks, with a run of each thread's own. What it throws, for want of memory, is thrown on.
template <class T, class Body>
void for_tasks(std::vector<std::unique_ptr<PlaneRun<T>>> runs, Index tasks, const Body& body) {
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(static_cast<int>(runs.size()))
    for (Index task = 0; task < tasks; ++task) {
        try {
            body(*runs[static_cast<std::size_t>(omp_get_thread_num())], task);
        } catch (...) {
#pragma omp critical
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

template <class T>
std::vector<std::unique_ptr<PlaneRun<T>>> make_runs(const PlaneNetwork<T>& network, const KernelSet& set, Index lanes,
                                                    bool self, bool with_ntk, int count) {
    std::vector<std::unique_ptr<PlaneRun<T>>> runs;
    for (int i = 0; i < count; ++i) runs.push_back(std::make_unique<PlaneRun<T>>(network, set, lanes, self, with_ntk));
    return runs;
}

} // namespace

template <class T>
void compute_planes(const PlaneRequest<T>& request, const KernelSet& set, int threads, Monitor& monitor) {
    const PlaneSide<T>&x = request.x, &y = request.y;
    const Index lanes = y.lanes, blocks = (y.items + lanes - 1) / lanes;
    const auto quick =
        static_cast<Index>(std::min(most_work_at_once / (request.network.work() * static_cast<double>(lanes)), 1e9));
    const Index rows_at_once =
                    std::clamp<Index>(std::min(quick, blocks * x.items / (8 * threads)), 1, most_rows_at_once),
                chunks = (x.items + rows_at_once - 1) / rows_at_once;
    const bool is_diagonal = request.symmetric && request.x_first == request.y_first && x.items == y.items,
               with_ntk = request.ntk.data != nullptr;
    // To copy the numbers of both is little beside all that averages read.
    const bool by_pairs = is_diagonal && !request.network.pools.empty() && request.network.takes_any_pairs();
    const double work = request.network.work();
    Watch watch(monitor, static_cast<double>(blocks * lanes * x.items));
    const auto stopped = [&] { return watch.stopped(); };
    // Of rows and columns i and j, also in each other's place.
    const auto write = [&](PlaneRun<T>& run, Index i, Index j, Index lane) {
        const auto put = [&](const MatrixView<T>& out, const double* values) {
            if (!out.data) return;
            out.data[i * out.row_stride + j * out.column_stride] = static_cast<T>(values[lane]);
            if (is_diagonal) out.data[j * out.row_stride + i * out.column_stride] = static_cast<T>(values[lane]);
        };
        put(request.nngp, run.k());
        put(request.ntk, run.theta());
    };
    const auto runs = [&](bool self, Index tasks) {
        return make_runs(request.network, set, lanes, self, with_ntk,
                         team(work * static_cast<double>(x.items * y.items), tasks, threads));
    };
    for_tasks<T>(runs(false, blocks * chunks), blocks * chunks, [&](PlaneRun<T>& run, Index task) {
        const Index column = task / chunks * lanes, columns = std::min(lanes, y.items - column),
                    first_row = task % chunks * rows_at_once;
        for (Index row = first_row; row < std::min(x.items, first_row + rows_at_once); ++row) {
            const bool in_pairs = by_pairs && row >= column && row < column + columns;
            if (!in_pairs) watch.add_done(lanes);
            if (stopped() || in_pairs || (is_diagonal && row >= column + columns)) continue;
            const Index same = request.x_first + row - (request.y_first + column);
            run.set(x, row, y, column, request.symmetric && same >= 0 && same < columns ? same : -1);
            if (!run.run(stopped)) continue;
            for (Index l = is_diagonal ? std::max<Index>(0, row - column) : 0; l < columns; ++l)
                write(run, row, column + l, l);
        }
    });
    if (!by_pairs) return;
    // The diagonal is known from elsewhere.
    for (Index i = 0; i < y.items; ++i)
        for (const auto& out : {request.nngp, request.ntk})
            if (out.data) out.data[i * (out.row_stride + out.column_stride)] = 0;
    for_tasks<T>(runs(true, blocks * (lanes / 2)), blocks * (lanes / 2), [&](PlaneRun<T>& run, Index task) {
        const Index first = task / (lanes / 2) * lanes, count = std::min(lanes, y.items - first),
                    turn = 1 + task % (lanes / 2);
        watch.add_done(2 * count);
        if (stopped() || turn > count / 2) return;
        PairedLanes<T> pairs(y);
        pairs.pair(first, count, turn);
        pairs.set(run);
        if (!run.run(stopped)) return;
        for (Index l = 0; l < (2 * turn == count ? turn : count); ++l)
            write(run, first + pairs.p(l), first + pairs.q(l), l);
    });
}

template <class T>
void plane_variances(const PlaneNetwork<T>& network, const PlaneSide<T>& side, const KernelSet& set, int threads,
                     Monitor& monitor, double* k, double* theta) {
    const Index lanes = side.lanes;
    Index positions = 1;
    for (const Axis& axis : network.pools.back().window) positions *= axis.outputs;
    Watch watch(monitor, static_cast<double>(side.items));
    const auto stopped = [&] { return watch.stopped(); };
    const auto keep = [&](const PlaneRun<T>& run, Index item) {
        for (Index position = 0; position < positions; ++position) {
            k[position * side.items + item] = run.k()[position * lanes + item % lanes];
            theta[position * side.items + item] = run.theta()[position * lanes + item % lanes];
        }
    };
    // All of a block, or one of them at a time.
    const bool at_once = network.takes_any_pairs();
    const Index step = at_once ? lanes : 1, tasks = (side.items + step - 1) / step;
    const int team_size = team(network.work() * static_cast<double>(tasks * lanes), tasks, threads);
    for_tasks<T>(make_runs(network, set, lanes, at_once, true, team_size), tasks, [&](PlaneRun<T>& run, Index task) {
        const Index first = task * step;
        if (at_once) run.set_selves(side, first);
        else run.set(side, first, side, first / lanes * lanes, first % lanes);
        if (!run.run(stopped)) return;
        for (Index item = first; item < std::min(first + step, side.items); ++item) keep(run, item);
    });
}

template class PlaneNetwork<float>;
template class PlaneNetwork<double>;
template struct PlaneSide<float>;
template struct PlaneSide<double>;
template void compute_planes(const PlaneRequest<float>&, const KernelSet&, int, Monitor&);
template void compute_planes(const PlaneRequest<double>&, const KernelSet&, int, Monitor&);
template void plane_variances(const PlaneNetwork<float>&, const PlaneSide<float>&, const KernelSet&, int, Monitor&,
                              double*, double*);
template void plane_variances(const PlaneNetwork<double>&, const PlaneSide<double>&, const KernelSet&, int, Monitor&,
                              double*, double*);

} // namespace fastntk
