// The pairs of samples of a kernel in double. Built once per instruction set, with FASTNTK_ISA its namespace.
#include "kernels.hpp"

namespace fastntk::FASTNTK_ISA {

extern constexpr Kernels<double> kernels_double = make_kernels<double>();

} // namespace fastntk::FASTNTK_ISA
