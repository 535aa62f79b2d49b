#include "matrix_product.hpp"

#include <algorithm>

#include "buffer.hpp"
#include "panel.hpp"
#include "team.hpp"

namespace fastntk {
namespace {

constexpr Index strip = 96;   // rows of a task, a multiple of every sliver
constexpr Index deep = 128;   // of one pass of the micro-kernel
constexpr Index widest = 480; // of v at a time, likewise

class Multiplication {
public:
    Multiplication(const RowProduct& product, const Kernels<double>& kernels, int threads, const std::function<bool()>& stopped)
        : m_(product), kernels_(kernels), stopped_(stopped), sliver_(kernels.sliver),
          threads_(team(static_cast<double>(m_.rows) * static_cast<double>(m_.depth * m_.width), round_up(m_.rows, strip) / strip, threads)),
          columns_(round_up(std::min(m_.width, widest), sliver_)), right_(columns_ * m_.depth) {}

    void run() {
#pragma omp parallel num_threads(threads_)
        {
            AlignedBuffer<double> left(strip * deep), sums(strip * columns_);
            for (Index first = 0; first < m_.width; first += widest) {
                const Index width = std::min(widest, m_.width - first);
#pragma omp for schedule(static)
                for (Index k = 0; k < m_.depth; ++k) pack_right(first, width, k);
#pragma omp for schedule(dynamic)
                for (Index row = 0; row < m_.rows; row += strip)
                    if (!stopped_()) multiply(row, first, width, left.data(), sums.data());
            }
        }
    }

private:
    // [depth block][sliver][row of v in block][lane]
    void pack_right(Index first, Index width, Index k) {
        const Index begin = k / deep * deep, depth = std::min(deep, m_.depth - begin), whole = round_up(width, sliver_);
        double* const block = right_.data() + whole * begin + (k - begin) * sliver_;
        const double* const row = m_.v + k * m_.width + first;
        for (Index j = 0; j < whole; j += sliver_) {
            const Index count = std::min(sliver_, width - j);
            double* const target = block + j * depth;
            std::copy_n(row + j, count, target);
            std::fill(target + count, target + sliver_, 0.0);
        }
    }

    // [sliver][column of a in block][lane]
    void pack_left(Index row, Index rows, Index begin, Index depth, double* packed) const {
        const auto& a = m_.a;
        for (Index i = 0; i < rows; i += sliver_) {
            const Index count = std::min(sliver_, rows - i);
            double* const target = packed + i * depth;
            const double* const source = a.data + (row + i) * a.row_stride + begin * a.column_stride;
            if (a.row_stride == 1)
                for (Index k = 0; k < depth; ++k) std::copy_n(source + k * a.column_stride, count, target + k * sliver_);
            else
                for (Index lane = 0; lane < count; ++lane)
                    for (Index k = 0; k < depth; ++k) target[k * sliver_ + lane] = source[lane * a.row_stride + k * a.column_stride];
        }
    }

    void multiply(Index row, Index first, Index width, double* left, double* sums) const {
        const Index rows = std::min(strip, m_.rows - row), whole = round_up(width, sliver_);
        std::fill_n(left, strip * deep, 0.0); // lanes of no row are read
        for (Index begin = 0; begin < m_.depth; begin += deep) {
            const Index depth = std::min(deep, m_.depth - begin);
            pack_left(row, rows, begin, depth, left);
            kernels_.product(rows, whole / sliver_, depth, {left, right_.data() + whole * begin}, {}, sums, whole, begin > 0);
        }
        for (Index r = 0; r < rows; ++r) {
            double* const out = m_.out + (row + r) * m_.width + first;
            for (Index j = 0; j < width; ++j) out[j] += sums[r * whole + j];
        }
    }

    const RowProduct& m_;
    const Kernels<double>& kernels_;
    const std::function<bool()>& stopped_;
    Index sliver_;
    int threads_;
    Index columns_;
    AlignedBuffer<double> right_;
};

} // namespace

void add_product(const RowProduct& product, const Kernels<double>& kernels, int threads, const std::function<bool()>& stopped) {
    if (product.rows == 0 || product.depth == 0) return;
    Multiplication(product, kernels, threads, stopped).run();
}

} // namespace fastntk
