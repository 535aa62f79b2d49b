// The arithmetic of single samples (core/samples.hpp). Built once per instruction set, with FASTNTK_ISA its namespace, and
// without contraction of a * b + c: the rounding errors of single operations are what it computes with.
#include "../core/nodes.hpp"

namespace fastntk::FASTNTK_ISA { using fastntk::Index; }

#include "sample_activations.hpp"

namespace fastntk::FASTNTK_ISA {
namespace {

void input(const Diagonals& s, const double* norms, Index features) {
    const double divisor = features > 0 ? static_cast<double>(features) : 1;
    const DoubleDouble inverse = 1.0 / DoubleDouble(divisor);
    for_blocks(s.begin, s.end, [&](Index begin, Index count) {
        const ScaledNumbers to{s.variance.high + begin, s.variance.low + begin, s.variance.power + begin};
        const double* const from = norms + begin;
FASTNTK_INDEPENDENT
        for (Index i = 0; i < count; ++i) {
            const DoubleDouble q = features > 0 ? two_product(from[i], from[i]) * inverse : DoubleDouble(from[i]);
            to.high[i] = q.high;
            to.low[i] = q.low;
            to.power[i] = 0;
        }
        for (Index i = 0; i < count; ++i)
            if (from[i] != 0 && !is_moderate(to.high[i]))
                store(features > 0 ? square(Scaled(from[i])) * inverse : Scaled(from[i]), to, i);
    });
}

// K and Theta of one sample through a Dense layer.
template <class N>
struct DenseForm {
    N weight, bias;
    double trainable;

    explicit DenseForm(const DenseArguments& s)
        : weight(square(N(s.sigma_w))), bias(square(N(s.sigma_b))), trainable(s.trainable ? 1 : 0) {}

