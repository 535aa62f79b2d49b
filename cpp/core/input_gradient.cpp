#include "input_gradient.hpp"

#include <cmath>

#include "gradient_tiles.hpp"
#include "matrix_product.hpp"

namespace fastntk {
namespace {

void add_tangent(const KernelSet& set, const RowPair<float>& pair, double factor, double* room, double* out) {
    set.add_tangent_float(pair, factor, room, out);
}
void add_tangent(const KernelSet& set, const RowPair<double>& pair, double factor, double* room, double* out) {
    set.add_tangent_double(pair, factor, room, out);
}

// A pair, its derivative in the gap times its weight, and whether it is near an antipode.
struct NearPair {
    Index p, q;
    double along;
    bool opposite;
};

class InputGradientEngine : public GradientTiles {
public:
    InputGradientEngine(const Request<double>& request, const InputSlopes& slopes, const KernelSet& kernels, int threads, Monitor& monitor)
        : GradientTiles(request, {!slopes.ntk, slopes.ntk}, request.symmetric ? request.x.program->samples() / 2 : 0, kernels, threads, monitor),
          slopes_(slopes) {
        const auto tiles = static_cast<std::size_t>(tiles_down() * tiles_across());
        own_.resize(tiles);
        near_.resize(tiles);
        first_gaps_.resize(scratch_.size());
        for (AlignedBuffer<double>& gaps : first_gaps_) gaps = AlignedBuffer<double>(tile_ * tile_);
    }

    void finish(const Tile& tile, Scratch<double>& s) {
        double* const gaps = first_gaps_[static_cast<std::size_t>(&s - scratch_.data())].data();
        const auto keep = [&](Index r, Index start, Index length) {
            std::copy_n(s.gap.data() + r * tile_ + start, length, gaps + r * tile_ + start);
        };
        if (!compute(tile, s, keep)) return;
        double* const weights = s.gap.data(); // nothing else is needed of it
        load_weights(tile, slopes_.weights, weights);
        if (slopes_.further_weights.data) add_turned(tile, slopes_.further_weights, weights);
        double* const values = slopes_.ntk ? ntk_slopes(s) : gap_slopes(s);
        const Index ways = request_.x.program->directions(), matrix = tile_ * tile_;
        std::vector<double>& own = own_[number(tile)];
        own.assign(static_cast<std::size_t>(2 * tile_), 0.0);
        for (Index r = 0; r < tile.rows; ++r) {
            const Index start = tile.diagonal ? r : 0, at = r * tile_ + start, count = tile.columns - start;
            double* const along = values + at;
            const WeightedRow row{weights + at, gaps + at, along, along + matrix, ways > 2 ? along + 2 * matrix : nullptr, count};
            const Index near = set_.weigh_inputs(row, own.data() + r, own.data() + tile_ + start, s.flagged.data());
            for (Index k = 0; k < near; ++k) {
                const Index j = s.flagged.data()[k];
                near_[number(tile)].push_back({tile.row + r, tile.column + start + j, along[j], gaps[at + j] < 0});
                along[j] = 0;
            }
            std::fill_n(values + r * tile_, start, 0.0);
        }
        place(values, tile, along(), tile.row, tile.column, false);
        if (request_.symmetric && !tile.diagonal) clear(tile);
    }

    // Tile by tile, in their order.
    void add_up() {
        if (watch_.stopped()) return;
        std::visit([this](const auto& x) {
            const auto& y = std::get<std::remove_cvref_t<decltype(x)>>(y_.rows);
            add_rows(x, y);
            if (slopes_.columns.own) add_columns(x, y);
        }, request_.x.rows);
        const Index n = request_.x.count, m = y_.count, features = request_.features;
        const auto stopped = [this] { return watch_.stopped(); };
        add_product({{slopes_.along, m, 1}, n, m, slopes_.columns.unit, features, slopes_.rows.pull}, kernels_, threads_, stopped);
        if (slopes_.columns.own)
            add_product({{slopes_.along, 1, m}, m, n, slopes_.rows.unit, features, slopes_.columns.pull}, kernels_, threads_, stopped);
    }

private:
    MatrixView<double> along() const { return {slopes_.along, y_.count, 1}; }

    // Below the diagonal of a symmetric kernel there is nothing.
    void clear(const Tile& tile) const {
        for (Index c = 0; c < tile.columns; ++c) std::fill_n(slopes_.along + (tile.column + c) * y_.count + tile.row, tile.rows, 0.0);
    }

    void add_turned(const Tile& tile, const MatrixView<const double>& given, double* weights) const {
        for (Index c = 0; c < tile.columns; ++c)
            for (Index r = 0; r < tile.rows; ++r)
                weights[r * tile_ + c] += given.data[(tile.column + c) * given.row_stride + (tile.row + r) * given.column_stride];
    }

