// Single samples in blocks of whole vectors: no loop over them has a remainder, and the compiler knows.
#pragma once

#include "columns.hpp"

namespace fastntk::FASTNTK_ISA {

constexpr Index block_size = 64;
constexpr Index vector_size = 8;
FASTNTK_INLINE Index filled_vectors(Index count) { return (count + vector_size - 1) & -vector_size; }

struct Block {
    alignas(64) double high[block_size], low[block_size], power[block_size];

    FASTNTK_NOT_INLINE void read(const ScaledNumbers& x, Index begin, Index count, Index whole) {
        for (Index i = 0; i < count; ++i) {
            high[i] = x.high[begin + i];
            low[i] = x.low[begin + i];
            power[i] = x.power[begin + i];
        }
        for (Index i = count; i < whole; ++i) {
            high[i] = 1;
            low[i] = power[i] = 0;
        }
    }
    FASTNTK_INLINE DoubleDouble operator[](Index i) const { return {high[i], low[i]}; }
    FASTNTK_INLINE void set(Index i, DoubleDouble value) {
        high[i] = value.high;
        low[i] = value.low;
    }
    void copy(Index from, Index to) {
        high[to] = high[from];
        low[to] = low[from];
        power[to] = power[from];
    }
    FASTNTK_NOT_INLINE void write(const ScaledNumbers& x, Index begin, Index count) const {
        for (Index i = 0; i < count; ++i) {
            x.high[begin + i] = high[i];
            x.low[begin + i] = low[i];
            x.power[begin + i] = power[i];
        }
    }
};

template <class Body>
FASTNTK_INLINE void for_blocks(Index begin, Index end, const Body& body) {
    for (Index start = begin; start < end; start += block_size) {
        const Index count = min(block_size, end - start);
        body(start, count);
    }
}

} // namespace fastntk::FASTNTK_ISA
