// The nodes of some samples with those of others (mixing.hpp): a tile of pairs of nodes, on which ops that act on pairs by
// themselves run row by row, as everywhere.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>
#include <vector>

#include "buffer.hpp"
#include "mixing.hpp"
#include "panel.hpp"

namespace fastntk {

// Samples of several nodes: rows of the input, and where those of each sample begin, and the last one ends.
struct NodeSamples {
    Samples<double> nodes;
    std::span<const Index> starts;

    Index items() const { return static_cast<Index>(starts.size()) - 1; }
    const Program<double>& program() const { return *nodes.program; }
};

// Numbers from `first` on.
struct Range {
    Index first, count;
    Index end() const { return first + count; }
};

struct NodeInput {
    NodeSamples x, y;
    bool symmetric; // y is x
    Index features, directions;
    const double* centre;
};

// Memory that grows.
class Room {
public:
    double* at(Index i) { return data_.data() + i; }
    double* of(Index size) {
        if (size > size_) {
            data_ = AlignedBuffer<double>(size);
            size_ = size;
        }
        return data_.data();
    }

private:
    AlignedBuffer<double> data_;
    Index size_ = 0;
};

// At some place of the network: where the nodes of each sample begin.
struct Level {
    std::span<const Index> x, y;
};
struct Slot {
    Level level;
    Room gap, ntk;
};

// What a tile has on its way, with no more memory than that takes: of many tiles, one after the other goes on in the same room.
class TileState {
public:
    Index rows() const { return x_.count; }
    Index columns() const { return y_.count; }

protected:
    std::size_t next_ = 0; // op
    Range items_x_{}, items_y_{}, x_{}, y_{};
    Level level_;
    Index width_ = 0;
    Room gap_, ntk_;
    std::vector<Slot> slots_;
};

class NodeTile : public TileState {
public:
    // Of `threads` that share a large tile.
    NodeTile(const NodeInput& input, const Kernels<double>& kernels, bool with_ntk, int threads)
        : input_(input), kernels_(kernels), with_ntk_(with_ntk), threads_(threads) {}

    // All pairs of nodes of these samples, at the input. False if it was stopped, here and below.
    template <class Stopped>
    bool begin(const Range& x, const Range& y, const Stopped& stopped) {
        items_x_ = x;
        items_y_ = y;
        next_ = 0;
        set_level({input_.x.starts, input_.y.starts});
        return multiply(stopped);
    }

    void exchange(TileState& other) { std::swap(static_cast<TileState&>(*this), other); }

    // Of rows, which are whole slivers.
    Index pitch() const { return width_; }
    Range row_range() const { return x_; }
    Range column_range() const { return y_; }
    double* gap() { return gap_.at(0); }
    double* ntk() { return with_ntk_ ? ntk_.at(0) : nullptr; }

    // K and Theta in place of gaps, at the end of the program.
    void finish(const std::vector<double>& deviations_x, const std::vector<double>& deviations_y) {
        load(deviations_y.data() + y_.first, q_);
        for_rows([&](Index r) {
            kernels_.finish(deviations_x[static_cast<std::size_t>(x_.first + r)], q_.at(0), gap() + r * width_,
                            ntk() ? ntk() + r * width_ : nullptr, width_);
        });
    }

    // body(row) of all rows.
    template <class Body>
    void for_rows(const Body& body) {
        constexpr Index some = 16;
        for_parts((rows() + some - 1) / some, [&](Index part, int) {
            for (Index r = part * some; r < std::min(rows(), (part + 1) * some); ++r) body(r);
            return true;
        });
    }

protected:
    // body(part, thread) of all parts, until one is false: then it was stopped, and so is the rest.
    template <class Body>
    bool for_parts(Index parts, const Body& body) {
        if (threads_ == 1) {
            for (Index part = 0; part < parts; ++part)
                if (!body(part, 0)) return false;
            return true;
        }
        std::atomic<bool> goes_on{true};
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
        for (Index part = 0; part < parts; ++part)
            if (goes_on.load(std::memory_order_relaxed) && !body(part, omp_get_thread_num())) goes_on.store(false, std::memory_order_relaxed);
        return goes_on;
    }

