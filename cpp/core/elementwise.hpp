// The ops of a program on single pairs: what Activation.dual evaluates, and what a fit is made from.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "program.hpp"

namespace fastntk {

// For a program of 2n samples, the pairs (i, n + i); of two samples that pair, at any number of gaps: gap and ntk, in
// place.
template <class T>
void apply_elementwise(const Program<T>& program, const Kernels<T>& kernels, Index count, T* gap, T* ntk) {
    constexpr Index strip = 64; // pairs of one kind at a time
    const Index samples = program.samples();
    const bool alike = samples == 2;
    std::vector<T> p;
    AlignedBuffer<T> slots(2 * program.slots() * count);
    for (const Op<T>& op : program.ops()) {
        const Index step = alike || op.table_count == 0 ? strip : 1;
        AlignedBuffer<T> q(op.table_count * strip); // ops load whole vectors
        for (Index i = 0; i < count; i += step) {
            const Index first = alike ? 0 : i, second = alike ? 1 : samples / 2 + i;
            // Where no whole vector follows in the tables, or one sample stands for many, they are copied.
            const bool in_place = !alike && i + strip <= count;
            p.clear();
            for (Index t = 0; t < op.table_count; ++t) {
                const T* const table = op.tables.data() + t * samples;
                p.push_back(table[first]);
                if (!in_place) std::fill_n(q.data() + t * strip, step, table[second]);
            }
            const T* const others = in_place && op.table_count > 0 ? op.tables.data() + second : q.data();
            const Strip<T> pairs{gap, ntk, count, slots.data(), count, -1};
            op.apply(kernels, p.data(), others, in_place ? samples : strip, pairs.part(i, std::min(step, count - i)));
        }
    }
}

} // namespace fastntk
