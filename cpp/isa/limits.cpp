// What bench/roofline.py measures the machine by. Nothing of the library depends on it.
#include "../core/limits.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "output.hpp"

namespace fastntk::FASTNTK_ISA {
namespace {

constexpr int chains = 12; // cover the latency of two pipes, and fit into 16 registers with both factors

template <class T>
double multiply_adds(Index steps) {
    using V = typename Vector<T>::type;
    const volatile T half = T(0.5), one = T(1); // else the compiler would know what comes of them
    const V factor = V{} + half, term = V{} + one;
    V sum[chains];
    for (int c = 0; c < chains; ++c) sum[c] = term * static_cast<T>(c);
    for (Index i = 0; i < steps; ++i)
#pragma GCC unroll 12
        for (int c = 0; c < chains; ++c) sum[c] = sum[c] * factor + term;
    V all = {};
    for (int c = 0; c < chains; ++c) all += sum[c];
    return static_cast<double>(all[0]);
}

void fill(float value, float* out, Index length, bool streaming) {
    using V = Vector<float>::type;
    const V values = V{} + value;
    Index i = 0;
    for (; i < length && reinterpret_cast<std::uintptr_t>(out + i) % vector_bytes; ++i) out[i] = value;
    if (streaming)
        for (; i + lanes<float> <= length; i += lanes<float>) stream(out + i, values);
    else
        for (; i + lanes<float> <= length; i += lanes<float>) *reinterpret_cast<V*>(out + i) = values;
    for (; i < length; ++i) out[i] = value;
    finish_streaming();
}

float total(const float* x, Index length) {
    using V = Vector<float>::type;
    constexpr Index several = 8;
    V sum[several] = {};
    Index i = 0;
    for (; i + several * lanes<float> <= length; i += several * lanes<float>)
#pragma GCC unroll 8
        for (Index s = 0; s < several; ++s) sum[s] += *reinterpret_cast<const V*>(x + i + s * lanes<float>);
    V all = {};
    for (const V& s : sum) all += s;
    float result = 0;
    for (Index lane = 0; lane < lanes<float>; ++lane) result += all[lane];
    for (; i < length; ++i) result += x[i];
    return result;
}

} // namespace

extern constexpr Limits limits = {multiply_adds<float>, multiply_adds<double>, chains * lanes<float>, chains * lanes<double>, fill, total};

} // namespace fastntk::FASTNTK_ISA
