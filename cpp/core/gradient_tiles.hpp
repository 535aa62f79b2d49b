// Tiles of kernels with their derivatives along the directions of a program. What becomes of a tile is the derived class's.
#pragma once

#include "tiles.hpp"

namespace fastntk {

constexpr Index gradient_tile = 96; // the matrices of all directions of a tile stay in the L2 cache

// Which kernels' slopes are wanted.
struct WantedSlopes {
    bool nngp, ntk;
    bool second = false; // derivatives of K along the inputs, see cpp/isa/second_derivatives.hpp
};

constexpr Index second_derivatives = 4;

class GradientTiles : public Tiles<double> {
protected:
    // The samples of the columns have their numbers in the program so much further than they are.
    GradientTiles(const Request<double>& request, WantedSlopes wanted, Index columns_further, const KernelSet& kernels, int threads, Monitor& monitor)
        : Tiles(request, kernels.f64, threads, monitor,
                {.with_ntk = wanted.ntk || request.ntk.data, .largest = gradient_tile,
                 .further_work = static_cast<double>(request.x.program->directions()) * program_work(*request.x.program)}),
          set_(kernels), wanted_(wanted), columns_further_(columns_further), ways_(request.x.program->directions()),
          seconds_(wanted.second ? second_derivatives : 0) {
        const Index size = (ways_ + seconds_) * tile_ * tile_;
        for (std::size_t t = 0; t < scratch_.size(); ++t) {
            gap_slopes_.emplace_back(size);
            ntk_slopes_.emplace_back(with_ntk() ? size : 0);
            slots_.emplace_back(request.x.program->slots() * slot_size());
        }
    }

    bool with_ntk() const { return wanted_.ntk || request_.ntk.data; }
    Index tiles_across() const { return (y_.count + tile_ - 1) / tile_; }
    Index tiles_down() const { return (request_.x.count + tile_ - 1) / tile_; }
    std::size_t number(const Tile& tile) const { return static_cast<std::size_t>(tile.row / tile_ * tiles_across() + tile.column / tile_); }

    // Of a thread, [direction][row][column]; behind those of the gap the second derivatives.
    double* gap_slopes(const Scratch<double>& s) { return gap_slopes_[thread(s)].data(); }
    double* ntk_slopes(const Scratch<double>& s) { return ntk_slopes_[thread(s)].data(); }

    // The kernels of a tile that the request wants, over s.gap and s.ntk, and the slopes; before_row(row, first column, columns)
    // sees the gaps of the input. False if the work was given up.
    template <class BeforeRow>
    bool compute(const Tile& tile, Scratch<double>& s, const BeforeRow& before_row) {
        const Index width = round_up(tile.columns, kernels_.sliver);
        Tables<double> columns{s.column_tables.data(), tile_};
        if (y_.prepared) columns = y_.prepared->tables(y_.first + tile.column);
        else load_tables(y_.first + columns_further_ + tile.column, tile.columns, width, s.column_tables);
        load_tables(request_.x.first + tile.row, tile.rows, tile.rows, s.row_tables);
        for (Index r = 0; r < tile.rows; ++r) {
            if (watch_.stopped()) return false;
            const Index start = tile.diagonal ? r / kernels_.sliver * kernels_.sliver : 0;
            input_gaps(tile, r, start, width - start, s);
            before_row(r, start, width - start);
            compute_row(tile, r, start, width - start, columns, s);
        }
        return true;
    }

    // Of a symmetric kernel the pairs (i, j) and (j, i) are one, and below the diagonal nothing was computed.
    void load_weights(const Tile& tile, const MatrixView<const double>& given, double* weights) const {
        const auto weight = [&](Index i, Index j) { return given.data[i * given.row_stride + j * given.column_stride]; };
        for (Index r = 0; r < tile.rows; ++r) {
            const Index start = tile.diagonal ? r : 0;
            if (given.column_stride == 1)
                std::copy_n(given.data + (tile.row + r) * given.row_stride + tile.column + start, tile.columns - start, weights + r * tile_ + start);
            else
                for (Index c = start; c < tile.columns; ++c) weights[r * tile_ + c] = weight(tile.row + r, tile.column + c);
        }
        if (!request_.symmetric) return;
        for (Index c = 0; c < tile.columns; ++c)
            for (Index r = 0; r < (tile.diagonal ? c : tile.rows); ++r)
                weights[r * tile_ + c] += weight(tile.column + c, tile.row + r);
    }

    const KernelSet& set_;

private:
    // A strip, its slopes in all directions, and what is kept of it.
    struct State {
        double *gap, *ntk, *gap_slopes, *ntk_slopes;
        Index length;
        double* slots;
        Index self;
    };

    std::size_t thread(const Scratch<double>& s) const { return static_cast<std::size_t>(&s - scratch_.data()); }

    // A slot has a gap, its slopes and second derivatives, Theta and its slopes, each of a row of a tile.
    Index slot_size() const { return 2 * (1 + ways_ + seconds_) * tile_; }

