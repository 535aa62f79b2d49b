#include "hermite.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "team.hpp"

namespace fastntk {

void hermite_functions(const KernelSet& kernels, int threads, const double* z, Index count, const std::int64_t* orders,
                       Index order_count, double* out) {
    constexpr double work_per_step = 4;
    constexpr Index chunk = 64;
    const double steps = order_count > 0 ? static_cast<double>(orders[order_count - 1] * count) : 0;
    std::vector<double> psi_0(static_cast<std::size_t>(count));
    std::transform(z, z + count, psi_0.begin(), [](double x) {
        return std::exp(-0.25 * x * x) / std::sqrt(std::sqrt(2 * std::numbers::pi));
    });
    const int threads_of_it = team(work_per_step * steps, (count + chunk - 1) / chunk, threads);
#pragma omp parallel for schedule(static) num_threads(threads_of_it)
    for (Index j = 0; j < count; j += chunk)
        kernels.hermite_functions(z + j, psi_0.data() + j, std::min(chunk, count - j), orders, order_count, out + j, count);
}

} // namespace fastntk
