// What the machine can do, and what an op costs on a strip that stays in the first-level cache, for bench/roofline.py.
// Nothing of the library depends on it.
#pragma once

#include "program.hpp"

namespace fastntk {

struct Limits {
    double (*multiply_adds_float)(Index steps);
    double (*multiply_adds_double)(Index steps);
    Index of_a_step_float, of_a_step_double; // multiply-adds
    void (*fill)(float value, float* out, Index length, bool streaming);
    float (*total)(const float* x, Index length);
};

namespace baseline { extern const Limits limits; }
namespace avx2 { extern const Limits limits; }
namespace avx512 { extern const Limits limits; }

const Limits& limits_of(const KernelSet& set);

// So many steps on each thread; returns how many multiply-adds that were.
double multiply_adds(const Limits& limits, int threads, bool is_float, Index steps);

// Each thread its part.
void fill(const Limits& limits, int threads, float value, float* out, Index length, bool streaming);
float total(const Limits& limits, int threads, const float* x, Index length);

// The last op of a program without branches, on the first of its samples with the first `length` ones, as the ops before it
// leave these gaps, of whole vectors. Each repetition begins with a copy of that state, which is all if the op is not to be applied.
template <class T>
void repeat_last_op(const Program<T>& program, const Kernels<T>& kernels, bool apply, Index repetitions, const T* gap, Index length);

} // namespace fastntk
