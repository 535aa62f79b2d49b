// The tiles of a kernel matrix: which there are, who computes them, the inner products of their rows, and the way of the
// results to where they belong. What is done with a tile of inner products is the caller's.
#pragma once

#include <omp.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "prepared.hpp"

namespace fastntk {

constexpr Index largest_tile = 192; // a multiple of every sliver; 96 and 144 were not faster
constexpr Index smallest_tile = 48;

// Results above this many bytes are written past the caches.
constexpr Index larger_than_caches = Index{8} << 20;

// Tiles small enough for so many threads, however many there are: their size is part of the bits of a result, as the
// pairs of a chunk share the terms of an expansion, and the sums of a tile their order.
constexpr Index busy_threads = 4;

struct Tile {
    Index row, rows, column, columns;
    bool diagonal; // of a symmetric kernel
};

// Asks the monitor every 50 ms, from the calling thread only; every thread sees its answer.
class Watch {
public:
    Watch(Monitor& monitor, double total) : monitor_(monitor), total_(total), last_(Clock::now()) {}

    bool stopped() {
        if (stopped_.load(std::memory_order_relaxed)) return true;
        if (omp_get_thread_num() == 0 && Clock::now() - last_ > std::chrono::milliseconds(50)) {
            last_ = Clock::now();
            if (!monitor_.report(static_cast<double>(done_.load(std::memory_order_relaxed)) / total_))
                stopped_.store(true, std::memory_order_relaxed);
        }
        return stopped_.load(std::memory_order_relaxed);
    }
    void add_done(Index pairs) { done_.fetch_add(pairs, std::memory_order_relaxed); }

private:
    using Clock = std::chrono::steady_clock;
    Monitor& monitor_;
    double total_;
    Clock::time_point last_;
    std::atomic<Index> done_{0};
    std::atomic<bool> stopped_{false};
};

// What one thread needs for one tile.
template <class T>
struct Scratch {
    AlignedBuffer<T> gap, ntk, column_tables, row_tables, one_row, half_norm, packed, slots;
    AlignedBuffer<double> half_norm_sum;
    AlignedBuffer<std::int32_t> flagged;
};

// How the matrix is cut.
struct Cut {
    bool with_ntk = false;
    Index largest = largest_tile;
    Index tiles_of_a_panel = 0; // at most so many; 0: as many as are good for the caches
    double further_work = 0;    // of a pair, beyond that of the program
};

template <class T>
class Tiles {
public:
    Tiles(const Request<T>& request, const Kernels<T>& kernels, int threads, Monitor& monitor, const Cut& cut)
        : request_(request), kernels_(kernels), y_(request.symmetric ? request.x : request.y),
          directions_(request.directions), depth_(depth_of_block(directions_)),
          watch_(monitor, static_cast<double>(pair_count())) {
        const Index longest = std::max(request.x.count, y_.count);
        tile_ = std::min(cut.largest, round_up(y_.prepared ? y_.count : longest, smallest_tile));
        // A row is to get the same bits whatever others are asked with it: only what was prepared counts.
        while (!y_.prepared && tile_ > smallest_tile && pair_count() < 4 * busy_threads * tile_ * tile_) tile_ /= 2;
        tile_ = round_up(tile_, smallest_tile);
        const double work = static_cast<double>(directions_) + program_work(*request.x.program) + cut.further_work;
        threads_ = team(work * static_cast<double>(pair_count()), tile_count(), threads);

        const Index row_bytes = directions_ * static_cast<Index>(sizeof(T));
        panel_rows_ = panel_bytes / row_bytes / tile_ * tile_;
        if (request.symmetric && longest <= 2 * panel_rows_) panel_rows_ = longest;
        panel_rows_ = std::min(panel_rows_, longest);
        // Panels of so few tiles would leave threads idle: then every tile packs its own rows, block by block.
        const Index across = panel_rows_ / tile_;
        streaming_ = panel_rows_ < longest && across * across < Index{8} * threads_;
        if (streaming_) panel_rows_ = longest;
        if (cut.tiles_of_a_panel) panel_rows_ = std::min(panel_rows_, cut.tiles_of_a_panel * tile_);

        streaming_stores_ = request.x.count * y_.count * static_cast<Index>(sizeof(T)) > larger_than_caches;

        output_tables_ = request.x.program->output_tables();
        tables_ = static_cast<Index>(output_tables_.size());
        for (const Op<T>& op : ops()) tables_ += op.table_count;
        for (int t = 0; t < threads_; ++t) scratch_.push_back(make_scratch(cut.with_ntk));
        const auto capacity = [&](const Samples<T>& samples) { return streaming_ ? 0 : std::min(panel_rows_, samples.count); };
        rows_ = std::make_unique<Panel<T>>(capacity(request.x), directions_, kernels.sliver);
        const bool no_columns = (request.symmetric && panel_rows_ >= longest) || prepared_panel();
        columns_ = std::make_unique<Panel<T>>(no_columns ? 0 : capacity(y_), directions_, kernels.sliver);
    }

