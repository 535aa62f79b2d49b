// How many threads a piece of work is given. Results never depend on it.
#pragma once

#include <omp.h>

#include <algorithm>

#include "kernels.hpp"

namespace fastntk {

// Work in multiply-adds, some 0.1 ns each. Below a millisecond other threads would save less than waiting for one costs where
// the processors are busy: there it is the scheduler's slice, of some milliseconds.
constexpr double single_thread_work = 1e7;

// At most one thread a task; OpenMP may start fewer.
inline int team(double work, Index tasks, int threads) {
    if (work < single_thread_work) return 1;
    return static_cast<int>(std::max<Index>(1, std::min<Index>(tasks, threads)));
}

// Calls work() on every thread of a team, whose loops are divided among them. A team of one is none: the end of a parallel
// region, and of each loop in it, is a system call.
template <class Work>
void together(int threads, const Work& work) {
    if (threads == 1 && !omp_in_parallel()) return work();
#pragma omp parallel num_threads(threads)
    work();
}

} // namespace fastntk
