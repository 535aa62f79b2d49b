#include "gradient.hpp"

#include "tiles.hpp"

namespace fastntk {
namespace {

constexpr Index gradient_tile = 96; // the matrices of all directions of a tile stay in the L2 cache

class GradientEngine : public Tiles<double> {
public:
    GradientEngine(const Request<double>& request, const Slopes& nngp, const Slopes& ntk, const KernelSet& kernels,
                   int threads, Monitor& monitor)
        : Tiles(request, kernels.f64, threads, monitor,
                {.with_ntk = ntk.wanted || request.ntk.data, .largest = gradient_tile,
                 .further_work = static_cast<double>(request.x.program->directions()) * program_work(*request.x.program)}),
          set_(kernels), nngp_(nngp), ntk_(ntk),
          directions_(request.x.program->directions()), across_((y_.count + tile_ - 1) / tile_) {
        const Index size = directions_ * tile_ * tile_;
        for (std::size_t t = 0; t < scratch_.size(); ++t) {
            gap_slopes_.emplace_back(size);
            ntk_slopes_.emplace_back(with_ntk() ? size : 0);
            slots_.emplace_back(request.x.program->slots() * slot_size());
        }
        const Index tiles = (request.x.count + tile_ - 1) / tile_ * across_;
        if (nngp.sums) nngp_sums_.assign(static_cast<std::size_t>(tiles * directions_), 0.0);
        if (ntk.sums) ntk_sums_.assign(static_cast<std::size_t>(tiles * directions_), 0.0);
    }

    void finish(const Tile& tile, Scratch<double>& s) {
        const auto thread = static_cast<std::size_t>(&s - scratch_.data());
        double* const gap_slopes = gap_slopes_[thread].data();
        double* const ntk_slopes = ntk_slopes_[thread].data();
        const Index width = round_up(tile.columns, kernels_.sliver);
        load_tables(y_.first + tile.column, tile.columns, width, s.column_tables);
        load_tables(request_.x.first + tile.row, tile.rows, tile.rows, s.row_tables);
        for (Index r = 0; r < tile.rows; ++r) {
            if (watch_.stopped()) return;
            const Index start = tile.diagonal ? r / kernels_.sliver * kernels_.sliver : 0;
            finish_row(tile, r, start, width - start, s, gap_slopes, ntk_slopes, slots_[thread].data());
        }
        if (request_.nngp.data) write(tile, s.gap.data(), request_.nngp);
        if (request_.ntk.data) write(tile, s.ntk.data(), request_.ntk);
        deliver(tile, gap_slopes, nngp_, nngp_sums_, s.gap.data());
        if (with_ntk()) deliver(tile, ntk_slopes, ntk_, ntk_sums_, s.gap.data());
    }

    // Tile by tile, in their order.
    void add_up() const {
        for (const auto& [slopes, sums] : {std::pair{&nngp_, &nngp_sums_}, std::pair{&ntk_, &ntk_sums_}})
            if (slopes->sums)
                for (std::size_t i = 0; i < sums->size(); ++i) slopes->sums[i % static_cast<std::size_t>(directions_)] += (*sums)[i];
    }

private:
    bool with_ntk() const { return ntk_.wanted || request_.ntk.data; }

    // A strip, its slopes in all directions, and what is kept of it.
    struct State {
        double *gap, *ntk, *gap_slopes, *ntk_slopes;
        Index length;
        double* slots;
        Index self;
    };

    // A slot has a gap, its slopes, Theta and its slopes, each of a row of a tile.
    Index slot_size() const { return 2 * (1 + directions_) * tile_; }