    // Calls finish_tile(tile, scratch) with the inner products of each tile in scratch.gap, and, with every thread of the
    // team, finish_panels(row, row_count, column, column_count) after the tiles of each pair of panels.
    template <class FinishTile, class FinishPanels>
    void run(const FinishTile& finish_tile, const FinishPanels& finish_panels) {
        const auto stopped = [this] { return watch_.stopped(); };
#pragma omp parallel num_threads(threads_)
        for (Index i = 0; i < request_.x.count; i += panel_rows_) {
            const Index row_count = std::min(panel_rows_, request_.x.count - i);
            if (!streaming_) rows_->fill(kernels_, request_, request_.x, i, row_count, stopped);
            for (Index j = request_.symmetric ? i : 0; j < y_.count; j += panel_rows_) {
                const Index column_count = std::min(panel_rows_, y_.count - j);
                const bool same = request_.symmetric && i == j;
                if (!streaming_ && !same && !prepared_panel()) columns_->fill(kernels_, request_, y_, j, column_count, stopped);
                run_panels(i, row_count, j, column_count, same, finish_tile);
                finish_panels(i, row_count, j, column_count);
            }
        }
    }

    template <class FinishTile>
    void run(const FinishTile& finish_tile) {
        run(finish_tile, [](Index, Index, Index, Index) {});
    }

    void write(const Tile& tile, T* values, const MatrixView<T>& out) const {
        if (tile.diagonal) mirror_upper_triangle(values, tile.rows);
        place(values, tile, out, tile.row, tile.column, false);
        if (request_.symmetric && !tile.diagonal) place(values, tile, out, tile.column, tile.row, true);
    }

protected:
    const std::vector<Op<T>>& ops() const { return request_.x.program->ops(); }

    // That of all samples of y, if there is one, and theirs begin with a sliver.
    const Panel<T>* prepared_panel() const {
        return y_.prepared && y_.first % kernels_.sliver == 0 ? y_.prepared->panel() : nullptr;
    }

    Index pair_count() const { return pairs(request_.x.count, y_.count); }
    Index tile_count() const { return pairs((request_.x.count + tile_ - 1) / tile_, (y_.count + tile_ - 1) / tile_); }
    Index pairs(Index rows, Index columns) const { return request_.symmetric ? rows * (rows + 1) / 2 : rows * columns; }

    Scratch<T> make_scratch(bool with_ntk) const {
        Scratch<T> s;
        const Index rows = std::min(tile_, round_up(request_.x.count, kernels_.sliver));
        s.gap = AlignedBuffer<T>(rows * tile_);
        s.ntk = AlignedBuffer<T>(with_ntk ? rows * tile_ : 0);
        s.column_tables = AlignedBuffer<T>(y_.prepared ? 0 : tables_ * tile_);
        s.row_tables = AlignedBuffer<T>(tables_ * tile_);
        s.one_row = AlignedBuffer<T>(tables_);
        s.half_norm = AlignedBuffer<T>(2 * tile_);
        s.slots = AlignedBuffer<T>(2 * request_.x.program->slots() * tile_);
        s.flagged = AlignedBuffer<std::int32_t>(tile_);
        if (streaming_) {
            s.packed = AlignedBuffer<T>(2 * tile_ * depth_);
            s.half_norm_sum = AlignedBuffer<double>(2 * tile_);
        }
        return s;
    }

