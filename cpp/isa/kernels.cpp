// Everything that touches a pair of samples. Built once per instruction set, with FASTNTK_ISA its namespace.
#include "../core/kernels.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "branches.hpp"
#include "gradient.hpp"
#include "branches_gradient.hpp"
#include "hermite.hpp"
#include "homogeneous.hpp"
#include "input.hpp"
#include "layers.hpp"
#include "matvec.hpp"
#include "output.hpp"
#include "pieces_gradient.hpp"
#include "planes.hpp"
#include "series_gradient.hpp"
#include "sigmoidal.hpp"
#include "smooth.hpp"
#include "univariate.hpp"

namespace fastntk::FASTNTK_ISA {

template <class Op, class T, bool with_ntk>
void strip(const StripArguments<T>& s, T* __restrict gap, T* __restrict ntk) {
    const Op op(s);
#pragma omp simd
    for (Index j = 0; j < s.length; ++j) {
        T g = gap[j];
        T theta = with_ntk ? ntk[j] : T(0);
        op(j, g, theta);
        gap[j] = g;
        if constexpr (with_ntk) ntk[j] = theta;
    }
}

template <class Parts, class T, bool with_ntk>
void parts_strip(const StripArguments<T>& s, const T* __restrict other_gap, const T* __restrict other_ntk, T* __restrict gap, T* __restrict ntk) {
    const Parts parts(s);
#pragma omp simd
    for (Index j = 0; j < s.length; ++j) {
        T g = gap[j];
        T theta = with_ntk ? ntk[j] : T(0);
        parts(j, other_gap[j], with_ntk ? other_ntk[j] : T(0), g, theta);
        gap[j] = g;
        if constexpr (with_ntk) ntk[j] = theta;
    }
}

template <class T>
void finish(T scale_p, const T* scale_q, T* __restrict gap, T* __restrict ntk, Index length) {
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
    k.direct_gap_float = direct_gap<float>;
    k.direct_gap_double = direct_gap<double>;
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
    add<T, Sinusoid>(k, OpCode::sinusoid);
    add<T, Gaussian>(k, OpCode::gaussian);
    add<T, Gelu>(k, OpCode::gelu);
    add<T, SmoothedRelu>(k, OpCode::smoothed_relu);
    add<T, Gabor>(k, OpCode::gabor);
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

template <template <class, bool, bool> class Op, bool with_samples>
constexpr void set_gradient(KernelSet& set, OpCode code) {
    set.gradients[static_cast<int>(code)] = gradient<Op, with_samples>;
}

constexpr KernelSet make_set(const char* name) {
    KernelSet set{name, &sample_kernels, &mix_kernels, make_kernels<float>(), make_kernels<double>(), {}, add_gradient, multiply_gradient, finish_gap_slope, finish_ntk_slope, finish_second, dot, weigh_inputs, add_tangent<float>, add_tangent<double>, hermite_functions};
    set.gradients[static_cast<int>(OpCode::dense)] = concatenation_gradient<true>;
    set.gradients[static_cast<int>(OpCode::dense_bias_free)] = dense_bias_free_gradient;
    set.gradients[static_cast<int>(OpCode::offset)] = concatenation_gradient<false>;
    set.gradients[static_cast<int>(OpCode::dense_standard)] = dense_standard_gradient;
    set.gradients[static_cast<int>(OpCode::centre)] = centre_gradient;
    set.gradients[static_cast<int>(OpCode::dropout)] = dropout_gradient;
    set_gradient<PiecewiseLinear, false>(set, OpCode::piecewise_linear);
    set_gradient<Step, false>(set, OpCode::step);
    set_gradient<Sign, false>(set, OpCode::sign);
    set_gradient<RectifiedSquare, false>(set, OpCode::rectified_square);
    set_gradient<RectifiedCube, false>(set, OpCode::rectified_cube);
    set_gradient<Erf, true>(set, OpCode::erf);
    set_gradient<Sinusoid, true>(set, OpCode::sinusoid);
    set_gradient<Gaussian, true>(set, OpCode::gaussian);
    set_gradient<Gelu, true>(set, OpCode::gelu);
    set_gradient<SmoothedRelu, true>(set, OpCode::smoothed_relu);
    set_gradient<Gabor, true>(set, OpCode::gabor);
    set.gradients[static_cast<int>(OpCode::expansion)] = expansion_gradient;
    set.gradients[static_cast<int>(OpCode::pieces)] = pieces_gradient;
    return set;
}

#define FASTNTK_STRING_(x) #x
#define FASTNTK_STRING(x) FASTNTK_STRING_(x)
extern constexpr KernelSet kernels = make_set(FASTNTK_STRING(FASTNTK_ISA));

} // namespace fastntk::FASTNTK_ISA
