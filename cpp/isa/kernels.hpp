// Everything that touches a pair of samples, but for derivatives (gradients.cpp).
#pragma once

#include "../core/kernels.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "branches.hpp"
#include "homogeneous.hpp"
#include "input.hpp"
#include "layers.hpp"
#include "matvec.hpp"
#include "output.hpp"
#include "pieces.hpp"
#include "planes.hpp"
#include "series.hpp"
#include "sigmoidal.hpp"
#include "smooth.hpp"
#include "univariate.hpp"

namespace fastntk::FASTNTK_ISA {

template <class Op, class T, bool with_ntk>
void strip(const StripArguments<T>& s, T* __restrict gap, T* __restrict ntk) {
    const Op op(s);
    const Index length = whole_vectors<T>(s.length);
#pragma omp simd
    for (Index j = 0; j < length; ++j) {
        T g = gap[j];
        T theta = with_ntk ? ntk[j] : T(0);
        op(j, g, theta);
        gap[j] = g;
        if constexpr (with_ntk) ntk[j] = theta;
    }
}

// Whether what a smooth activation makes of a pair in float is as good as that of an activation with no other form: gaps before
// and behind are those of neither duplicates nor antipodes, and all are numbers. Other pairs are computed in double, see smooth.hpp.
FASTNTK_INLINE bool is_fair(float before, float gap, float ntk) {
    return abs(before) >= 0.125f && abs(gap) >= 0.25f && abs(ntk) <= 0x1p126f;
}

template <template <class, bool, bool, class> class Op, bool nonnegative, bool with_ntk>
void smooth_strip(const StripArguments<float>& s, float* __restrict gap, float* __restrict ntk) {
    constexpr Index most = 4 * lanes<float>;
    alignas(64) float before[most], gaps[most], thetas[most];
    const Index length = whole_vectors<float>(s.length);
    for (Index first = 0; first < length; first += most) {
        const Index count = min(most, length - first);
        const StripArguments<float> part{s.parameters, s.p, s.q + first, s.q_stride, count};
        const Op<float, nonnegative, with_ntk, float> in_float(part);
        Bits<float> unfair = 0;
#pragma omp simd reduction(| : unfair)
        for (Index j = 0; j < count; ++j) {
            before[j] = gap[first + j];
            float g = before[j], theta = with_ntk ? ntk[first + j] : 0.0f;
            in_float(j, g, theta);
            gaps[j] = g;
            thetas[j] = theta;
            unfair |= is_fair(before[j], g, theta) ? Bits<float>(0) : Bits<float>(1);
        }
        if (unfair != 0) strip<Op<float, nonnegative, with_ntk, double>, float, with_ntk>(part, gap + first, with_ntk ? ntk + first : nullptr);
#pragma omp simd
        for (Index j = 0; j < count; ++j) {
            const bool fair = is_fair(before[j], gaps[j], thetas[j]);
            gap[first + j] = fair ? gaps[j] : gap[first + j];
            if constexpr (with_ntk) ntk[first + j] = fair ? thetas[j] : ntk[first + j];
        }
    }
}

template <class Parts, class T, bool with_ntk>
void parts_strip(const StripArguments<T>& s, const T* __restrict other_gap, const T* __restrict other_ntk, T* __restrict gap, T* __restrict ntk) {
    const Parts parts(s);
    const Index length = whole_vectors<T>(s.length);
#pragma omp simd
    for (Index j = 0; j < length; ++j) {
        T g = gap[j];
        T theta = with_ntk ? ntk[j] : T(0);
        parts(j, other_gap[j], with_ntk ? other_ntk[j] : T(0), g, theta);
        gap[j] = g;
        if constexpr (with_ntk) ntk[j] = theta;
    }
}

template <class T>
void finish(T scale_p, const T* scale_q, T* __restrict gap, T* __restrict ntk, Index all) {
    const Index length = whole_vectors<T>(all);
    if (gap) {
#pragma omp simd
        for (Index j = 0; j < length; ++j) gap[j] = scale_p * scale_q[j] * correlation<T, false>(gap[j]);
    }
    if (ntk) {
#pragma omp simd
        for (Index j = 0; j < length; ++j) ntk[j] = scale_p * scale_q[j] * ntk[j];
    }
}

template <class T, template <class, bool, bool> class Op>
constexpr void add(Kernels<T>& k, OpCode code) {
    auto& row = k.ops[static_cast<int>(code)];
    row[op_variant(false, false)] = strip<Op<T, false, false>, T, false>;
    row[op_variant(false, true)] = strip<Op<T, false, true>, T, true>;
    row[op_variant(true, false)] = strip<Op<T, true, false>, T, false>;
    row[op_variant(true, true)] = strip<Op<T, true, true>, T, true>;
}

template <class T, template <class, bool, bool, class> class Op>
constexpr void add_smooth(Kernels<T>& k, OpCode code) {
    auto& row = k.ops[static_cast<int>(code)];
    if constexpr (sizeof(T) == sizeof(float)) {
        row[op_variant(false, false)] = smooth_strip<Op, false, false>;
        row[op_variant(false, true)] = smooth_strip<Op, false, true>;
        row[op_variant(true, false)] = smooth_strip<Op, true, false>;
        row[op_variant(true, true)] = smooth_strip<Op, true, true>;
    } else {
        row[op_variant(false, false)] = strip<Op<T, false, false, T>, T, false>;
        row[op_variant(false, true)] = strip<Op<T, false, true, T>, T, true>;
        row[op_variant(true, false)] = strip<Op<T, true, false, T>, T, false>;
        row[op_variant(true, true)] = strip<Op<T, true, true, T>, T, true>;
    }
}

template <class T, template <class, bool, bool> class Parts>
constexpr void add_parts(PartsFunction<T> (&row)[op_variants]) {
    row[op_variant(false, false)] = parts_strip<Parts<T, false, false>, T, false>;
    row[op_variant(false, true)] = parts_strip<Parts<T, false, true>, T, true>;
    row[op_variant(true, false)] = parts_strip<Parts<T, true, false>, T, false>;
    row[op_variant(true, true)] = parts_strip<Parts<T, true, true>, T, true>;
}

// An op that walks over its strip itself, and makes no difference between signs of rho.
template <class T>
constexpr void add_strip(Kernels<T>& k, OpCode code, OpFunction<T> nngp_only, OpFunction<T> with_ntk) {
    for (int variant = 0; variant < op_variants; ++variant)
        k.ops[static_cast<int>(code)][variant] = variant % 2 ? with_ntk : nngp_only;
}

template <class T>
constexpr Kernels<T> make_kernels() {
    Kernels<T> k{};
    k.sliver = sliver<T>;
    k.pack_float = pack<T, float>;
    k.pack_double = pack<T, double>;
    k.product = product<T>;
    k.input_gap = input_gap<T>;
    k.direct_gap_float = direct_gap<T, float>;
    k.direct_gap_double = direct_gap<T, double>;
    k.finish = finish<T>;
    k.write_tile = write_tile<T>;
    k.write_tile_transposed = write_tile_transposed<T>;
    k.block_times = block_times<T, false>;
    k.block_transposed_times = block_times<T, true>;
    k.planes = make_plane_kernels<T>();
    add<T, Dense>(k, OpCode::dense);
    add<T, DenseBiasFree>(k, OpCode::dense_bias_free);
    add<T, Offset>(k, OpCode::offset);
    add<T, PiecewiseLinear>(k, OpCode::piecewise_linear);
    add<T, Step>(k, OpCode::step);
    add<T, Sign>(k, OpCode::sign);
    add<T, RectifiedSquare>(k, OpCode::rectified_square);
    add<T, RectifiedCube>(k, OpCode::rectified_cube);
    add<T, Erf>(k, OpCode::erf);
    add_smooth<T, Sinusoid>(k, OpCode::sinusoid);
    add_smooth<T, Gaussian>(k, OpCode::gaussian);
    add_smooth<T, Gelu>(k, OpCode::gelu);
    add_smooth<T, SmoothedRelu>(k, OpCode::smoothed_relu);
    add_smooth<T, Gabor>(k, OpCode::gabor);
    add<T, DenseStandard>(k, OpCode::dense_standard);
    add<T, Centre>(k, OpCode::centre);
    add<T, Dropout>(k, OpCode::dropout);
    add<T, Hidden>(k, OpCode::hidden);
    add<T, HiddenBiasFree>(k, OpCode::hidden_bias_free);
    add<T, ResidualBlock>(k, OpCode::residual_block);
    add<T, ResidualBlockBiasFree>(k, OpCode::residual_block_bias_free);
    add_parts<T, WholeSum>(k.add);
    add_parts<T, Product>(k.multiply);
    add_strip<T>(k, OpCode::expansion, expansion<T, false>, expansion<T, true>);
    add_strip<T>(k, OpCode::pieces, pieces<T, false>, pieces<T, true>);
    add_strip<T>(k, OpCode::univariate, univariate<T, false>, univariate<T, true>);
    return k;
}

} // namespace fastntk::FASTNTK_ISA
