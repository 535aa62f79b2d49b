// Hermite functions at many points, on several threads.
#pragma once

#include "kernels.hpp"

namespace fastntk {

// out[i][j] = psi_{orders[i]}(z[j]) (cpp/isa/hermite.hpp), for ascending orders.
void hermite_functions(const KernelSet& kernels, int threads, const double* z, Index count, const std::int64_t* orders,
                       Index order_count, double* out);

} // namespace fastntk
