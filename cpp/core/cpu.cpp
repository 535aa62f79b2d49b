#include "cpu.hpp"

namespace fastntk {

namespace {

std::vector<const KernelSet*> supported_here() {
    std::vector<const KernelSet*> sets{&baseline::kernels};
#ifdef FASTNTK_X86
    __builtin_cpu_init();
#endif
#ifdef FASTNTK_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2::kernels);
#endif
#ifdef FASTNTK_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        sets.push_back(&avx512::kernels);
#endif
    return sets;
}

} // namespace

const std::vector<const KernelSet*>& supported_kernels() {
    static const std::vector<const KernelSet*> sets = supported_here();
    return sets;
}

const KernelSet* select_kernels(std::string_view name) {
    const auto& sets = supported_kernels();
    if (name.empty()) return sets.back();
    for (const KernelSet* set : sets)
        if (name == set->name) return set;
    return nullptr;
}

} // namespace fastntk
