// What is done of pairs of samples in double only, derivatives above all, and all that there is of an instruction set. Built once
// for each, with FASTNTK_ISA its namespace.
#include "../core/kernels.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "branches_gradient.hpp"
#include "gradient.hpp"
#include "hermite.hpp"
#include "pieces_gradient.hpp"
#include "series_gradient.hpp"
#include "sigmoidal.hpp"
#include "smooth.hpp"

namespace fastntk::FASTNTK_ISA {

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;

template <class Op, bool with_samples>
constexpr void set_gradient(KernelSet& set, OpCode code) {
    set.gradients[static_cast<int>(code)] = gradient<Op, with_samples>;
}

constexpr KernelSet make_set(const char* name) {
    KernelSet set{name, &sample_kernels, &mix_kernels, kernels_float, kernels_double, {}, add_gradient, multiply_gradient, finish_gap_slope, finish_ntk_slope, finish_second, dot, weigh_inputs, add_tangent<float>, add_tangent<double>, hermite_functions};
    set.gradients[static_cast<int>(OpCode::dense)] = concatenation_gradient<true>;
    set.gradients[static_cast<int>(OpCode::dense_bias_free)] = dense_bias_free_gradient;
    set.gradients[static_cast<int>(OpCode::offset)] = concatenation_gradient<false>;
    set.gradients[static_cast<int>(OpCode::dense_standard)] = dense_standard_gradient;
    set.gradients[static_cast<int>(OpCode::centre)] = centre_gradient;
    set.gradients[static_cast<int>(OpCode::dropout)] = dropout_gradient;
    set_gradient<PiecewiseLinear<Jet, false, true>, false>(set, OpCode::piecewise_linear);
    set_gradient<Step<Jet, false, true>, false>(set, OpCode::step);
    set_gradient<Sign<Jet, false, true>, false>(set, OpCode::sign);
    set_gradient<RectifiedSquare<Jet, false, true>, false>(set, OpCode::rectified_square);
    set_gradient<RectifiedCube<Jet, false, true>, false>(set, OpCode::rectified_cube);
    set_gradient<Erf<Jet, false, true>, true>(set, OpCode::erf);
    set_gradient<Sinusoid<Jet, false, true>, true>(set, OpCode::sinusoid);
    set_gradient<Gaussian<Jet, false, true>, true>(set, OpCode::gaussian);
    set_gradient<Gelu<Jet, false, true>, true>(set, OpCode::gelu);
    set_gradient<SmoothedRelu<Jet, false, true>, true>(set, OpCode::smoothed_relu);
    set_gradient<Gabor<Jet, false, true>, true>(set, OpCode::gabor);
    set.gradients[static_cast<int>(OpCode::expansion)] = expansion_gradient;
    set.gradients[static_cast<int>(OpCode::pieces)] = pieces_gradient;
    return set;
}

#define FASTNTK_STRING_(x) #x
#define FASTNTK_STRING(x) FASTNTK_STRING_(x)
extern constexpr KernelSet kernels = make_set(FASTNTK_STRING(FASTNTK_ISA));

} // namespace fastntk::FASTNTK_ISA