    template <class In>
    void add_rows(const Rows<In>& x, const Rows<In>& y) const {
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
        for (Index down = 0; down < tiles_down(); ++down)
            for (Index across = 0; across < tiles_across(); ++across) {
                const auto tile = static_cast<std::size_t>(down * tiles_across() + across);
                const Index first = down * tile_, count = own_[tile].empty() ? 0 : std::min(tile_, request_.x.count - first);
                for (Index r = 0; r < count; ++r) slopes_.rows.own[first + r] += own_[tile][static_cast<std::size_t>(r)];
                for (const NearPair& pair : near_[tile]) add_near(x, pair.p, y, pair.q, pair, slopes_.rows.pull + pair.p * request_.features);
            }
    }

    template <class In>
    void add_columns(const Rows<In>& x, const Rows<In>& y) const {
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
        for (Index across = 0; across < tiles_across(); ++across)
            for (Index down = 0; down < tiles_down(); ++down) {
                const auto tile = static_cast<std::size_t>(down * tiles_across() + across);
                const Index first = across * tile_, count = own_[tile].empty() ? 0 : std::min(tile_, y_.count - first);
                for (Index c = 0; c < count; ++c) slopes_.columns.own[first + c] += own_[tile][static_cast<std::size_t>(tile_ + c)];
                for (const NearPair& pair : near_[tile]) add_near(y, pair.q, x, pair.p, pair, slopes_.columns.pull + pair.q * request_.features);
            }
    }

    template <class In>
    void add_near(const Rows<In>& x, Index i, const Rows<In>& y, Index j, const NearPair& pair, double* out) const {
        AlignedBuffer<double> room(request_.features);
        const RowPair<In> rows{x.data + i * x.stride, y.data + j * y.stride, x.inverse_norm[i], y.inverse_norm[j], pair.opposite, request_.features};
        add_tangent(set_, rows, pair.along, room.data(), out);
    }

    const InputSlopes& slopes_;
    std::vector<std::vector<double>> own_; // [tile][rows, then columns]
    std::vector<std::vector<NearPair>> near_;
    std::vector<AlignedBuffer<double>> first_gaps_; // of each thread
};

class InputSlopesEngine : public GradientTiles {
public:
    InputSlopesEngine(const Request<double>& request, bool ntk, const double* norms, double* out, const KernelSet& kernels, int threads,
                      Monitor& monitor)
        : GradientTiles(request, {!ntk, ntk}, 0, kernels, threads, monitor), ntk_(ntk), norms_(norms), out_(out) {}

    void finish(const Tile& tile, Scratch<double>& s) {
        std::vector<bool> opposite(static_cast<std::size_t>(tile_ * tile_));
        const auto keep = [&](Index r, Index start, Index length) {
            for (Index j = start; j < start + length; ++j) opposite[static_cast<std::size_t>(r * tile_ + j)] = std::signbit(s.gap.data()[r * tile_ + j]);
        };
        if (!compute(tile, s, keep)) return;
        const double *const along = ntk_ ? ntk_slopes(s) : gap_slopes(s), *const own = along + tile_ * tile_;
        AlignedBuffer<double> room(request_.features);
        std::visit([&](const auto& x) {
            const auto& y = std::get<std::remove_cvref_t<decltype(x)>>(y_.rows);
            for (Index r = 0; r < tile.rows; ++r)
                for (Index c = 0; c < tile.columns; ++c) {
                    const Index i = tile.row + r, j = tile.column + c, at = r * tile_ + c;
                    const RowPair pair{x.data + i * x.stride, y.data + j * y.stride, x.inverse_norm[i], y.inverse_norm[j],
                                       opposite[static_cast<std::size_t>(at)], request_.features};
                    add_slopes(pair, 2 * own[at] / norms_[i], -along[at] / norms_[i], room.data(), out_ + (i * y_.count + j) * request_.features);
                }
        }, request_.x.rows);
    }

private:
    template <class In>
    void add_slopes(const RowPair<In>& pair, double radial, double tangential, double* room, double* out) const {
        for (Index k = 0; k < pair.features; ++k) out[k] = radial * (static_cast<double>(pair.u[k]) * pair.inverse_u);
        add_tangent(set_, pair, tangential, room, out);
    }

    bool ntk_;
    const double* norms_;
    double* out_;
};

} // namespace

void compute_input_slopes(const Request<double>& request, bool ntk, const double* norms, double* out, const KernelSet& kernels,
                          int threads, Monitor& monitor) {
    if (is_empty(request)) return;
    InputSlopesEngine engine(request, ntk, norms, out, kernels, threads, monitor);
    engine.run([&](const Tile& tile, Scratch<double>& scratch) { engine.finish(tile, scratch); });
}

void compute_input_gradient(const Request<double>& request, const InputSlopes& slopes, const KernelSet& kernels, int threads,
                            Monitor& monitor) {
    if (is_empty(request)) return;
    InputGradientEngine engine(request, slopes, kernels, threads, monitor);
    engine.run([&](const Tile& tile, Scratch<double>& scratch) { engine.finish(tile, scratch); });
    engine.add_up();
}

} // namespace fastntk
