// The arithmetic of single samples where branches meet and units are normalised (core/nodes.hpp). Built as samples.cpp.
#include "../core/nodes.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "closed_forms.hpp"
#include "columns.hpp"

namespace fastntk::FASTNTK_ISA {
namespace {

// A number of sample i, as an N.
template <class N>
struct Reader {
    Index i;
    N operator()(const ScaledNumbers& x) const {
        if constexpr (__is_same(N, Scaled)) return load(x, i);
        else return {x.high[i], x.low[i]};
    }
    void write(DoubleDouble value, const ScaledNumbers& x) const {
        x.high[i] = value.high;
        x.low[i] = value.low;
        x.power[i] = 0;
    }
    void write(const Scaled& value, const ScaledNumbers& x) const { store(value, x, i); }
    void write(DoubleDouble value, const WideNumbers& x) const { store(value, x, i); }
    void write(const Scaled& value, const WideNumbers& x) const { store(value.rounded(), x, i); }
};

double rounded(DoubleDouble x) { return x.high; }
double rounded(const Scaled& x) { return x.rounded().high; }

bool plain(const ScaledNumbers& x, Index i) {
    return x.power[i] == 0 && (x.high[i] == 0 || is_moderate(abs(x.high[i])));
}

template <class Body>
FASTNTK_COLD void with_scaled_numbers(Index i, const Body& body) {
    body(Reader<Scaled>{i});
}

// body(reader) for each sample, with Scaled numbers where one of those given is not of moderate size.
template <class Body, class... Columns>
void for_numbers(Index begin, Index end, bool moderate, const Body& body, const Columns&... columns) {
    for (Index i = begin; i < end; ++i)
        if (moderate && (plain(columns, i) && ...)) body(Reader<DoubleDouble>{i});
        else with_scaled_numbers(i, body);
}

template <class N> N number(const Reader<N>&, double x) { return N(x); }

template <class N> bool is_zero(const N& x) { return !(N(0.0) < x); }

void add(const PartsArguments& s) {
    const Diagonals& whole = s.samples;
    for_numbers(whole.begin, whole.end, true, [&](const auto& at) {
        const auto first = at(whole.variance), second = at(s.variance), sum = sum_of_positive(first, second);
        const auto ntk = sum_of_positive(at(whole.ntk), at(s.ntk));
        const auto half = number(at, 0.5);
        at.write(is_zero(sum) ? sqrt(half) : sqrt(first / sum), s.a);
        at.write(is_zero(sum) ? sqrt(half) : sqrt(second / sum), s.b);
        at.write(sum, whole.variance);
        at.write(ntk, whole.ntk);
    }, whole.variance, whole.ntk, s.variance, s.ntk);
}

void multiply(const PartsArguments& s) {
    const Diagonals& whole = s.samples;
    for_numbers(whole.begin, whole.end, true, [&](const auto& at) {
        const auto first = at(whole.variance), second = at(s.variance);
        at.write(sum_of_positive(at(whole.ntk) * second, first * at(s.ntk)), whole.ntk);
        at.write(first * second, whole.variance);
    }, whole.variance, whole.ntk, s.variance, s.ntk);
}

// share (1 + carried) rounded to T, and what that leaves to be carried.
template <class T>
T rounded_share(DoubleDouble share, double carried, double& left) {
    const DoubleDouble wanted = share + share * carried;
    const T rounded = static_cast<T>(wanted.high);
    const double value = static_cast<double>(rounded);
    const bool normal = value >= (sizeof(T) == sizeof(float) ? 0x1p-126 : 0x1p-1022);
    left = normal ? ((wanted.high - value) + wanted.low) / value : 0;
    return rounded;
}

template <class T>
void part_tables(const PartTablesArguments<T>& s) {
    for (Index i = s.begin; i < s.end; ++i) {
        const DoubleDouble a = load(s.a, i), b = load(s.b, i);
        double left_a = 0, left_b = 0;
        T* const table = s.tables + i;
        table[0] = rounded_share<T>(a, s.carried[i], left_a);
        double whole;
        table[2 * s.stride] = static_cast<T>(half_tangent(a, b, whole).high);
        table[s.stride] = static_cast<T>(whole);
        table[3 * s.stride] = rounded_share<T>(b, s.carried_b[i], left_b);
        s.carried[i] = a.high * a.high * left_a + b.high * b.high * left_b;
    }
}

void centre(const CentreArguments& s) {
    for_numbers(s.samples.begin, s.samples.end, true, [&](const auto& at) {
        const auto variance = at(s.samples.variance), mean = at(s.mean), left = variance - mean * mean;
        const bool none = is_zero(variance) || is_zero(left);
        at.write(none ? number(at, 1.0) : sqrt(left / variance), s.a);
        at.write(none ? number(at, 0.0) : mean / sqrt(variance), s.b);
        at.write(none ? number(at, 0.0) : left, s.samples.variance);
    }, s.samples.variance, s.mean);
}

void standard(const StandardArguments& s) {
    const bool moderate = is_moderate_parameter(s.sigma_w) && is_moderate_parameter(s.sigma_b) && is_moderate_parameter(s.inputs);
    for_numbers(s.samples.begin, s.samples.end, moderate, [&](const auto& at) {
        const auto weight = square(number(at, s.sigma_w)), bias = square(number(at, s.sigma_b)), inputs = number(at, s.inputs);
        const auto before = at(s.samples.variance), of_features = weight * before, variance = sum_of_positive(of_features, bias);
        const auto gradient = sum_of_positive(inputs * before, number(at, s.bias));
        at.write(sum_of_positive(weight * at(s.samples.ntk), gradient), s.samples.ntk);
        const bool none = is_zero(variance);
        at.write(none ? number(at, 1.0) : sqrt(of_features / variance), s.a);
        at.write(none ? number(at, 0.0) : sqrt(bias / variance), s.b);
        s.w[at.i] = none ? 0 : rounded(sqrt(inputs * before / variance));
        s.v[at.i] = none ? 0 : rounded(sqrt(number(at, s.bias) / variance));
        at.write(variance, s.samples.variance);
    }, s.samples.variance, s.samples.ntk);
}

void scale(const Diagonals& s, double factor) {
    for_numbers(s.begin, s.end, is_moderate_parameter(factor), [&](const auto& at) {
        at.write(number(at, factor) * at(s.variance), s.variance);
        at.write(number(at, factor) * at(s.ntk), s.ntk);
    }, s.variance, s.ntk);
}

void normalise(const Diagonals& s, double eps, double* kept) {
    for_numbers(s.begin, s.end, is_moderate_parameter(eps), [&](const auto& at) {
        const auto variance = at(s.variance), whole = sum_of_positive(variance, number(at, eps));
        const bool none = is_zero(whole);
        kept[at.i] = none ? 0 : rounded(number(at, eps) / whole);
        at.write(none ? number(at, 0.0) : at(s.ntk) / whole, s.ntk);
        at.write(none ? number(at, 0.0) : eps == 0 ? number(at, 1.0) : variance / whole, s.variance);
    }, s.variance, s.ntk);
}

// Means of the closed forms: E[phi(sqrt(q) z)].
constexpr DoubleDouble wide_2_pi{0x1.921fb54442d18p+2, 0x1.1a62633145c07p-52};

template <class Q> Q half_normal(Q q) { return sqrt(q / wide_2_pi); } // of max(x, 0)

struct MeanOfPiecewiseLinear {
    template <class Q, class N> Q operator()(Q q, const N* p) const { return (p[1] - p[0]) * half_normal(q); }
};
struct MeanOfStep {
    template <class Q, class N> Q operator()(Q, const N*) const { return 0.5; }
};
struct MeanOfRectifiedSquare {
    template <class Q, class N> Q operator()(Q q, const N*) const { return 0.5 * q; }
};
struct MeanOfRectifiedCube {
    template <class Q, class N> Q operator()(Q q, const N*) const { return 2 * q * half_normal(q); }
};
struct MeanOfOdd {
    template <class Q, class N> Q operator()(Q, const N*) const { return 0.0; }
};
struct MeanOfSinusoid { // a, b, cos 2c, sin c
    template <class Q, class N> Q operator()(Q q, const N* p) const { return p[0] * p[3] * exp(-0.5 * (square(p[1]) * q)); }
};
struct MeanOfSnake {
    template <class Q, class N> Q operator()(Q q, const N* p) const { return -expm1(-2 * (square(p[0]) * q)) / (2 * p[0]); }
};
struct MeanOfRbf { // of sqrt 2 sin(sqrt(2 gamma) x + pi/4)
    template <class Q, class N> Q operator()(Q q, const N* p) const { return exp(-(p[0] * q)); }
};
struct MeanOfExponential {
    template <class Q, class N> Q operator()(Q q, const N* p) const { return p[0] * exp(0.5 * (square(p[1]) * q)); }
};
struct MeanOfExponentialNormalized { // the root of the kernel at rho = 0
    template <class Q, class N> Q operator()(Q q, const N* p) const { return sqrt(q * exp(p[0] * p[1])); }
};
struct MeanOfGaussian {
    template <class Q, class N> Q operator()(Q q, const N* p) const { return p[0] / sqrt(1 - 2 * p[1] * q); }
};
struct MeanOfGelu {
    template <class Q, class N> Q operator()(Q q, const N*) const { return q / sqrt(wide_2_pi * (1 + q)); }
};
struct MeanOfSmoothedRelu {
    template <class Q, class N> Q operator()(Q q, const N* p) const { return half_normal(q + square(p[0])); }
};

template <class Mean>
void mean(Index begin, Index end, const double* parameters, const ScaledNumbers& q, const ScaledNumbers& mean, double* slope) {
    bool moderate = true;
    for (int k = 0; k < activation_parameters; ++k) moderate = moderate && is_moderate_parameter(parameters[k]);
    for_numbers(begin, end, moderate, [&]<class N>(const Reader<N>& at) {
        const N p[activation_parameters] = {parameters[0], parameters[1], parameters[2], parameters[3]}, x = at(q);
        if (is_zero(x)) {
            at.write(Mean()(x, p), mean);
            if (slope) slope[at.i] = 0;
            return;
        }
        const Tangent<N> found = Mean()(Tangent<N>(x, x), p);
        at.write(found.v, mean);
        if (slope) slope[at.i] = rounded(found.d);
    }, q);
}

void add_numbers(Index begin, Index end, const ScaledNumbers& x, double factor, const ScaledNumbers& y) {
    for_numbers(begin, end, is_moderate_parameter(factor), [&](const auto& at) { at.write(at(x) + number(at, factor) * at(y), x); }, x, y);
}

void multiply_numbers(Index begin, Index end, const ScaledNumbers& x, const ScaledNumbers& y) {
    for_numbers(begin, end, true, [&](const auto& at) { at.write(at(x) * at(y), x); }, x, y);
}

// The sums of a block of numbers, of which none is negative. Those beyond a moderate size have a power, or the sum is beyond it too.
constexpr Index block = 64;
struct Sums {
    alignas(64) double high[block], low[block], powers[block];