    void apply(const Op<double>& op, const GradientArguments& arguments, const State& s) const {
        double* const gap = s.slots + op.slot * slot_size();
        double* const ntk = gap + slot_size() / 2;
        switch (op.code) {
        case OpCode::save:
        case OpCode::load:
            for (Index k = -1; k < directions_; ++k) {
                move(op.code, k < 0 ? s.gap : s.gap_slopes + k * arguments.stride, gap + (k + 1) * tile_, s.length);
                if (s.ntk) move(op.code, k < 0 ? s.ntk : s.ntk_slopes + k * arguments.stride, ntk + (k + 1) * tile_, s.length);
            }
            return;
        case OpCode::add: return set_.add_gradient(arguments, {gap, ntk, gap + tile_, ntk + tile_, tile_}, s.gap, s.ntk);
        case OpCode::multiply: return set_.multiply_gradient(arguments, {gap, ntk, gap + tile_, ntk + tile_, tile_}, s.gap, s.ntk);
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
        for (Index k = -1; k < directions_; ++k) {
            visit((k < 0 ? s.gap : s.gap_slopes + k * stride)[s.self]);
            if (s.ntk) visit((k < 0 ? s.ntk : s.ntk_slopes + k * stride)[s.self]);
        }
    }

    void finish_row(const Tile& tile, Index r, Index start, Index length, Scratch<double>& s, double* gap_slopes,
                    double* ntk_slopes, double* slots) {
        const Index at = r * tile_ + start, stride = tile_ * tile_;
        double* const gap = s.gap.data() + at;
        double* const ntk = with_ntk() ? s.ntk.data() + at : nullptr;
        double* const gap_slope = gap_slopes + at;
        double* const ntk_slope = with_ntk() ? ntk_slopes + at : nullptr;
        input_gaps(tile, r, start, length, s);
        if (ntk) std::fill_n(ntk, length, 0.0);
        for (Index k = 0; k < directions_; ++k) {
            std::fill_n(gap_slope + k * stride, length, 0.0);
            if (ntk) std::fill_n(ntk_slope + k * stride, length, 0.0);
        }
        for (Index k = 0; k < tables_; ++k) s.one_row.data()[k] = s.row_tables.data()[k * tile_ + r];
        const double* const scale_p = s.one_row.data();
        const double* const scale_q = s.column_tables.data() + start;
        const double* p = scale_p + 1 + directions_;
        const double* q = scale_q + (1 + directions_) * tile_;
        const State state{gap, ntk, gap_slope, ntk_slope, length, slots, self(tile, r) - start};
        for (const Op<double>& op : ops()) {
            apply(op, {{op.parameters.data(), p, q, tile_, length, op.values}, op.directions, gap_slope, ntk_slope, stride}, state);
            p += op.table_count;
            q += op.table_count * tile_;
        }
        for (Index k = 0; k < directions_; ++k) {
            const double* const log_q = scale_q + (1 + k) * tile_;
            if (nngp_.wanted)
                set_.finish_gap_slope(*scale_p, scale_q, scale_p[1 + k], log_q, gap, gap_slope + k * stride, length);
            if (ntk_.wanted)
                set_.finish_ntk_slope(*scale_p, scale_q, scale_p[1 + k], log_q, ntk, ntk_slope + k * stride, length);
        }
        kernels_.finish(*scale_p, scale_q, request_.nngp.data ? gap : nullptr, request_.ntk.data ? ntk : nullptr, length);
    }

    // With room for the weights of a tile.
    void deliver(const Tile& tile, double* tiles, const Slopes& slopes, std::vector<double>& sums, double* weights) {
        if (!slopes.wanted) return;
        if (slopes.sums) load_weights(tile, slopes.weights, weights);
        for (Index k = 0; k < directions_; ++k) {
            double* const values = tiles + k * tile_ * tile_;
            if (slopes.sums) {
                const Index number = tile.row / tile_ * across_ + tile.column / tile_;
                sums[static_cast<std::size_t>(number * directions_ + k)] = weighted_sum(tile, values, weights);
            } else {
                MatrixView<double> out = slopes.matrices;
                out.data += k * slopes.direction_stride;
                write(tile, values, out);
            }
        }
    }

    // Of a symmetric kernel the pairs (i, j) and (j, i) are one, and below the diagonal nothing was computed.
    void load_weights(const Tile& tile, const MatrixView<const double>& given, double* weights) const {
        const auto weight = [&](Index i, Index j) { return given.data[i * given.row_stride + j * given.column_stride]; };
        for (Index r = 0; r < tile.rows; ++r)
            for (Index c = tile.diagonal ? r : 0; c < tile.columns; ++c)
                weights[r * tile_ + c] = weight(tile.row + r, tile.column + c);
        if (!request_.symmetric) return;
        for (Index c = 0; c < tile.columns; ++c)
            for (Index r = 0; r < (tile.diagonal ? c : tile.rows); ++r)
                weights[r * tile_ + c] += weight(tile.column + c, tile.row + r);
    }

    double weighted_sum(const Tile& tile, const double* values, const double* weights) const {
        double total = 0;
        for (Index r = 0; r < tile.rows; ++r) {
            const Index start = tile.diagonal ? r : 0;
            total += set_.dot(values + r * tile_ + start, weights + r * tile_ + start, tile.columns - start);
        }
        return total;
    }

    const KernelSet& set_;
    const Slopes& nngp_;
    const Slopes& ntk_;
    Index directions_;
    Index across_;
    std::vector<AlignedBuffer<double>> gap_slopes_, ntk_slopes_; // of each thread, [direction][row][column]
    std::vector<AlignedBuffer<double>> slots_;
    std::vector<double> nngp_sums_, ntk_sums_;                   // [tile][direction]
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
