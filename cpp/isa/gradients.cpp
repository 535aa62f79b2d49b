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

template <template <class, bool, bool> class Op, bool with_samples>
constexpr void set_gradient(KernelSet& set, OpCode code) {
    set.gradients[static_cast<int>(code)] = gradient<Op<Jet, false, true>, with_samples>;
}

template <template <class, bool, bool, class> class Op>
constexpr void set_smooth_gradient(KernelSet& set, OpCode code) {
    set.gradients[static_cast<int>(code)] = gradient<Op<Jet, false, true, Jet>, true>;
}

constexpr KernelSet make_set(const char* name) {
    KernelSet set{name, &sample_kernels, &mix_kernels, kernels_float, kernels_double, {}, add_gradient, multiply_gradient, finish_gap_slope, finish_ntk_slope, finish_second, dot, weigh_inputs, add_tangent<float>, add_tangent<double>, hermite_functions};
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
    set_smooth_gradient<Sinusoid>(set, OpCode::sinusoid);
    set_smooth_gradient<Gaussian>(set, OpCode::gaussian);
    set_smooth_gradient<Gelu>(set, OpCode::gelu);
    set_smooth_gradient<SmoothedRelu>(set, OpCode::smoothed_relu);
    set_smooth_gradient<Gabor>(set, OpCode::gabor);
    set.gradients[static_cast<int>(OpCode::expansion)] = expansion_gradient;
    set.gradients[static_cast<int>(OpCode::pieces)] = pieces_gradient;
    return set;
}

#define FASTNTK_STRING_(x) #x
#define FASTNTK_STRING(x) FASTNTK_STRING_(x)
extern constexpr KernelSet kernels = make_set(FASTNTK_STRING(FASTNTK_ISA));

} // namespace fastntk::FASTNTK_ISA
