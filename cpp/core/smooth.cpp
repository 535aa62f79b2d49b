// The ops of the smooth activations (cpp/isa/smooth.hpp): which closed form follows the samples, and what the op is told.
#include <algorithm>
#include <limits>
#include <span>
#include <string_view>

#include "program.hpp"

namespace fastntk {
namespace {

using Arguments = std::span<const double>;

// Below this variance, in the activation's own unit, products of two tables are no longer normal numbers of double; or,
// in float, what of the dual still depends on it is not in the range.
template <class T>
constexpr double smallest = sizeof(T) == sizeof(float) ? 1e-24 : 3e-308;

// The same of odd functions, which are linear to the last bit.
constexpr double smallest_of_odd = 1e-18;

// Products of two tables have to be in the range of double.
template <class T>
constexpr double largest = sizeof(T) == sizeof(float) ? 1e37 : 1e150;

template <class T>
ActivationOp<T> wide(ClosedForm form, Arguments x, OpCode code, Index tables, bool nonnegative, double least = smallest<T>) {
    ActivationOp<T> op{.form = form, .code = code, .tables = tables, .parts = wide_parts<T>, .smallest = least,
                       .largest = largest<T>, .largest_variance = std::numeric_limits<double>::infinity(), .nonnegative = nonnegative};
    std::copy(x.begin(), x.end(), op.arguments.begin());
    return op;
}

template <class T>
ActivationOp<T> wave(ClosedForm form, Arguments x, double linear, double share, double kappa, bool nonnegative) {
    ActivationOp<T> op = wide<T>(form, x, OpCode::sinusoid, 3, nonnegative);
    const T high = static_cast<T>(kappa);
    op.parameters = {static_cast<T>(linear), static_cast<T>(share), high, static_cast<T>(kappa - static_cast<double>(high))};
    return op;
}

template <class T>
struct Entry {
    std::string_view name;
    ActivationOp<T> (*op)(Arguments);
};

template <class T>
constexpr Entry<T> entries[] = {
    // a sin(b x + c): a, b, cos 2c, sin c; where that is not positive even, or the sum of an even function and a smaller odd one
    {"sinusoid", [](Arguments x) { return wave<T>(ClosedForm::sinusoid, x, 0, 1, x[2], x[2] <= 0); }},
    // x + sin(a x)^2 / a
    {"snake", [](Arguments x) { return wave<T>(ClosedForm::snake, x, 1, 0.5, -1, false); }},
    // the kernel exp(-gamma |u - v|^2)
    {"rbf", [](Arguments x) { return wave<T>(ClosedForm::rbf, x, 0, 1, 0, true); }},
    // a exp(b x)
    {"exponential", [](Arguments x) { return wave<T>(ClosedForm::exponential, x, 0, 1, 0, true); }},
    // the kernel s_p s_q exp(gamma (rho + shift))
    {"exponential_normalized", [](Arguments x) { return wave<T>(ClosedForm::exponential_normalized, x, 0, 1, 0, true); }},
    // a exp(b x^2)
    {"gaussian", [](Arguments x) { return wide<T>(ClosedForm::gaussian, x, OpCode::gaussian, 3, true); }},
    // x Phi(x)
    {"gelu", [](Arguments x) { return wide<T>(ClosedForm::gelu, x, OpCode::gelu, 3, false); }},
    // x Phi(x / s) + s pdf(x / s)
    {"smoothed_relu", [](Arguments x) { return wide<T>(ClosedForm::smoothed_relu, x, OpCode::smoothed_relu, 3, true); }},
    // exp(-x^2) sin x
    {"gabor", [](Arguments x) { return wide<T>(ClosedForm::gabor, x, OpCode::gabor, 2, false, smallest_of_odd); }},
};

} // namespace

template <class T>
void Program<T>::smooth(std::string_view name, std::span<const double> arguments) {
    activate(std::ranges::find(entries<T>, name, &Entry<T>::name)->op(arguments));
}

template void Program<float>::smooth(std::string_view, std::span<const double>);
template void Program<double>::smooth(std::string_view, std::span<const double>);

} // namespace fastntk