    void apply(const Op<double>& op, const GradientArguments& arguments, const State& s) const {
        double* const gap = s.slots + op.slot * slot_size();
        double* const ntk = gap + slot_size() / 2;
        const OtherPart other{gap, ntk, gap + tile_, ntk + tile_, tile_, seconds_ ? gap + (1 + ways_) * tile_ : nullptr};
        switch (op.code) {
        case OpCode::save:
        case OpCode::load:
            for (Index k = -1; k < ways_ + seconds_; ++k) {
                move(op.code, k < 0 ? s.gap : s.gap_slopes + k * arguments.stride, gap + (k + 1) * tile_, s.length);
                if (s.ntk && k < ways_) move(op.code, k < 0 ? s.ntk : s.ntk_slopes + k * arguments.stride, ntk + (k + 1) * tile_, s.length);
            }
            return;
        case OpCode::add: return set_.add_gradient(arguments, other, s.gap, s.ntk);
        case OpCode::multiply: return set_.multiply_gradient(arguments, other, s.gap, s.ntk);
        default: break;
        }
        const bool masked = op.code == OpCode::dropout && s.self >= 0 && s.self < s.length;
        std::vector<double> before;
        if (masked) each_at(s, arguments.stride, [&](double& value) { before.push_back(value); });
        set_.gradients[static_cast<int>(op.code)](arguments, s.gap, s.ntk);
        std::size_t i = 0;
        if (masked) each_at(s, arguments.stride, [&](double& value) { value = before[i++]; });
    }

    static void move(OpCode code, double* strip, double* slot, Index length) {
        if (code == OpCode::save) std::copy_n(strip, length, slot);
        else std::copy_n(slot, length, strip);
    }

    // All numbers of the pair of a sample with itself.
    template <class Visit>
    void each_at(const State& s, Index stride, const Visit& visit) const {
        for (Index k = -1; k < ways_ + seconds_; ++k) {
            visit((k < 0 ? s.gap : s.gap_slopes + k * stride)[s.self]);
            if (s.ntk && k < ways_) visit((k < 0 ? s.ntk : s.ntk_slopes + k * stride)[s.self]);
        }
    }

    void compute_row(const Tile& tile, Index r, Index start, Index length, const Tables<double>& columns, Scratch<double>& s) {
        const Index at = r * tile_ + start, stride = tile_ * tile_;
        double* const gap = s.gap.data() + at;
        double* const ntk = with_ntk() ? s.ntk.data() + at : nullptr;
        double* const gap_slope = gap_slopes(s) + at;
        double* const ntk_slope = with_ntk() ? ntk_slopes(s) + at : nullptr;
        if (ntk) std::fill_n(ntk, length, 0.0);
        const bool along_inputs = request_.x.program->along_inputs();
        for (Index k = 0; k < ways_ + seconds_; ++k) {
            std::fill_n(gap_slope + k * stride, length, k == 0 && along_inputs ? 1.0 : 0.0);
            if (ntk && k < ways_) std::fill_n(ntk_slope + k * stride, length, 0.0);
        }
        for (Index k = 0; k < tables_; ++k) s.one_row.data()[k] = s.row_tables.data()[k * tile_ + r];
        const double* const scale_p = s.one_row.data();
        const double* const scale_q = columns.first + start;
        const double* p = scale_p + 1 + ways_;
        const double* q = scale_q + (1 + ways_) * columns.stride;
        const State state{gap, ntk, gap_slope, ntk_slope, length, slots_[thread(s)].data(), self(tile, r) - start};
        for (const Op<double>& op : ops()) {
            const StripArguments<double> strip{op.parameters.data(), p, q, columns.stride, length, op.values};
            apply(op, {strip, op.directions, gap_slope, ntk_slope, stride, along_inputs, seconds_ ? gap_slope + ways_ * stride : nullptr}, state);
            p += op.table_count;
            q += op.table_count * columns.stride;
        }
        if (seconds_)
            set_.finish_second(*scale_p, scale_q, scale_p[2], scale_q + 3 * columns.stride, gap, gap_slope, gap_slope + ways_ * stride, stride, length);
        for (Index k = 0; k < ways_; ++k) {
            const double* const log_q = scale_q + (1 + k) * columns.stride;
            if (wanted_.nngp) set_.finish_gap_slope(*scale_p, scale_q, scale_p[1 + k], log_q, gap, gap_slope + k * stride, length);
            if (wanted_.ntk) set_.finish_ntk_slope(*scale_p, scale_q, scale_p[1 + k], log_q, ntk, ntk_slope + k * stride, length);
        }
        kernels_.finish(*scale_p, scale_q, request_.nngp.data ? gap : nullptr, request_.ntk.data ? ntk : nullptr, length);
    }

    WantedSlopes wanted_;
    Index columns_further_;
    Index ways_, seconds_; // the directions of the program, and second derivatives
    std::vector<AlignedBuffer<double>> gap_slopes_, ntk_slopes_, slots_;
};

} // namespace fastntk