    // Those of `at_once` terms, from sample `begin` on: the first ones, or more.
    template <Index at_once, bool is_first>
    void add(const ScaledNumbers* terms, Index begin, Index count) {
        const double *more_high[at_once], *more_low[at_once], *power[at_once];
        for (Index t = 0; t < at_once; ++t) {
            more_high[t] = terms[t].high + begin;
            more_low[t] = terms[t].low + begin;
            power[t] = terms[t].power + begin;
        }
FASTNTK_INDEPENDENT
        for (Index i = 0; i < count; ++i) {
            DoubleDouble total = is_first ? DoubleDouble(more_high[0][i], more_low[0][i]) : DoubleDouble(high[i], low[i]);
            double any_power = is_first ? abs(power[0][i]) : powers[i];
#pragma GCC unroll 4
            for (Index t = is_first ? 1 : 0; t < at_once; ++t) {
                total = sum_of_positive(total, DoubleDouble(more_high[t][i], more_low[t][i]));
                any_power += abs(power[t][i]);
            }
            high[i] = total.high;
            low[i] = total.low;
            powers[i] = any_power;
        }
    }

    void zero(Index count) {
        for (Index i = 0; i < count; ++i) high[i] = low[i] = powers[i] = 0;
    }
};

void sum(Index count, const ScaledNumbers& x, const ScaledNumbers* terms, Index term_count, double divisor) {
    const DoubleDouble factor = 1 / DoubleDouble(divisor);
    Sums sums;
    for (Index begin = 0; begin < count; begin += block) {
        const Index some = min(block, count - begin);
        Index t = min(term_count, Index(3));
        switch (t) {
        case 0: sums.zero(some); break;
        case 1: sums.add<1, true>(terms, begin, some); break;
        case 2: sums.add<2, true>(terms, begin, some); break;
        default: sums.add<3, true>(terms, begin, some);
        }
        for (; t + 3 <= term_count; t += 3) sums.add<3, false>(terms + t, begin, some);
        for (; t < term_count; ++t) sums.add<1, false>(terms + t, begin, some);
        const ScaledNumbers to{x.high + begin, x.low + begin, x.power + begin};
FASTNTK_INDEPENDENT
        for (Index i = 0; i < some; ++i) sums.powers[i] += outside_but_0(sums.high[i]);
        if (!any(sums.powers, some)) {
FASTNTK_INDEPENDENT
            for (Index i = 0; i < some; ++i) {
                const DoubleDouble value = DoubleDouble(sums.high[i], sums.low[i]) * factor;
                to.high[i] = value.high;
                to.low[i] = value.low;
                to.power[i] = 0;
            }
            continue;
        }
        for (Index i = begin; i < begin + some; ++i) {
            Scaled total(0.0);
            for (Index k = 0; k < term_count; ++k) total = sum_of_positive(total, load(terms[k], i));
            store(total * Scaled(factor), x, i);
        }
    }
}

void divide_numbers(Index count, const ScaledNumbers& x, const ScaledNumbers& y, double eps) {
    for_numbers(0, count, is_moderate_parameter(eps), [&](const auto& at) {
        const auto whole = sum_of_positive(at(y), number(at, eps));
        at.write(is_zero(whole) ? number(at, 0.0) : at(x) / whole, x);
    }, x, y);
}

constexpr NodeKernels make_kernels() {
    NodeKernels k{};
    k.add = add;
    k.multiply = multiply;
    k.part_tables_float = part_tables<float>;
    k.part_tables_double = part_tables<double>;
    k.centre = centre;
    k.standard = standard;
    k.scale = scale;
    k.normalise = normalise;
    k.add_numbers = add_numbers;
    k.multiply_numbers = multiply_numbers;
    k.sum = sum;
    k.divide_numbers = divide_numbers;
    const auto set = [&](ClosedForm form, NodeKernels::Mean function) { k.means[static_cast<int>(form)] = function; };
    set(ClosedForm::piecewise_linear, mean<MeanOfPiecewiseLinear>);
    set(ClosedForm::step, mean<MeanOfStep>);
    set(ClosedForm::rectified_square, mean<MeanOfRectifiedSquare>);
    set(ClosedForm::rectified_cube, mean<MeanOfRectifiedCube>);
    set(ClosedForm::sign, mean<MeanOfOdd>);
    set(ClosedForm::erf, mean<MeanOfOdd>);
    set(ClosedForm::sinusoid, mean<MeanOfSinusoid>);
    set(ClosedForm::snake, mean<MeanOfSnake>);
    set(ClosedForm::rbf, mean<MeanOfRbf>);
    set(ClosedForm::exponential, mean<MeanOfExponential>);
    set(ClosedForm::exponential_normalized, mean<MeanOfExponentialNormalized>);
    set(ClosedForm::gaussian, mean<MeanOfGaussian>);
    set(ClosedForm::gelu, mean<MeanOfGelu>);
    set(ClosedForm::smoothed_relu, mean<MeanOfSmoothedRelu>);
    set(ClosedForm::gabor, mean<MeanOfOdd>);
    return k;
}

} // namespace

extern constexpr NodeKernels node_kernels = make_kernels();

} // namespace fastntk::FASTNTK_ISA
