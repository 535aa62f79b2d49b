#include "matvec.hpp"

#include <cmath>

#include "kernel_tiles.hpp"

namespace fastntk {
namespace {

constexpr Index parts_bytes = Index{16} << 20;

// Tiles along a panel, so that what the tiles of a pair of panels contribute takes no more than parts_bytes, if possible.
Index tiles_along(Index width) {
    const double tiles = static_cast<double>(parts_bytes) / static_cast<double>(2 * largest_tile * width * Index{sizeof(double)});
    return std::max<Index>(4, static_cast<Index>(std::sqrt(tiles)));
}

// Every tile leaves its contributions in a place of its own; after each pair of panels they are added up in the order of
// the tiles, whichever thread has computed them.
template <class T>
class Product : public KernelTiles<T> {
public:
    using KernelTiles<T>::request_, KernelTiles<T>::kernels_, KernelTiles<T>::y_, KernelTiles<T>::tile_, KernelTiles<T>::watch_;

    Product(const Request<T>& request, bool is_ntk, const Factors& factors, const Kernels<T>& kernels, int threads, Monitor& monitor)
        : KernelTiles<T>(request, kernels, threads, monitor,
                         {.with_ntk = is_ntk, .tiles_of_a_panel = tiles_along(factors.width),
                          .further_work = 2 * static_cast<double>(factors.width)}),
          is_ntk_(is_ntk), factors_(factors), along_(this->panel_rows_ / tile_ + (this->panel_rows_ % tile_ != 0)),
          part_(tile_ * factors.width) {
        const Index size = along_ * along_ * part_;
        row_parts_ = AlignedBuffer<double>(factors.forward ? size : 0);
        column_parts_ = AlignedBuffer<double>(factors.backward || request.symmetric ? size : 0);
    }

    void finish(const Tile& tile, Scratch<T>& s) {
        if (!this->evaluate(tile, s, !is_ntk_, is_ntk_)) return;
        T* const values = is_ntk_ ? s.ntk.data() : s.gap.data();
        if (tile.diagonal) this->mirror_upper_triangle(values, tile.rows);
        const Index place = number(tile.row, tile.column) * part_;
        if (factors_.forward) {
            std::fill_n(row_parts_.data() + place, part_, 0.0);
            kernels_.block_times(values, tile_, tile.rows, tile.columns, factors_.right + tile.column, y_.count,
                                 factors_.width, row_parts_.data() + place, tile_);
        }
        const double* const left = request_.symmetric ? factors_.right : factors_.left;
        if (!left || tile.diagonal) return;
        std::fill_n(column_parts_.data() + place, part_, 0.0);
        kernels_.block_transposed_times(values, tile_, tile.rows, tile.columns, left + tile.row, request_.x.count,
                                        factors_.width, column_parts_.data() + place, tile_);
    }

    // Every thread of the team: none may leave out a loop.
    void add_up(Index row, Index row_count, Index column, Index column_count) {
        const bool same = request_.symmetric && row == column;
        const double* const rows = row_parts_.data();
        const double* const columns = column_parts_.data();
        // The rows of one tile belong to one thread. Of a symmetric kernel those of a later panel come first from above the
        // diagonal, transposed.
        if (factors_.forward) {
#pragma omp for schedule(static)
            for (Index i = row; i < row + row_count; i += tile_)
                for (Index j = column; j < column + column_count; j += tile_) {
                    const bool mirrored = same && j < i;
                    add(mirrored ? columns : rows, mirrored ? j : i, mirrored ? i : j, i, row + row_count, request_.x.count,
                        factors_.forward);
                }
        }
        double* const backward = request_.symmetric ? factors_.forward : factors_.backward;
        if (!backward || same) return;
#pragma omp for schedule(static)
        for (Index j = column; j < column + column_count; j += tile_)
            for (Index i = row; i < row + row_count; i += tile_)
                add(columns, i, j, j, column + column_count, y_.count, backward);
    }

private:
    // Of a tile among those of its pair of panels.
    Index number(Index row, Index column) const {
        return row % (along_ * tile_) / tile_ * along_ + column % (along_ * tile_) / tile_;
    }

    // The part of tile (row, column) to the samples from `first` on.
    void add(const double* parts, Index row, Index column, Index first, Index end, Index count, double* out) const {
        const double* const part = parts + number(row, column) * part_;
        for (Index k = 0; k < factors_.width; ++k)
            for (Index s = 0; s < std::min(tile_, end - first); ++s) out[k * count + first + s] += part[k * tile_ + s];
    }

    bool is_ntk_;
    const Factors& factors_;
    Index along_; // tiles along a panel
    Index part_;  // numbers that a tile contributes
    AlignedBuffer<double> row_parts_, column_parts_;
};

} // namespace

template <class T>
void kernel_times(const Request<T>& request, bool is_ntk, const Factors& factors, const Kernels<T>& kernels, int threads,
                  Monitor& monitor) {
    const Index y_count = request.symmetric ? request.x.count : request.y.count;
    if (factors.forward) std::fill_n(factors.forward, request.x.count * factors.width, 0.0);
    if (factors.backward) std::fill_n(factors.backward, y_count * factors.width, 0.0);
    if (is_empty(request)) return;
    Product<T> product(request, is_ntk, factors, kernels, threads, monitor);
    product.run([&](const Tile& tile, Scratch<T>& scratch) { product.finish(tile, scratch); },
                [&](Index row, Index row_count, Index column, Index column_count) {
                    product.add_up(row, row_count, column, column_count);
                });
}

template <class T>
void matrix_times(const T* matrix, Index stride, Index rows, Index columns, bool transposed, const double* v, Index width,
                  double* out, const Kernels<T>& kernels, int threads) {
    constexpr Index across = 1024, down = 64; // a block and its part of the vectors stay in the L2 cache
    constexpr Index work_per_load = 8;
    const Index length = transposed ? columns : rows;
    const Index step = transposed ? across : down;
    std::fill_n(out, length * width, 0.0);
    const double work = static_cast<double>(rows * columns) * static_cast<double>(width + work_per_load);
    const int threads_of_it = team(work, (length + step - 1) / step, threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads_of_it)
    for (Index i = 0; i < length; i += step)
        if (transposed)
            for (Index r = 0; r < rows; r += down)
                kernels.block_transposed_times(matrix + r * stride + i, stride, std::min(down, rows - r),
                                               std::min(across, columns - i), v + r, rows, width, out + i, columns);
        else
            for (Index c = 0; c < columns; c += across)
                kernels.block_times(matrix + i * stride + c, stride, std::min(down, rows - i), std::min(across, columns - c),
                                    v + c, columns, width, out + i, rows);
}

template void kernel_times(const Request<float>&, bool, const Factors&, const Kernels<float>&, int, Monitor&);
template void kernel_times(const Request<double>&, bool, const Factors&, const Kernels<double>&, int, Monitor&);
template void matrix_times(const float*, Index, Index, Index, bool, const double*, Index, double*, const Kernels<float>&, int);
template void matrix_times(const double*, Index, Index, Index, bool, const double*, Index, double*, const Kernels<double>&, int);

} // namespace fastntk