    static Range nodes(std::span<const Index> starts, const Range& items) {
        const Index first = starts[static_cast<std::size_t>(items.first)];
        return {first, starts[static_cast<std::size_t>(items.end())] - first};
    }

    void set_level(const Level& level) {
        level_ = level;
        x_ = nodes(level.x, items_x_);
        y_ = nodes(level.y, items_y_);
        width_ = round_up(std::max<Index>(1, y_.count), kernels_.sliver);
    }

    // Rows are whole vectors too, to be transposed.
    static Index area(Index row_count, Index width) { return round_up(std::max<Index>(1, row_count), Panel<double>::max_sliver) * width; }
    void make_room() {
        gap_.of(area(rows(), width_));
        if (with_ntk_) ntk_.of(area(rows(), width_));
    }

    // Slivers of rows that are one part of a product.
    static constexpr Index row_count_of_a_product = 8;

    template <class Stopped>
    bool multiply(const Stopped& stopped) {
        make_room();
        const Index depth_of_all = depth_of_block(input_.directions), row_count = rows();
        const Index a_rows = round_up(std::max<Index>(1, row_count), kernels_.sliver);
        double *const a = k_.of((a_rows + width_) * depth_of_all), *const b = a + a_rows * depth_of_all;
        half_norms_.assign(static_cast<std::size_t>(a_rows + width_), 0.0);
        double *const half_a = half_norms_.data(), *const half_b = half_a + a_rows;
        for (Index begin = 0; begin < input_.directions; begin += depth_of_all) {
            if (stopped()) return false;
            const Index end = std::min(begin + depth_of_all, input_.directions);
            pack_rows(kernels_, input_.x.nodes, x_.first, row_count, input_.features, begin, end, input_.centre, a, half_a);
            pack_rows(kernels_, input_.y.nodes, y_.first, y_.count, input_.features, begin, end, input_.centre, b, half_b);
            const Index depth = end - begin, some = row_count_of_a_product * kernels_.sliver;
            for_parts((row_count + some - 1) / some, [&](Index part, int) {
                const Index r = part * some;
                kernels_.product(std::min(some, row_count - r), width_ / kernels_.sliver, depth, {a + r * depth, b}, {}, gap() + r * width_,
                                 width_, begin > 0);
                return true;
            });
        }
        flagged_.resize(static_cast<std::size_t>(width_) * static_cast<std::size_t>(threads_));
        constexpr Index some = 16;
        return for_parts((row_count + some - 1) / some, [&](Index part, int thread) {
            std::int32_t* const own = flagged_.data() + thread * width_;
            for (Index r = part * some; r < std::min(row_count, (part + 1) * some); ++r) {
                double* const row = gap() + r * width_;
                const Index flagged = kernels_.input_gap(half_a[r], half_b, row, width_, own);
                for (Index f = 0; f < flagged; ++f) {
                    const Index j = own[f];
                    if (j < columns()) row[j] = direct_gap(x_.first + r, y_.first + j);
                }
                if (ntk()) std::fill_n(ntk() + r * width_, width_, 0.0);
            }
            return !stopped();
        });
    }

    double direct_gap(Index p, Index q) const {
        const Samples<double>&x = input_.x.nodes, &y = input_.y.nodes;
        if (const auto* rows = std::get_if<Rows<float>>(&x.rows))
            return kernels_.direct_gap_float(*rows, p, std::get<Rows<float>>(y.rows), q, input_.features);
        return kernels_.direct_gap_double(std::get<Rows<double>>(x.rows), p, std::get<Rows<double>>(y.rows), q, input_.features);
    }

    // Of the columns one table, filled up.
    void load(const double* table, Room& room) { fill(table, room.of(width_)); }
    void fill(const double* table, double* target) const {
        std::copy_n(table, columns(), target);
        std::fill(target + columns(), target + width_, 0.0);
    }

