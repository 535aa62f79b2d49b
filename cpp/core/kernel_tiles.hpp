// The program of a network run over a tile.
#pragma once

#include "tiles.hpp"

namespace fastntk {

constexpr Index rows_between_looks = 16; // at the clock, which takes as long as some pairs

template <class T>
class KernelTiles : public Tiles<T> {
public:
    using Tiles<T>::Tiles, Tiles<T>::ops, Tiles<T>::load_tables, Tiles<T>::column_tables, Tiles<T>::input_gaps, Tiles<T>::self, Tiles<T>::request_, Tiles<T>::kernels_,
        Tiles<T>::y_, Tiles<T>::watch_, Tiles<T>::tile_, Tiles<T>::tables_;

    // From the inner products of a tile, in s.gap, the kernels asked for, in s.gap and s.ntk; of a diagonal tile the upper
    // triangle. False if it gave up.
    bool evaluate(const Tile& tile, Scratch<T>& s, bool with_nngp, bool with_ntk) {
        const Index width = round_up(tile.columns, kernels_.sliver);
        const Tables<T> columns = column_tables(tile, width, s);
        load_tables(request_.x.first + tile.row, tile.rows, tile.rows, s.row_tables);
        for (Index r = 0; r < tile.rows; ++r) {
            if (r % rows_between_looks == 0 && watch_.stopped()) return false;
            // Of a diagonal tile only the slivers that reach above the diagonal.
            const Index start = tile.diagonal ? r / kernels_.sliver * kernels_.sliver : 0;
            const Index length = width - start;
            T* const gap = s.gap.data() + r * tile_ + start;
            T* const ntk = with_ntk ? s.ntk.data() + r * tile_ + start : nullptr;
            input_gaps(tile, r, start, length, s);
            if (with_ntk) std::fill_n(ntk, length, T(0));
            for (Index k = 0; k < tables_; ++k) s.one_row.data()[k] = s.row_tables.data()[k * tile_ + r];
            const T* p = s.one_row.data() + 1;
            const T* q = columns.first + columns.stride + start;
            const Strip<T> strip{gap, ntk, length, s.slots.data(), tile_, self(tile, r) - start};
            for (const Op<T>& op : ops()) {
                // Slow ops stop to look up: they take long over a strip.
                const Index step = op.rule ? kernels_.sliver : length;
                for (Index j = 0; j < length && !(op.rule && watch_.stopped()); j += step)
                    op.apply(kernels_, p, q + j, columns.stride, strip.part(j, std::min(step, length - j)));
                p += op.table_count;
                q += op.table_count * columns.stride;
            }
            kernels_.finish(s.one_row.data()[0], columns.first + start, with_nngp ? gap : nullptr, ntk, length);
        }
        return true;
    }
};

} // namespace fastntk
