// phi and phi' of the named activations, one number at a time: for the direct quadrature alone.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "quadrature.hpp"

namespace fastntk {
namespace {

using std::numbers::pi;
using Parameters = std::span<const double>;

double mean_sign(double x) { return x > 0 ? 1 : x < 0 ? 0 : 0.5; }
double logistic(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double sech_squared(double x) { return 1 / (std::cosh(std::clamp(x, -300.0, 300.0)) * std::cosh(std::clamp(x, -300.0, 300.0))); }
double normal_pdf(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * pi); }
double normal_cdf(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }

double hermite(int n, double x) { // He_n(x) / sqrt(n!)
    double previous = 0, current = 1;
    for (int k = 0; k < n; ++k) {
        const double next = (x * current - std::sqrt(double(k)) * previous) / std::sqrt(k + 1.0);
        previous = current;
        current = next;
    }
    return current;
}

ScalarFunction piecewise_linear(double a, double b) { // slopes of x < 0 and of x > 0
    return {[=](double x) { return x < 0 ? a * x : b * x; },
            [=](double x) { return a + (b - a) * mean_sign(x); }};
}

ScalarFunction rectified(double n) {
    return {[=](double x) { return x > 0 ? std::pow(x, n) : 0.0; },
            [=](double x) { return n == 0 ? 0 : n == 1 ? mean_sign(x) : x > 0 ? n * std::pow(x, n - 1) : 0.0; }};
}

ScalarFunction scaled_erf(double a, double b, double c) {
    return {[=](double x) { return a * std::erf(b * x) + c; },
            [=](double x) { return 2 * a * b / std::sqrt(pi) * std::exp(-b * b * x * x); }};
}

ScalarFunction sine(double a, double b, double c) {
    return {[=](double x) { return a * std::sin(b * x + c); }, [=](double x) { return a * b * std::cos(b * x + c); }};
}

ScalarFunction elu(double scale, double alpha, double rate) {
    return {[=](double x) { return scale * (x > 0 ? x : alpha * std::expm1(rate * x)); }, [=](double x) {
                const double below = alpha * rate * std::exp(rate * std::min(x, 0.0));
                return scale * (mean_sign(x) + (1 - mean_sign(x)) * below);
            }};
}

ScalarFunction swish(double beta) {
    return {[=](double x) { return x * logistic(beta * x); }, [=](double x) {
                const double s = logistic(beta * x);
                return s + beta * x * s * (1 - s);
            }};
}

ScalarFunction clipped(double slope, double low, double high) { // slope x + (low + high) / 2, clipped
    const double middle = (low + high) / 2;
    return {[=](double x) { return std::clamp(slope * x + middle, low, high); }, [=](double x) {
                const double y = slope * x + middle;
                return slope * (mean_sign(y - low) - mean_sign(y - high));
            }};
}

} // namespace

ScalarFunction scalar_function(std::string_view name, std::span<const double> p) {
    if (name == "identity") return piecewise_linear(1, 1);
    if (name == "relu") return piecewise_linear(0, 1);
    if (name == "leaky_relu") return piecewise_linear(p[0], 1);
    if (name == "abs") return piecewise_linear(-1, 1);
    if (name == "abrelu") return piecewise_linear(p[0], p[1]);
    if (name == "step") return rectified(0);
    if (name == "squared_relu") return rectified(2);
    if (name == "rectified_monomial") return rectified(p[0]);
    if (name == "sign") return {[](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }, [](double) { return 0.0; }};
    if (name == "erf") return scaled_erf(p[0], p[1], p[2]);
    if (name == "normal_cdf") return scaled_erf(0.5, 1 / std::sqrt(2.0), 0.5);
    if (name == "sigmoid_like") return scaled_erf(0.5, 1 / 2.4020563531719796, 0.5);
    if (name == "gelu")
        return {[](double x) { return x * normal_cdf(x); }, [](double x) { return normal_cdf(x) + x * normal_pdf(x); }};
    if (name == "smoothed_relu") {
        const double s = p[0];
        return {[=](double x) { return x * normal_cdf(x / s) + s * normal_pdf(x / s); },
                [=](double x) { return normal_cdf(x / s); }};
    }
    if (name == "sin") return sine(p[0], p[1], p[2]);
    if (name == "cos") { // not sin(x + pi / 2), whose derivative is not small where it should be
        const double a = p[0], b = p[1], c = p[2];
        return {[=](double x) { return a * std::cos(b * x + c); },
                [=](double x) { return -a * b * std::sin(b * x + c); }};
    }
    if (name == "rbf") return sine(std::sqrt(2.0), std::sqrt(2 * p[0]), pi / 4);
    if (name == "snake") {
        const double a = p[0];
        return {[=](double x) { return x + std::sin(a * x) * std::sin(a * x) / a; },
                [=](double x) { return 1 + std::sin(2 * a * x); }};
    }
    if (name == "exp") {
        const double a = p[0], b = p[1];
        return {[=](double x) { return a * std::exp(b * x); }, [=](double x) { return a * b * std::exp(b * x); }};
    }
    if (name == "gaussian") {
        const double a = p[0], b = p[1];
        return {[=](double x) { return a * std::exp(b * x * x); },
                [=](double x) { return 2 * a * b * x * std::exp(b * x * x); }};
    }
    if (name == "gabor")
        return {[](double x) { return std::exp(-x * x) * std::sin(x); },
                [](double x) { return std::exp(-x * x) * (std::cos(x) - 2 * x * std::sin(x)); }};
    if (name == "monomial") {
        const double n = p[0];
        return {[=](double x) { return std::pow(x, n); }, [=](double x) { return n == 0 ? 0 : n * std::pow(x, n - 1); }};
    }
    if (name == "hermite") {
        const int n = static_cast<int>(p[0]);
        return {[=](double x) { return hermite(n, x); },
                [=](double x) { return n == 0 ? 0 : std::sqrt(double(n)) * hermite(n - 1, x); }};
    }
    if (name == "polynomial") {
        const std::vector<double> c(p.begin(), p.end());
        return {[=](double x) {
                    double sum = 0;
                    for (std::size_t i = c.size(); i-- > 0;) sum = sum * x + c[i];
                    return sum;
                },
                [=](double x) {
                    double sum = 0;
                    for (std::size_t i = c.size(); i-- > 1;) sum = sum * x + static_cast<double>(i) * c[i];
                    return sum;
                }};
    }
    if (name == "tanh") return {[](double x) { return std::tanh(x); }, sech_squared};
    if (name == "sigmoid") return {logistic, [](double x) { return sech_squared(x / 2) / 4; }};
    if (name == "softplus") {
        const double beta = p[0];
        return {[=](double x) { return softplus(beta * x) / beta; }, [=](double x) { return logistic(beta * x); }};
    }
    if (name == "silu") return swish(1);
    if (name == "swish") return swish(p[0]);
    if (name == "mish")
        return {[](double x) { return x * std::tanh(softplus(x)); },
                [](double x) { return std::tanh(softplus(x)) + x * sech_squared(softplus(x)) * logistic(x); }};
    if (name == "gelu_tanh") {
        const double r = std::sqrt(2 / pi), k = 0.044715;
        return {[=](double x) { return 0.5 * x * (1 + std::tanh(r * (x + k * x * x * x))); }, [=](double x) {
                    const double u = std::clamp(x, -40.0, 40.0); // beyond, a step
                    const double inner = r * (u + k * u * u * u);
                    return 0.5 * (1 + std::tanh(inner)) + 0.5 * u * sech_squared(inner) * r * (1 + 3 * k * u * u);
                }};
    }
    if (name == "elu") return elu(1, p[0], 1);
    if (name == "celu") return elu(1, p[0], 1 / p[0]);
    if (name == "selu") return elu(1.0507009873554805, 1.6732632423543772, 1);
    if (name == "softsign")
        return {[](double x) { return x / (1 + std::abs(x)); },
                [](double x) { return 1 / ((1 + std::abs(x)) * (1 + std::abs(x))); }};
    if (name == "log_cosh")
        return {[](double x) {
                    const double s = std::sinh(std::clamp(x, -1.0, 1.0) / 2); // cosh x = 1 + 2 s^2
                    return std::abs(x) < 1 ? std::log1p(2 * s * s)
                                           : std::abs(x) + std::log1p(std::exp(-2 * std::abs(x))) - std::log(2.0);
                },
                [](double x) { return std::tanh(x); }};
    if (name == "hard_tanh") return clipped(1, -1, 1);
    if (name == "hard_sigmoid") return clipped(1.0 / 6, 0, 1);
    if (name == "relu6")
        return {[](double x) { return std::clamp(x, 0.0, 6.0); }, [](double x) { return mean_sign(x) - mean_sign(x - 6); }};
    if (name == "hard_swish") {
        const ScalarFunction gate = clipped(1.0 / 6, 0, 1);
        return {[=](double x) { return x * gate.phi(x); }, [=](double x) { return gate.phi(x) + x * gate.derivative(x); }};
    }
    if (name == "soft_shrink") {
        const double t = p[0];
        return {[=](double x) { return std::copysign(std::max(std::abs(x) - t, 0.0), x); },
                [=](double x) { return mean_sign(std::abs(x) - t); }};
    }
    if (name == "hard_shrink") {
        const double t = p[0];
        return {[=](double x) { return std::abs(x) > t ? x : 0; }, [=](double x) { return mean_sign(std::abs(x) - t); }};
    }
    return {};
}

} // namespace fastntk