    FASTNTK_INLINE void operator()(N& variance, N& ntk, DoubleDouble& a, DoubleDouble& b) const {
        const N of_features = weight * variance;
        variance = sum_of_positive(of_features, bias);
        ntk = sum_of_positive(weight * ntk, trainable * variance);
        const N inverse = 1 / variance;
        a = rounded(sqrt(of_features * inverse));
        b = rounded(sqrt(bias * inverse));
    }
    FASTNTK_INLINE void operator()(N& variance, N& ntk) const {
        variance = weight * variance;
        ntk = sum_of_positive(weight * ntk, trainable * variance);
    }

private:
    static FASTNTK_INLINE DoubleDouble rounded(DoubleDouble x) { return x; }
    static DoubleDouble rounded(const Scaled& x) { return x.rounded(); }
};

template <bool with_bias>
void dense_layer(const DenseArguments& s) {
    const DenseForm<DoubleDouble> layer(s);
    const DenseForm<Scaled> exact(s);
    const double parameters = unless(is_moderate_parameter(s.sigma_w) && is_moderate_parameter(s.sigma_b));
    for_blocks(s.samples.begin, s.samples.end, [&](Index begin, Index count) {
        const Index whole = filled_vectors(count);
        Block variance, ntk, a, b;
        variance.read(s.samples.variance, begin, count, whole);
        ntk.read(s.samples.ntk, begin, count, whole);
        alignas(64) double again[block_size];
FASTNTK_INDEPENDENT
        for (Index i = 0; i < whole; ++i) {
            DoubleDouble k = variance[i], theta = ntk[i], share_a(0), share_b(0);
            const double before = outside_but_0(k.high) + outside_but_0(theta.high) + abs(variance.power[i]) + abs(ntk.power[i]);
            if constexpr (with_bias) layer(k, theta, share_a, share_b);
            else layer(k, theta);
            again[i] = parameters + before + outside_but_0(k.high) + outside_but_0(theta.high);
            variance.set(i, k);
            ntk.set(i, theta);
            if constexpr (with_bias) {
                a.set(i, share_a);
                b.set(i, share_b);
            }
        }
        if (any(again, count))
            for (Index i = 0; i < count; ++i) {
                if (again[i] == 0) continue;
                Scaled k = load(s.samples.variance, begin + i), theta = load(s.samples.ntk, begin + i);
                DoubleDouble share_a(0), share_b(0);
                if constexpr (with_bias) exact(k, theta, share_a, share_b);
                else exact(k, theta);
                const ScaledNumbers to_variance{variance.high, variance.low, variance.power}, to_ntk{ntk.high, ntk.low, ntk.power};
                store(k, to_variance, i);
                store(theta, to_ntk, i);
                a.set(i, share_a);
                b.set(i, share_b);
            }
        variance.write(s.samples.variance, begin, count);
        ntk.write(s.samples.ntk, begin, count);
        if constexpr (with_bias)
            for (Index i = 0; i < count; ++i) {
                store(a[i], s.a, begin + i);
                store(b[i], s.b, begin + i);
            }
    });
}

void dense(const DenseArguments& s) {
    if (s.sigma_b != 0) dense_layer<true>(s);
    else dense_layer<false>(s);
}

constexpr DoubleDouble root_half{0x1.6a09e667f3bcdp-1, -0x1.bdd3413b26456p-55};

template <class T> constexpr double smallest_normal = sizeof(T) == sizeof(float) ? 0x1p-126 : 0x1p-1022;

template <class T>
void shares(const ShareArguments<T>& s) {
    T *const a_table = s.tables, *const whole_table = a_table + s.stride, *const rest_table = whole_table + s.stride;
FASTNTK_INDEPENDENT
    for (Index i = s.begin; i < s.end; ++i) {
        const DoubleDouble a = load(s.a, i), b = load(s.b, i);
        const DoubleDouble wanted = a + a * s.carried[i];
        const T rounded = static_cast<T>(wanted.high);
        const double share = static_cast<double>(rounded);
        const bool normal = share >= smallest_normal<T>;
        s.carried[i] = normal ? ((wanted.high - share) + wanted.low) / (normal ? share : 1) : 0;
        a_table[i] = rounded;
        double whole;
        rest_table[i] = static_cast<T>(half_tangent(a, b, whole).high);
        whole_table[i] = static_cast<T>(whole);
    }
}

// With m = d log sigma_b: d log K = a^2 d log (sigma_w^2 K) + 2 b^2 m, and a and b are roots of shares.
template <bool with_bias, bool with_tables>
void dense_slopes(const DenseSlopeArguments& s) {
    const DoubleDouble moved_w = s.sigma_w != 0 ? (2 * Scaled(s.moved_w) / Scaled(s.sigma_w)).rounded() : DoubleDouble(0);
    const DoubleDouble moved_b = with_bias ? (Scaled(s.moved_b) / Scaled(s.sigma_b)).rounded() : DoubleDouble(0);
FASTNTK_INDEPENDENT
    for (Index i = s.samples.begin; i < s.samples.end; ++i) {
        // Where K vanishes so do its derivatives: they are products with K.
        const bool vanishes = (with_bias ? s.a.high[i] : s.samples.variance.high[i]) == 0;
        const DoubleDouble before = choose(vanishes, 0.0, load(s.slope, i) + moved_w);
        DoubleDouble after = before;
        if constexpr (with_bias) {
            const DoubleDouble a = load(s.a, i), b = load(s.b, i);
            after = a * (a * before) + 2 * (b * (b * moved_b)); // the squares may be below the range
            if constexpr (with_tables) {
                s.a_slope[i] = (0.5 * (a * (before - after))).high;
                s.b_slope[i] = (root_half * (b * (moved_b - 0.5 * after))).high;
            }
        }
        store(after, s.slope, i);
    }
}

void dense_slope(const DenseSlopeArguments& s) {
    if (!s.a.high) dense_slopes<false, false>(s);
    else if (!s.a_slope) dense_slopes<true, false>(s);
    else dense_slopes<true, true>(s);
}

template <class N>
N powers_times(double value, const N& q, double power) {
    N product(value);
    for (double k = 0; k < power; ++k) product = product * q;
    return product;
}

Scaled times_power_of(double value, const Scaled& q, double power) {
    if (is_moderate(value) && abs(q.power) < 200) { // then all products are between the first and the last
        const DoubleDouble product = powers_times(value, q.rounded(), power);
        if (is_moderate(product.high)) return product;
    }
    return powers_times(value, q, power);
}

void assign(const Diagonals& s, const double* variance, const double* slope, const double* powers) {
    for (Index i = s.begin; i < s.end; ++i) {
        const Scaled q = load(s.variance, i);
        const double power = powers ? powers[i] : 0, slope_power = powers ? powers[s.end + i] : 0;
        store(load(s.ntk, i) * times_power_of(slope[i], q, slope_power), s.ntk, i);
        store(isfinite(q.part.high) ? times_power_of(variance[i], q, power) : Scaled(__builtin_inf()), s.variance, i);
    }
}

void times(Index begin, Index end, const WideNumbers& x, const WideNumbers& y) {
FASTNTK_INDEPENDENT
    for (Index i = begin; i < end; ++i) store(load(x, i) * load(y, i), x, i);
}

void check_ntk(const Diagonals& s, double least, double most, const unsigned char* nonzero, unsigned char* faint) {
    const ScaledNumbers theta = s.ntk, variance = s.variance;
    alignas(64) double outside[block_size];
    bool some = false;
    for_blocks(s.begin, s.end, [&](Index begin, Index count) {
FASTNTK_INDEPENDENT
        for (Index i = 0; i < count; ++i) {
            const double k = variance.high[begin + i], ratio = theta.high[begin + i] / k;
            const double beyond = unless(min(max(ratio, least), most) == ratio) + abs(theta.power[begin + i]) + abs(variance.power[begin + i]);
            outside[i] = k == 0 ? 0 : beyond;
        }
        some = some || any(outside, count);
    });
    if (!some) return;
    for (Index i = s.begin; i < s.end; ++i) {
        if (!nonzero[i] || !(variance.high[i] > 0)) continue;
        const double ratio = shifted(DoubleDouble(theta.high[i] / variance.high[i]), theta.power[i] - variance.power[i]).high;
        if (ratio < least) faint[i] = 1;
        if (!(ratio <= most)) store(Scaled(__builtin_inf()), theta, i);
    }
}

double bend(double a, double b) {
    const Scaled squares = square(Scaled(a)) + square(Scaled(b));
    return squares.part.high == 0 ? 0 : (square(Scaled(a) - Scaled(b)) / squares).rounded().high;
}

void rounded(Index begin, Index end, const ScaledNumbers& x, double* out) {
    for (Index i = begin; i < end; ++i) out[i] = x.power[i] == 0 ? x.high[i] : load(x, i).rounded().high;
}

void root(Index begin, Index end, const ScaledNumbers& x, double* out) {
    alignas(64) double powers[block_size];
    for_blocks(begin, end, [&](Index first, Index count) {
        const ScaledNumbers from{x.high + first, x.low + first, x.power + first};
        double* const to = out + first;
FASTNTK_INDEPENDENT
        for (Index i = 0; i < count; ++i) {
            to[i] = sqrt(DoubleDouble(from.high[i], from.low[i])).high;
            powers[i] = abs(from.power[i]);
        }
        if (!any(powers, count)) return;
        for (Index i = 0; i < count; ++i)
            if (powers[i] != 0) to[i] = sqrt(load(from, i)).rounded().high;
    });
}

template <class N>
N signed_distance(N c, N q1, N q2) {
    const N length = sqrt(q1 * q2);
    return (length - (c < N(0.0) ? -c : c)) / length;
}

void gaps(Index count, const double* c, const double* q1, const double* q2, double* out) {
    for (Index i = 0; i < count; ++i) {
        double gap = c[i] == 0 ? 1 : -__builtin_inf();
        if (q1[i] > 0 && q2[i] > 0) {
            const bool moderate = is_moderate(q1[i]) && is_moderate(q2[i]) && (c[i] == 0 || is_moderate(abs(c[i])));
            gap = moderate ? signed_distance<DoubleDouble>(c[i], q1[i], q2[i]).high
                           : signed_distance<Scaled>(c[i], q1[i], q2[i]).rounded().high;
        }
        out[i] = copysign(1.0, c[i]) * gap;
    }
}

void inverse_lengths(Index count, const double* q1, const double* q2, double* out) {
    for (Index i = 0; i < count; ++i) out[i] = (1 / sqrt(Scaled(q1[i]) * Scaled(q2[i]))).rounded().high;
}

void scale_pairs(Index count, const ScaledNumbers& x, double* values) {
    for (Index i = 0; i < count; ++i)
        values[i] = (Scaled(values[i]) * sqrt(load(x, i)) * sqrt(load(x, count + i))).rounded().high;
}

template <class Function>
bool on_pairs(Index count, const WideNumbers& x, const WideNumbers& y, const Function& function) {
    for (Index i = 0; i < count; ++i) store(function(load(x, i), load(y, i)), x, i);
    return true;
}

bool double_double(int which, Index count, const WideNumbers& a, const WideNumbers& b) {
    switch (which) {
    case 0: return on_pairs(count, a, b, [](auto x, auto y) { return x + y; });
    case 1: return on_pairs(count, a, b, [](auto x, auto y) { return x - y; });
    case 2: return on_pairs(count, a, b, [](auto x, auto y) { return x * y; });
    case 3: return on_pairs(count, a, b, [](auto x, auto y) { return x / y; });
    case 4: return on_pairs(count, a, b, [](auto x, auto) { return sqrt(x); });
    case 5: return on_pairs(count, a, b, [](auto x, auto) { return exp(x); });
    case 6: return on_pairs(count, a, b, [](auto x, auto) { return expm1(x); });
    case 7: return on_pairs(count, a, b, [](auto x, auto y) { return atan2(x, y); });
    default: return false;
    }
}

constexpr SampleKernels make_kernels() {
    SampleKernels k{};
    k.nodes = &node_kernels;
    k.input = input;
    k.dense = dense;
    k.shares_float = shares<float>;
    k.shares_double = shares<double>;
    k.dense_slope = dense_slope;
    k.assign = assign;
    k.times = times;
    k.check_ntk = check_ntk;
    k.bend = bend;
    k.rounded = rounded;
    k.root = root;
    k.gaps = gaps;
    k.inverse_lengths = inverse_lengths;
    k.scale_pairs = scale_pairs;
    k.double_double = double_double;
    const auto add = [&]<template <class> class Form>(ClosedForm form) {
        auto& functions = k.activations[static_cast<int>(form)];
        functions[0] = activation<Form, false>;
        functions[1] = activation<Form, true>;
        k.vanishing[static_cast<int>(form)] = vanishing<Form>;
    };
    add.template operator()<PiecewiseLinearForm>(ClosedForm::piecewise_linear);
    add.template operator()<StepForm>(ClosedForm::step);
    add.template operator()<RectifiedSquareForm>(ClosedForm::rectified_square);
    add.template operator()<RectifiedCubeForm>(ClosedForm::rectified_cube);
    add.template operator()<SignForm>(ClosedForm::sign);
    add.template operator()<ErfForm>(ClosedForm::erf);
    add.template operator()<SinusoidForm>(ClosedForm::sinusoid);
    add.template operator()<SnakeForm>(ClosedForm::snake);
    add.template operator()<RbfForm>(ClosedForm::rbf);
    add.template operator()<ExponentialForm>(ClosedForm::exponential);
    add.template operator()<ExponentialNormalizedForm>(ClosedForm::exponential_normalized);
    add.template operator()<GaussianForm>(ClosedForm::gaussian);
    add.template operator()<GeluForm>(ClosedForm::gelu);
    add.template operator()<SmoothedReluForm>(ClosedForm::smoothed_relu);
    add.template operator()<GaborForm>(ClosedForm::gabor);
    return k;
}

} // namespace

extern constexpr SampleKernels sample_kernels = make_kernels();

} // namespace fastntk::FASTNTK_ISA
