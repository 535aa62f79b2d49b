// Which instruction set's kernels this process uses.
#pragma once

#include <string_view>
#include <vector>

#include "kernels.hpp"

namespace fastntk {

// The kernels that were built and that this processor can run, best last.
const std::vector<const KernelSet*>& supported_kernels();

// The best of them, or the one that `name` asks for; nullptr if there is none of that name.
const KernelSet* select_kernels(std::string_view name);

} // namespace fastntk
