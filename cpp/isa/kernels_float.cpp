// The pairs of samples of a kernel in float. Built once per instruction set, with FASTNTK_ISA its namespace.
#include "kernels.hpp"

namespace fastntk::FASTNTK_ISA {

extern constexpr Kernels<float> kernels_float = make_kernels<float>();

} // namespace fastntk::FASTNTK_ISA
