// The fused tile engine: kernels of all pairs, tile by tile, without the Gram matrix ever in memory.
#pragma once

#include "request.hpp"

namespace fastntk {

// Writes the kernels, all of them unless the monitor gives up. Same bits for any number of threads.
template <class T>
void compute(const Request<T>& request, const Kernels<T>& kernels, int threads, Monitor& monitor);

// The inner products of the packed rows alone, into request.nngp: what the tests compare with
// np.matmul and the benchmarks with BLAS.
template <class T>
void product(const Request<T>& request, const Kernels<T>& kernels, int threads, Monitor& monitor);

} // namespace fastntk
