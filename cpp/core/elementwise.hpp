// The ops of a program on single pairs: what Activation.dual evaluates.
#pragma once

#include <vector>

#include "program.hpp"

namespace fastntk {

// For a program of 2n samples, the pairs (i, n + i): gap and ntk, of n numbers, in place.
template <class T>
void apply_elementwise(const Program<T>& program, const Kernels<T>& kernels, T* gap, T* ntk) {
    const Index samples = program.samples();
    std::vector<T> p;
    for (const Op<T>& op : program.ops()) {
        for (Index i = 0; i < samples / 2; ++i) {
            p.clear();
            for (Index t = 0; t < op.table_count; ++t) p.push_back(op.tables[static_cast<std::size_t>(t * samples + i)]);
            const T* const q = op.table_count > 0 ? op.tables.data() + samples / 2 + i : nullptr;
            op.apply(kernels, p.data(), q, samples, 1, gap + i, ntk + i);
        }
    }
}

} // namespace fastntk
