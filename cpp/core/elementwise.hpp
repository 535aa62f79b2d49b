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
    constexpr Index strip = 64, vector = 64 / sizeof(T); // pairs, and those of a cache line: ops take whole vectors
    const Index samples = program.samples();
    const bool alike = samples == 2;
    std::vector<T> p;
    Index most_tables = 0;
    for (const Op<T>& op : program.ops()) most_tables = std::max(most_tables, op.table_count);
    AlignedBuffer<T> gaps(strip), ntks(strip), slots(2 * program.slots() * strip), q(most_tables * strip);
    for (Index i = 0; i < count; i += alike ? strip : 1) {
        const Index some = alike ? std::min(strip, count - i) : 1;
        std::fill(std::copy_n(gap + i, some, gaps.data()), gaps.data() + strip, T(1));
        std::fill(std::copy_n(ntk + i, some, ntks.data()), ntks.data() + strip, T(0));
        const Index first = alike ? 0 : i, second = alike ? 1 : samples / 2 + i;
        const Index whole = alike ? strip : vector;
        for (const Op<T>& op : program.ops()) {
            p.clear();
            for (Index t = 0; t < op.table_count; ++t) {
                const T* const table = op.tables.data() + t * samples;
                p.push_back(table[first]);
                std::fill_n(q.data() + t * whole, whole, table[second]);
            }
            const Index length = op.rule ? some : whole; // a rule takes long over a pair, and one by one
            op.apply(kernels, p.data(), q.data(), whole, {gaps.data(), ntks.data(), length, slots.data(), strip, -1});
        }
        std::copy_n(gaps.data(), some, gap + i);
        std::copy_n(ntks.data(), some, ntk + i);
    }
}

} // namespace fastntk
