#include "limits.hpp"

#include <algorithm>

#include "buffer.hpp"

namespace fastntk {

const Limits& limits_of([[maybe_unused]] const KernelSet& set) {
#ifdef FASTNTK_AVX512
    if (&set == &avx512::kernels) return avx512::limits;
#endif
#ifdef FASTNTK_AVX2
    if (&set == &avx2::kernels) return avx2::limits;
#endif
    return baseline::limits;
}

double multiply_adds(const Limits& limits, int threads, bool is_float, Index steps) {
    const auto work = is_float ? limits.multiply_adds_float : limits.multiply_adds_double;
    double sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
    for (int thread = 0; thread < threads; ++thread) sum += work(steps);
    const Index each = is_float ? limits.of_a_step_float : limits.of_a_step_double;
    return sum > 0 ? static_cast<double>(each * steps * threads) : 0; // always the former: the sum has to be computed
}

namespace {

constexpr Index part = Index{1} << 16; // numbers

} // namespace

void fill(const Limits& limits, int threads, float value, float* out, Index length, bool streaming) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (Index i = 0; i < length; i += part) limits.fill(value, out + i, std::min(part, length - i), streaming);
}

float total(const Limits& limits, int threads, const float* x, Index length) {
    float sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
    for (Index i = 0; i < length; i += part) sum += limits.total(x + i, std::min(part, length - i));
    return sum;
}

template <class T>
void repeat_last_op(const Program<T>& program, const Kernels<T>& kernels, bool apply, Index repetitions, const T* gap, Index length) {
    AlignedBuffer<T> gaps(length), ntks(length), now_gaps(length), now_ntks(length), q;
    std::vector<T> p;
    std::copy_n(gap, length, gaps.data());
    std::fill_n(ntks.data(), length, T(0));
    const Strip<T> before{gaps.data(), ntks.data(), length, nullptr, length, -1};
    const Strip<T> now{now_gaps.data(), now_ntks.data(), length, nullptr, length, -1};
    const auto load = [&](const Op<T>& op) {
        p.clear();
        q = AlignedBuffer<T>(op.table_count * length);
        for (Index t = 0; t < op.table_count; ++t) {
            const T* const table = op.tables.data() + t * program.samples();
            p.push_back(*table);
            std::copy_n(table, length, q.data() + t * length);
        }
    };
    const Op<T>& last = program.ops().back();
    for (const Op<T>& op : program.ops()) {
        load(op);
        if (&op != &last) op.apply(kernels, p.data(), q.data(), length, before);
    }
    for (Index i = 0; i < repetitions; ++i) {
        std::copy_n(gaps.data(), length, now.gap);
        std::copy_n(ntks.data(), length, now.ntk);
        if (apply) last.apply(kernels, p.data(), q.data(), length, now);
        asm volatile("" : : "r"(now.gap), "r"(now.ntk) : "memory"); // copies alone would be one
    }
}

template void repeat_last_op(const Program<float>&, const Kernels<float>&, bool, Index, const float*, Index);
template void repeat_last_op(const Program<double>&, const Kernels<double>&, bool, Index, const double*, Index);

} // namespace fastntk