    // Of ops those of the columns, [table][column], and those of the rows, [row][table].
    void load_tables(std::size_t from, std::size_t to) {
        const Program<double>&x = input_.x.program(), &y = input_.y.program();
        table_count_ = 0;
        for (std::size_t i = from; i < to; ++i) table_count_ += x.ops()[i].table_count;
        double* q = q_.of(table_count_ * width_);
        double* const p = p_.of(table_count_ * std::max<Index>(1, rows()));
        Index table = 0;
        for (std::size_t i = from; i < to; ++i) {
            const Op<double>&of_x = x.ops()[i], &of_y = y.ops()[i];
            if (of_x.table_count == 0) continue;
            const Index all_x = level_.x.back(), all_y = level_.y.back();
            for (Index t = 0; t < of_x.table_count; ++t, ++table, q += width_) {
                fill(of_y.tables.data() + t * all_y + y_.first, q);
                const double* const source = of_x.tables.data() + t * all_x + x_.first;
                for (Index r = 0; r < rows(); ++r) p[r * table_count_ + table] = source[r];
            }
        }
    }

    // Rows that go together through ops whose tables were loaded: many, in the first-level cache, where nothing is of a row.
    Index rows_together(std::size_t from, std::size_t to) const {
        constexpr Index numbers = 1024;
        const auto begin = input_.x.program().ops().begin();
        const auto of_a_row = [](const Op<double>& op) { return op.table_count > 0 || op.rule || op.code == OpCode::dropout; };
        const bool alone = std::any_of(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to), of_a_row);
        return alone ? 1 : std::max<Index>(1, numbers / width_);
    }
    template <class Stopped>
    bool through(std::size_t from, std::size_t to, Index r, Index row_count, const Stopped& stopped) {
        const Index length = row_count * width_;
        const std::vector<Op<double>>& ops = input_.x.program().ops();
        const double *p = p_.at(r * table_count_), *q = q_.at(0);
        double *const gap_row = gap() + r * width_, *const ntk_row = ntk() ? ntk() + r * width_ : nullptr;
        const Strip<double> strip{gap_row, ntk_row, length, nullptr, length, self(r)};
        for (std::size_t i = from; i < to; ++i) {
            const Op<double>& op = ops[i];
            if (op.code == OpCode::add || op.code == OpCode::multiply) {
                Slot& other = slots_[static_cast<std::size_t>(op.slot)];
                const auto function = (op.code == OpCode::add ? kernels_.add : kernels_.multiply)[op_variant(op.nonnegative, with_ntk_)];
                function({op.parameters.data(), p, q, width_, length}, other.gap.at(r * width_), with_ntk_ ? other.ntk.at(r * width_) : nullptr,
                         gap_row, ntk_row);
            } else {
                // Slow ops stop to look up: they take long over a strip.
                const Index step = op.rule ? kernels_.sliver : length;
                for (Index j = 0; j < length; j += step) {
                    if (op.rule && stopped()) return false;
                    op.apply(kernels_, p, q + j, width_, strip.part(j, step));
                }
            }
            p += op.table_count;
            q += op.table_count * width_;
        }
        return true;
    }

    // The column of a row's own node, or one outside.
    Index self(Index r) const {
        const Index at = x_.first + r - y_.first;
        return input_.symmetric && at < columns() ? at : -1;
    }

    void save(Index slot) {
        if (slots_.size() <= static_cast<std::size_t>(slot)) slots_.resize(static_cast<std::size_t>(slot) + 1);
        Slot& kept = slots_[static_cast<std::size_t>(slot)];
        kept.level = level_;
        const Index size = rows() * width_;
        std::copy_n(gap(), size, kept.gap.of(area(rows(), width_)));
        if (ntk()) std::copy_n(ntk(), size, kept.ntk.of(area(rows(), width_)));
    }

    void load(Index slot) {
        Slot& kept = slots_[static_cast<std::size_t>(slot)];
        set_level(kept.level);
        make_room();
        const Index size = rows() * width_;
        std::copy_n(kept.gap.at(0), size, gap());
        if (ntk()) std::copy_n(kept.ntk.at(0), size, ntk());
    }

    const NodeInput& input_;
    const Kernels<double>& kernels_;
    bool with_ntk_;
    int threads_;
    Index table_count_ = 0;
    Room k_, theta_, p_, q_;
    std::vector<double> half_norms_;
    std::vector<std::int32_t> flagged_;
};

} // namespace fastntk
