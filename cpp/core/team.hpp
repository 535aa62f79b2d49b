// How many threads a piece of work is given. Results never depend on it.
#pragma once

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

} // namespace fastntk
