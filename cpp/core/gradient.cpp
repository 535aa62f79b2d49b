#include "gradient.hpp"

#include "gradient_tiles.hpp"

namespace fastntk {
namespace {

class GradientEngine : public GradientTiles {
public:
    GradientEngine(const Request<double>& request, const Slopes& nngp, const Slopes& ntk, const KernelSet& kernels,
                   int threads, Monitor& monitor)
        : GradientTiles(request, {nngp.wanted, ntk.wanted, nngp.second.data != nullptr}, 0, kernels, threads, monitor), nngp_(nngp), ntk_(ntk),
          directions_(request.x.program->directions()) {
        const Index tiles = tiles_down() * tiles_across();
        if (nngp.sums) nngp_sums_.assign(static_cast<std::size_t>(tiles * directions_), 0.0);
        if (ntk.sums) ntk_sums_.assign(static_cast<std::size_t>(tiles * directions_), 0.0);
    }

    void finish(const Tile& tile, Scratch<double>& s) {
        if (!compute(tile, s, [](Index, Index, Index) {})) return;
        if (request_.nngp.data) write(tile, s.gap.data(), request_.nngp);
        if (request_.ntk.data) write(tile, s.ntk.data(), request_.ntk);
        for (Index k = 0; nngp_.second.data && k < second_derivatives; ++k) {
            MatrixView<double> out = nngp_.second;
            out.data += k * nngp_.direction_stride;
            write(tile, gap_slopes(s) + (directions_ + k) * tile_ * tile_, out);
        }
        deliver(tile, gap_slopes(s), nngp_, nngp_sums_, s.gap.data());
        if (with_ntk()) deliver(tile, ntk_slopes(s), ntk_, ntk_sums_, s.gap.data());
    }

    // Tile by tile, in their order.
    void add_up() const {
        for (const auto& [slopes, sums] : {std::pair{&nngp_, &nngp_sums_}, std::pair{&ntk_, &ntk_sums_}})
            if (slopes->sums)
                for (std::size_t i = 0; i < sums->size(); ++i) slopes->sums[i % static_cast<std::size_t>(directions_)] += (*sums)[i];
    }

private:
    // With room for the weights of a tile.
    void deliver(const Tile& tile, double* tiles, const Slopes& slopes, std::vector<double>& sums, double* weights) {
        if (!slopes.wanted) return;
        if (slopes.sums) load_weights(tile, slopes.weights, weights);
        for (Index k = 0; k < directions_; ++k) {
            double* const values = tiles + k * tile_ * tile_;
            if (slopes.sums) {
                sums[number(tile) * static_cast<std::size_t>(directions_) + static_cast<std::size_t>(k)] = weighted_sum(tile, values, weights);
            } else {
                MatrixView<double> out = slopes.matrices;
                out.data += k * slopes.direction_stride;
                write(tile, values, out);
            }
        }
    }

    double weighted_sum(const Tile& tile, const double* values, const double* weights) const {
        double total = 0;
        for (Index r = 0; r < tile.rows; ++r) {
            const Index start = tile.diagonal ? r : 0;
            total += set_.dot(values + r * tile_ + start, weights + r * tile_ + start, tile.columns - start);
        }
        return total;
    }

    const Slopes& nngp_;
    const Slopes& ntk_;
    Index directions_;
    std::vector<double> nngp_sums_, ntk_sums_; // [tile][direction]
};

} // namespace

void compute_gradient(const Request<double>& request, const Slopes& nngp, const Slopes& ntk, const KernelSet& kernels,
                      int threads, Monitor& monitor) {
    for (const Slopes* slopes : {&nngp, &ntk})
        if (slopes->sums) std::fill_n(slopes->sums, request.x.program->directions(), 0.0);
    if (is_empty(request)) return;
    GradientEngine engine(request, nngp, ntk, kernels, threads, monitor);
    engine.run([&](const Tile& tile, Scratch<double>& scratch) { engine.finish(tile, scratch); });
    engine.add_up();
}

} // namespace fastntk