    // Every thread of the team; the tiles of one pair of panels, in any order.
    template <class FinishTile>
    void run_panels(Index row, Index row_count, Index column, Index column_count, bool same,
                    const FinishTile& finish_tile) {
        const Index tile_rows = round_up(row_count, tile_) / tile_;
        const Index tile_columns = round_up(column_count, tile_) / tile_;
        Scratch<T>& scratch = scratch_[static_cast<std::size_t>(omp_get_thread_num())];
#pragma omp for schedule(dynamic)
        for (Index t = 0; t < tile_rows * tile_columns; ++t) {
            const Index a = t / tile_columns * tile_;
            const Index b = t % tile_columns * tile_;
            if ((same && b < a) || watch_.stopped()) continue;
            const Tile tile{row + a, std::min(tile_, row_count - a), column + b, std::min(tile_, column_count - b),
                            same && a == b};
            if (!(streaming_ ? multiply_streaming(tile, scratch) : multiply(tile, same, scratch))) continue;
            finish_tile(tile, scratch);
            watch_.add_done(tile.diagonal ? tile.rows * (tile.rows + 1) / 2 : tile.rows * tile.columns);
        }
    }

    bool multiply(const Tile& tile, bool same, Scratch<T>& s) {
        const Panel<T>* const prepared = prepared_panel();
        const Panel<T>& columns = prepared ? *prepared : same ? *rows_ : *columns_;
        const Index column = prepared ? y_.first + tile.column : tile.column;
        const Index a_slivers = round_up(tile.rows, kernels_.sliver) / kernels_.sliver;
        const Index b_slivers = round_up(tile.columns, kernels_.sliver) / kernels_.sliver;
        const auto factors = [&](Index begin) -> PackedPair<T> {
            if (begin >= directions_) return {};
            const Index end = std::min(begin + depth_, directions_);
            return {rows_->block(tile.row, begin, end), columns.block(column, begin, end)};
        };
        for (Index begin = 0; begin < directions_; begin += depth_) {
            const Index depth = std::min(depth_, directions_ - begin);
            const PackedPair<T> now = factors(begin);
            if (!tile.diagonal) {
                kernels_.product(tile.rows, b_slivers, depth, now, factors(begin + depth_), s.gap.data(), tile_, begin > 0);
            } else {
                for (Index i = 0; i < a_slivers; ++i) { // below the diagonal nothing is needed
                    const Index done = i * kernels_.sliver;
                    kernels_.product(std::min(kernels_.sliver, tile.rows - done), b_slivers - i, depth,
                                     {now.a + done * depth, now.b + done * depth}, {},
                                     s.gap.data() + done * tile_ + done, tile_, begin > 0);
                }
            }
            if (watch_.stopped()) return false;
        }
        std::copy_n(rows_->half_norm(tile.row), a_slivers * kernels_.sliver, s.half_norm.data());
        std::copy_n(columns.half_norm(column), b_slivers * kernels_.sliver, s.half_norm.data() + tile_);
        return true;
    }

    bool multiply_streaming(const Tile& tile, Scratch<T>& s) {
        const Index columns = round_up(tile.columns, kernels_.sliver);
        T* const packed_columns = s.packed.data() + tile_ * depth_;
        std::fill_n(s.half_norm_sum.data(), 2 * tile_, 0.0);
        for (Index begin = 0; begin < directions_; begin += depth_) {
            const Index end = std::min(begin + depth_, directions_);
            pack_rows(kernels_, request_.x, tile.row, tile.rows, request_.features, begin, end, request_.centre,
                      s.packed.data(), s.half_norm_sum.data());
            pack_rows(kernels_, y_, tile.column, tile.columns, request_.features, begin, end, request_.centre,
                      packed_columns, s.half_norm_sum.data() + tile_);
            kernels_.product(tile.rows, columns / kernels_.sliver, end - begin, {s.packed.data(), packed_columns}, {},
                             s.gap.data(), tile_, begin > 0);
            if (watch_.stopped()) return false;
        }
        std::transform(s.half_norm_sum.data(), s.half_norm_sum.data() + 2 * tile_, s.half_norm.data(),
                       [](double half) { return static_cast<T>(half); });
        return true;
    }

