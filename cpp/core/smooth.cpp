// What the smooth activations (cpp/isa/smooth.hpp) need of each sample.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <string_view>
#include <utility>

#include "program.hpp"
#include "wide_tables.hpp"

namespace fastntk {
namespace {

constexpr Extended pi = std::numbers::pi_v<Extended>;
constexpr Extended infinite = std::numeric_limits<Extended>::infinity();

using Arguments = std::span<const double>;

// Below this variance, in the activation's own unit, products of two tables are no longer normal numbers of double; or,
// in float, what of the dual still depends on it is not in the range.
template <class T>
constexpr Extended smallest = sizeof(T) == sizeof(float) ? 1e-24L : 3e-308L;

// The same of odd functions, which are linear to the last bit.
constexpr Extended smallest_of_odd = 1e-18L;

using std::atan2, std::exp, std::expm1, std::fmax, std::isfinite, std::sqrt; // of Extended; those of Tangent are found by their argument

template <class Number>
constexpr Number square(Number x) {
    return x * x;
}

// (sin theta + (pi - theta) cos theta) / pi and 1 - theta / pi at cos theta = 1 - gap: Cho and Saul (2009).
template <class Number>
Number angle(Number gap) { return atan2(sqrt(gap * (2 - gap)), 1 - gap); }
template <class Number>
Number arc_cosine_0(Number gap) { return 1 - angle(gap) / pi; }
template <class Number>
Number arc_cosine_1(Number gap) {
    return (sqrt(gap * (2 - gap)) + (pi - angle(gap)) * (1 - gap)) / pi;
}

// make_tables(q) gives the op's tables, as an array, for a sample of variance q; below unit^2 q = small its tables
// are those there. A table out of range counts as overflow.
template <class T, class MakeTables>
void emit_wide(Program<T>& program, OpCode code, std::vector<T> parameters, Extended unit, const MakeTables& make_tables,
               Extended small = smallest<T>) {
    // Products of two tables have to be in the range of double.
    constexpr Extended largest = sizeof(T) == sizeof(float) ? 1e37L : 1e150L;
    const Extended least = unit > 0 ? small / square(unit) : 1;
    const std::size_t n = program.variance().size();
    WideTables<T> tables(n, make_tables(Extended(1)).size(), program.with_gradient());
    for (std::size_t i = 0; i < n; ++i) {
        const Extended q = fmax(program.variance()[i], least);
        for (const Extended value : make_tables(q))
            if (!(std::abs(value) <= largest)) program.overflow(i);
        tables.set(i, make_tables, q);
    }
    const Index count = tables.table_count();
    program.emit(code, std::move(parameters), tables.values(), count, tables.slopes());
}

// The op's s'^2 in its own units is `scale_squared` of x^2.
template <class T, class ScaleSquared>
void emit_sinusoid(Program<T>& program, Extended linear, Extended share, Extended kappa, Extended frequency,
                   const ScaleSquared& scale_squared) {
    const T high = static_cast<T>(kappa);
    emit_wide<T>(program, OpCode::sinusoid, {static_cast<T>(linear), static_cast<T>(share), high, static_cast<T>(kappa - static_cast<Extended>(high))},
              std::abs(frequency), [=]<class Number>(Number q) {
                  const Number x_squared = square(frequency) * q;
                  return std::array<Number, 3>{sqrt(x_squared), -expm1(-x_squared / 2), sqrt(scale_squared(x_squared))};
              });
}

// kappa = cos 2c. F(q, q) = a^2 (1 - kappa exp(-2 b^2 q)) / 2, F'(q, q) = a^2 b^2 (1 + kappa exp(-2 b^2 q)) / 2.
template <class T>
void sinusoid(Program<T>& program, Arguments x) {
    const Extended a = x[0], b = x[1], k = x[2];
    const auto wave = [=](auto x_squared) { return (1 - k) - k * expm1(-2 * x_squared); };
    emit_sinusoid<T>(program, 0, 1, k, b, [=](auto x_squared) { return fmax(wave(x_squared), std::numeric_limits<Extended>::min()); });
    program.activate([=](auto q) { return square(a) / 2 * wave(square(b) * q); },
             [=](auto q) { return square(a * b) / 2 * ((1 + k) + k * expm1(-2 * square(b) * q)); });
    program.set_nonnegative(k <= 0); // even, or a sum of an even function and a smaller odd one
}

// With x^2 = 4 a^2 q: 4 a^2 F(q, q) = x^2 + 3/2 - 2 exp(-x^2 / 2) + exp(-2 x^2) / 2, F'(q, q) = 1 + (1 - exp(-2 x^2)) / 2.
template <class T>
void snake(Program<T>& program, Arguments x) {
    const Extended a = x[0];
    const auto norm = [](auto x_squared) {
        return x_squared - 2 * expm1(-x_squared / 2) + expm1(-2 * x_squared) / 2;
    };
    emit_sinusoid<T>(program, 1, 0.5L, -1, 2 * a, norm);
    program.activate([=](auto q) { return norm(4 * square(a) * q) / (4 * square(a)); },
             [=](auto q) { return 1 - expm1(-8 * square(a) * q) / 2; });
}

template <class T>
void rbf(Program<T>& program, Arguments x) {
    const Extended gamma = x[0];
    emit_sinusoid<T>(program, 0, 1, 0, sqrt(2 * gamma), [](auto) { return Extended(1); });
    program.activate([](auto) { return Extended(1); }, [=](auto) { return 2 * gamma; });
    program.set_nonnegative(true);
}

// F(q, q) = a^2 exp(2 b^2 q), F' = b^2 F.
template <class T>
void exponential(Program<T>& program, Arguments x) {
    const Extended a = x[0], b = x[1];
    emit_sinusoid<T>(program, 0, 1, 0, b, [](auto) { return Extended(1); });
    const auto norm = [=](auto q) { return square(a) * exp(2 * square(b) * q); };
    program.activate(norm, [=](auto q) { return square(b) * norm(q); });
    program.set_nonnegative(true);
}

// F = s_p s_q exp(gamma (rho + shift)), F' = gamma exp(gamma (rho + shift)).
template <class T>
void exponential_normalized(Program<T>& program, Arguments x) {
    const Extended gamma = x[0], shift = x[1];
    const Extended root = sqrt(gamma);
    emit_wide<T>(program, OpCode::sinusoid, {T(0), T(1), T(0), T(0)}, 0,
              [=]<class Number>(Number) { return std::array<Number, 3>{root, Extended(0), Extended(1)}; });
    const Extended peak = exp(gamma * (1 + shift));
    program.activate([=](auto q) { return q * peak; }, [=](auto) { return gamma * peak; });
    program.set_nonnegative(true);
}

// With w^2 = 1 - 4 b q: F(q, q) = a^2 / w, F'(q, q) = 4 a^2 b^2 q / w^3; infinite where 4 b q >= 1.
template <class T>
void gaussian(Program<T>& program, Arguments x) {
    const Extended a = x[0], b = x[1];
    for (std::size_t i = 0; i < program.variance().size(); ++i)
        if (!(4 * b * program.variance()[i] < 1)) program.overflow(i);
    const auto w = [=](auto q) { return isfinite(q) ? sqrt(1 - 4 * b * q) : infinite; };
    emit_wide<T>(program, OpCode::gaussian, {}, sqrt(2 * std::abs(b)),
              [=](auto q) { return std::array{-2 * b * q, w(q), sqrt(2 * std::abs(b) * q)}; });
    program.activate([=](auto q) { return square(a) / w(q); },
             [=](auto q) { return 4 * square(a * b) * q / (w(q) * w(q) * w(q)); });
    program.set_nonnegative(true);
}

// With sin A = q / (1 + q), D = sqrt(1 + 2q): F(q, q) = q (1/4 + A / 2 pi) + q^2 (1 + D^2) / (2 pi (1 + q)^2 D).
template <class T>
void gelu(Program<T>& program, Arguments) {
    const auto root = [](auto q) { return sqrt(1 + 2 * q); };
    const auto plane = [=](auto q) { return 0.25L + atan2(q, root(q)) / (2 * pi); };
    const auto norm = [=](auto q) { return q * plane(q) + square(q / (1 + q)) * 2 * (1 + q) / (2 * pi * root(q)); };
    emit_wide<T>(program, OpCode::gelu, {}, 1, [=](auto q) {
        return std::array{sqrt(q / (1 + q)), 1 / (1 + q), sqrt(norm(q) / (1 + q))};
    });
    program.activate(norm, [=](auto q) {
        return plane(q) + q / (2 * pi * root(q)) * (1 / (1 + 2 * q) + (1 - q) / (1 + q) + 1);
    });
}

template <class T>
void smoothed_relu(Program<T>& program, Arguments x) {
    const Extended s = x[0];
    const Extended added = square(s);
    const auto wider = [=](auto q) { return added / (q + added); }; // 1 - w^2
    emit_wide<T>(program, OpCode::smoothed_relu, {}, 1 / s, [=](auto q) {
        const auto w = sqrt(q / (q + added));
        return std::array{w, wider(q) / (1 + w), sqrt(arc_cosine_1(wider(q)))};
    });
    program.activate([=](auto q) { return (q + added) / 2 * arc_cosine_1(wider(q)); },
             [=](auto q) { return arc_cosine_0(wider(q)) / 2; });
    program.set_nonnegative(true);
}

// With N = 1 + 4q: F(q, q) = exp(-2q / N) (exp(2q / N) - 1) / (2 sqrt N).
template <class T>
void gabor(Program<T>& program, Arguments) {
    const auto norm = [](auto q) {
        const auto n = 1 + 4 * q;
        return -expm1(-2 * q / n) / (2 * sqrt(n));
    };
    emit_wide<T>(program, OpCode::gabor, {}, 1, [=](auto q) { return std::array{q, sqrt(norm(q))}; }, smallest_of_odd);
    program.activate(norm, [](auto q) {
        const Extended n = 1 + 4 * q;
        const Extended a = 1 + 4 * q + 8 * square(q);
        const Extended b = 4 * q * (6 * q + 2);
        return (exp(-2 * q / n) * (a - b) + (a + b)) / (2 * square(n) * sqrt(n));
    });
}

template <class T>
struct Entry {
    std::string_view name;
    void (*append)(Program<T>&, Arguments);
};

template <class T>
constexpr Entry<T> entries[] = {
    {"sinusoid", sinusoid<T>},       // a sin(b x + c): a, b, cos 2c
    {"snake", snake<T>},             // x + sin(a x)^2 / a
    {"rbf", rbf<T>},                 // the kernel exp(-gamma |u - v|^2)
    {"exponential", exponential<T>}, // a exp(b x)
    {"exponential_normalized", exponential_normalized<T>}, // the kernel s_p s_q exp(gamma (rho + shift))
    {"gaussian", gaussian<T>},       // a exp(b x^2)
    {"gelu", gelu<T>},               // x Phi(x)
    {"smoothed_relu", smoothed_relu<T>}, // x Phi(x / s) + s pdf(x / s)
    {"gabor", gabor<T>},             // exp(-x^2) sin x
};

} // namespace

template <class T>
void Program<T>::smooth(std::string_view name, std::span<const double> arguments) {
    std::ranges::find(entries<T>, name, &Entry<T>::name)->append(*this, arguments);
}

template void Program<float>::smooth(std::string_view, std::span<const double>);
template void Program<double>::smooth(std::string_view, std::span<const double>);

} // namespace fastntk
