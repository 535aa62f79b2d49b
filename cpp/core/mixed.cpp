#include "mixed.hpp"

#include <cmath>
#include <exception>

#include "team.hpp"
#include "tiles.hpp"

namespace fastntk {
namespace {

// Nodes of a tile along each side, if its samples are not larger: its fields stay in the second-level cache.
constexpr Index nodes_of_a_tile = 96;

// Consecutive samples of about so many nodes together.
std::vector<Range> groups(std::span<const Index> starts, Index nodes) {
    std::vector<Range> found;
    const Index items = static_cast<Index>(starts.size()) - 1;
    const auto start = [&](Index item) { return starts[static_cast<std::size_t>(item)]; };
    for (Index i = 0; i < items;) {
        Index end = i + 1;
        while (end < items && start(end + 1) - start(i) <= nodes) ++end;
        found.push_back({i, end - i});
        i = end;
    }
    return found;
}

// A pair of nodes on its way takes about so many multiply-adds beside its ops.
constexpr double further_work = 50;

// The first exception of a team.
class Failure {
public:
    template <class Body>
    void guard(const Body& body) {
        if (failed_.load(std::memory_order_relaxed)) return;
        try {
            body();
        } catch (...) {
            if (!failed_.exchange(true)) exception_ = std::current_exception();
        }
    }
    void raise() const {
        if (exception_) std::rethrow_exception(exception_);
    }

private:
    std::atomic<bool> failed_{false};
    std::exception_ptr exception_;
};

} // namespace

OwnTiles::OwnTiles(const NodeInput& input, const KernelSet& set, int threads, Monitor& monitor)
    : input_(input), set_(set), threads_(threads), tiles_(static_cast<std::size_t>(input.x.items())) {
    for_items(monitor, [&](Index i, MixedTile& tile, const auto& stopped) { tile.begin({i, 1}, {i, 1}, stopped); });
}

template <class Body>
void OwnTiles::for_items(Monitor& monitor, const Body& body) {
    const Index items = input_.x.items();
    double pairs = 0;
    for (std::size_t i = 0; i < tiles_.size(); ++i) { // at the input
        const auto nodes = static_cast<double>(input_.x.starts[i + 1] - input_.x.starts[i]);
        pairs += nodes * nodes;
    }
    const double work = pairs * (further_work + program_work(input_.x.program()));
    const int threads_of_it = team(work, items, threads_);
    Watch watch(monitor, 1);
    const auto stopped = [&] { return watch.stopped(); };
    Failure failure;
    const int threads_of_a_tile = threads_of_it > 1 ? 1 : team(work, threads_, threads_);
    together(threads_of_it, [&] {
        MixedTile tile(input_, set_, true, threads_of_a_tile);
#pragma omp for schedule(dynamic)
        for (Index i = 0; i < items; ++i) {
            if (stopped()) continue;
            failure.guard([&] {
                TileState& state = tiles_[static_cast<std::size_t>(i)];
                tile.exchange(state);
                body(i, tile, stopped);
                tile.exchange(state);
            });
        }
    });
    failure.raise();
}

void OwnTiles::advance(Monitor& monitor) {
    const std::size_t end = input_.x.program().ops().size();
    for_items(monitor, [&](Index, MixedTile& tile, const auto& stopped) { tile.run(end, stopped); });
}

Index OwnTiles::pairs() const {
    Index total = 0;
    for (const TileState& tile : tiles_) total += tile.rows() * tile.columns();
    return total;
}

void OwnTiles::covariances(double* k, Monitor& monitor) {
    std::vector<double*> targets;
    for (const TileState& tile : tiles_) {
        targets.push_back(k);
        k += tile.rows() * tile.columns();
    }
    const Uninitialised<double> roots = input_.x.program().deviations();
    for_items(monitor, [&](Index i, MixedTile& tile, const auto&) { tile.own_covariances(roots.data(), targets[static_cast<std::size_t>(i)]); });
}

void OwnTiles::mixed(const Mix& mix, double* k, double* theta, Monitor& monitor) {
    const Uninitialised<double> roots = input_.x.program().deviations();
    for_items(monitor, [&](Index, MixedTile& tile, const auto& stopped) { tile.own_mixed(roots.data(), mix, k, theta, stopped); });
}

void compute_mixed(const MixedRequest& request, const KernelSet& set, int threads, Monitor& monitor) {
    const NodeInput& input = request.input;
    const std::vector<Range> left = groups(input.x.starts, nodes_of_a_tile), right = groups(input.y.starts, nodes_of_a_tile);
    const Index across = static_cast<Index>(right.size()), tiles = static_cast<Index>(left.size()) * across;
    const bool with_ntk = request.ntk.data != nullptr;
    const Program<double>&x = input.x.program(), &y = input.y.program();
    const std::size_t end = x.ops().size();
    const std::vector<double> deviations_x = x.output_tables()[0], deviations_y = y.output_tables()[0];
    const double pairs = static_cast<double>(input.x.nodes.count) * static_cast<double>(input.y.nodes.count);
    const double work = pairs * (further_work + program_work(x));
    const int threads_of_it = team(work, tiles, threads), threads_of_a_tile = threads_of_it > 1 ? 1 : team(work, threads, threads);
    Watch watch(monitor, std::max(1.0, static_cast<double>(tiles)));
    const auto stopped = [&] { return watch.stopped(); };
    const auto write = [](MixedTile& tile, const double* values, const MatrixView<double>& out, bool mirrored, bool both) {
        const Range rows = tile.row_range(), columns = tile.column_range();
        tile.for_rows([&](Index r) {
            for (Index c = both ? r : 0; c < columns.count; ++c) {
                const double value = values[r * tile.pitch() + c];
                out.data[(rows.first + r) * out.row_stride + (columns.first + c) * out.column_stride] = value;
                if (mirrored) out.data[(columns.first + c) * out.row_stride + (rows.first + r) * out.column_stride] = value;
            }
        });
    };
    Failure failure;
    together(threads_of_it, [&] {
        MixedTile tile(input, set, with_ntk, threads_of_a_tile);
#pragma omp for schedule(dynamic)
        for (Index t = 0; t < tiles; ++t) {
            const Index i = t / across, j = t % across;
            if (!(input.symmetric && j < i) && !stopped())
                failure.guard([&] {
                    if (!tile.begin(left[static_cast<std::size_t>(i)], right[static_cast<std::size_t>(j)], stopped)) return;
                    if (!tile.run(end, stopped)) return;
                    tile.finish(deviations_x, deviations_y);
                    const bool same = input.symmetric && i == j;
                    if (request.nngp.data) write(tile, tile.gap(), request.nngp, input.symmetric, same);
                    if (request.ntk.data) write(tile, tile.ntk(), request.ntk, input.symmetric, same);
                });
            watch.add_done(1);
        }
    });
    failure.raise();
}

} // namespace fastntk