    void mirror_upper_triangle(T* values, Index size) const {
        for (Index r = 1; r < size; ++r)
            for (Index c = 0; c < r; ++c) values[r * tile_ + c] = values[c * tile_ + r];
    }

    // The tile, or its transpose, at (row, column) of a result of any strides.
    void place(const T* values, const Tile& tile, const MatrixView<T>& out, Index row, Index column,
               bool transposed) const {
        T* const target = out.data + row * out.row_stride + column * out.column_stride;
        if (out.column_stride == 1 || out.row_stride == 1) {
            const bool flip = (out.column_stride != 1) != transposed;
            (flip ? kernels_.write_tile_transposed : kernels_.write_tile)(
                values, tile_, tile.rows, tile.columns, target, out.column_stride == 1 ? out.row_stride : out.column_stride,
                streaming_stores_);
            return;
        }
        const Index down = transposed ? out.column_stride : out.row_stride;
        const Index right = transposed ? out.row_stride : out.column_stride;
        for (Index r = 0; r < tile.rows; ++r)
            for (Index c = 0; c < tile.columns; ++c) target[r * down + c * right] = values[r * tile_ + c];
    }

    // Of `count` samples: the tables of the output, then those of every op, each filled up to `length` with the last
    // sample once more: tables of zeros would make pairs of rho = 1, over which expansions take longest.
    void load_tables(Index first, Index count, Index length, AlignedBuffer<T>& buffer) const {
        T* target = buffer.data();
        const auto load = [&](const T* table) {
            std::copy_n(table + first, count, target);
            std::fill(target + count, target + length, target[count - 1]);
            target += tile_;
        };
        for (const std::vector<T>& table : output_tables_) load(table.data());
        for (const Op<T>& op : ops())
            for (Index k = 0; k < op.table_count; ++k) load(op.tables.data() + k * request_.x.program->samples());
    }

    // Of the columns of a tile, and some more: where they were prepared, or copied to where ops read them quickly.
    Tables<T> column_tables(const Tile& tile, Index length, Scratch<T>& s) const {
        if (y_.prepared) return y_.prepared->tables(y_.first + tile.column);
        load_tables(y_.first + tile.column, tile.columns, length, s.column_tables);
        return {s.column_tables.data(), tile_};
    }

    // The column of a tile where the sample of row r is, or one outside.
    Index self(const Tile& tile, Index r) const {
        if (y_.prepared) return -1;
        return request_.x.first + tile.row + r - (y_.first + tile.column);
    }

    void input_gaps(const Tile& tile, Index r, Index start, Index length, Scratch<T>& s) const {
        T* const gap = s.gap.data() + r * tile_ + start;
        const Index flagged = kernels_.input_gap(s.half_norm.data()[r], s.half_norm.data() + tile_ + start, gap, length,
                                                 s.flagged.data());
        for (Index f = 0; f < flagged; ++f) {
            const Index j = s.flagged.data()[f];
            if (start + j < tile.columns) gap[j] = direct_gap(tile.row + r, tile.column + start + j);
        }
    }

    T direct_gap(Index p, Index q) const {
        if (const auto* x = std::get_if<Rows<float>>(&request_.x.rows))
            return static_cast<T>(kernels_.direct_gap_float(*x, p, std::get<Rows<float>>(y_.rows), q, request_.features));
        return static_cast<T>(kernels_.direct_gap_double(std::get<Rows<double>>(request_.x.rows), p,
                                                         std::get<Rows<double>>(y_.rows), q, request_.features));
    }

    const Request<T>& request_;
    const Kernels<T>& kernels_;
    const Samples<T>& y_;
    Index directions_;
    Index depth_;
    Watch watch_;
    int threads_ = 1;
    Index tile_ = 0;
    Index panel_rows_ = 0;
    bool streaming_ = false;
    bool streaming_stores_ = false;
    std::vector<std::vector<T>> output_tables_;
    Index tables_ = 0;
    std::vector<Scratch<T>> scratch_;
    std::unique_ptr<Panel<T>> rows_, columns_;
};

} // namespace fastntk
