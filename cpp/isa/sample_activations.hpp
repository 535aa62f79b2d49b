// What an activation makes of single samples: K, Theta, the tables of its op, and their slopes.
#pragma once

#include "closed_forms.hpp"
#include "sample_blocks.hpp"

namespace fastntk::FASTNTK_ISA {

// Of less than that part of K nothing is seen in Theta, in float, whose tables begin at variances that matter.
constexpr double least_seen = 1e-9;

// What an activation makes of one sample, and with slopes derivatives with respect to log q: of log F(q, q), and of tables.
// `own` is the variance in units of the activation, or the smallest for which there are tables.
template <template <class> class Form, class N, bool with_slopes>
struct Activated {
    static constexpr int tables = Form<N>::table_count;
    N variance, slope, elasticity;
    N values[tables + 1], slopes[tables + 1];

    FASTNTK_INLINE Activated(const Form<N>& form, N q, N own) : slope(form.slope(q)) {
        if constexpr (with_slopes) {
            const Tangent<N> at_q = form.variance(Tangent<N>(q, q));
            variance = at_q.v;
            elasticity = choose(N(0.0) < at_q.v, at_q.d / at_q.v, N(0.0));
        } else {
            variance = form.variance(q);
        }
        if constexpr (tables > 0) {
            if constexpr (with_slopes) {
                const auto all = form.tables(Tangent<N>(own, own));
#pragma GCC unroll 8
                for (int k = 0; k < tables; ++k) {
                    values[k] = all.at[k].v;
                    slopes[k] = all.at[k].d;
                }
            } else {
                const auto all = form.tables(own);
#pragma GCC unroll 8
                for (int k = 0; k < tables; ++k) values[k] = all.at[k];
            }
        }
    }
};

// What an activation makes of the samples of a block.
template <int tables>
struct ActivatedBlock {
    Block variance, ntk, elasticity;
    alignas(64) double high[tables + 1][block_size], low[tables + 1][block_size], slopes[tables + 1][block_size];
    alignas(64) double again[block_size]; // not 0 of a sample whose numbers are not of moderate size

    void copy(Index from, Index to) {
        variance.copy(from, to);
        ntk.copy(from, to);
        elasticity.copy(from, to);
        for (int k = 0; k < tables; ++k) {
            high[k][to] = high[k][from];
            low[k][to] = low[k][from];
            slopes[k][to] = slopes[k][from];
        }
    }
};

// Those samples again, with Scaled numbers.
template <template <class> class Form, int tables>
FASTNTK_COLD void activate_again(const ActivationArguments& s, Index begin, Index count, ActivatedBlock<tables>& block) {
    const Form<Scaled> form(s.parameters);
    Index zero = -1; // a sample that is 0: all such are alike, and there may be many
    for (Index i = 0; i < count; ++i) {
        if (block.again[i] == 0) continue;
        if (s.samples.variance.high[begin + i] == 0 && s.samples.ntk.high[begin + i] == 0) {
            if (zero >= 0) {
                block.copy(zero, i);
                continue;
            }
            zero = i;
        }
        const Scaled q = load(s.samples.variance, begin + i), theta = load(s.samples.ntk, begin + i);
        const Scaled own = form.unit(q);
        const bool too_small = own < Scaled(s.smallest);
        const Activated<Form, Scaled, true> next(form, q, too_small ? Scaled(s.smallest) : own);
        // Once beyond all range a sample stays there: some activations would bring it back.
        bool fits = isfinite(q.part.high) && isfinite(next.variance.part.high);
        if constexpr (tables > 0) fits = fits && !(Scaled(s.largest_variance) < own);
        for (int k = 0; k < tables; ++k) {
            const DoubleDouble value = next.values[k].rounded();
            fits = fits && abs(value.high) <= s.largest;
            block.high[k][i] = value.high;
            block.low[k][i] = value.low;
            block.slopes[k][i] = next.slopes[k].rounded().high;
        }
        const ScaledNumbers to_variance{block.variance.high, block.variance.low, block.variance.power};
        const ScaledNumbers to_ntk{block.ntk.high, block.ntk.low, block.ntk.power};
        store(fits ? next.variance : Scaled(__builtin_inf()), to_variance, i);
        // Tables of a larger variance have a larger slope, where phi(0) is not 0: of use while Theta / K is not huge.
        bool follows = true;
        if constexpr (tables > 0)
            follows = !too_small || !(Scaled(0.0) < form.variance(Scaled(0.0))) || !(Scaled(least_seen / s.smallest) < theta / q);
        store(follows ? theta * next.slope : Scaled(__builtin_inf()), to_ntk, i);
        block.elasticity.set(i, next.elasticity.rounded());
    }
}

template <template <class> class Form, bool with_slopes>
void activation(const ActivationArguments& s) {
    constexpr int tables = Form<DoubleDouble>::table_count;
    const Form<DoubleDouble> form(s.parameters);
    double parameters = 0;
    for (int k = 0; k < activation_parameters; ++k) parameters += unless(is_moderate_parameter(s.parameters[k]));
    const double smallest = s.smallest, largest = s.largest, largest_variance = s.largest_variance;
    for_blocks(s.samples.begin, s.samples.end, [&](Index begin, Index count) {
        const Index whole = filled_vectors(count);
        ActivatedBlock<tables> block;
        block.variance.read(s.samples.variance, begin, count, whole);
        block.ntk.read(s.samples.ntk, begin, count, whole);
FASTNTK_INDEPENDENT
        for (Index i = 0; i < whole; ++i) {
            const DoubleDouble q = block.variance[i], own = form.unit(q), theta = block.ntk[i];
            const Activated<Form, DoubleDouble, with_slopes> next(form, q, own);
            const DoubleDouble next_theta = theta * next.slope;
            double beyond = outside(q.high) + outside_but_0(theta.high) + abs(block.variance.power[i]) + abs(block.ntk.power[i]);
            beyond += outside(next.variance.high) + outside_but_0(next_theta.high);
            if constexpr (tables > 0) beyond += unless(own.high > smallest) + unless(own.high <= largest_variance);
#pragma GCC unroll 8
            for (int k = 0; k < tables; ++k) {
                beyond += unless(abs(next.values[k].high) <= largest);
                block.high[k][i] = next.values[k].high;
                block.low[k][i] = next.values[k].low;
                if constexpr (with_slopes) block.slopes[k][i] = next.slopes[k].high;
            }
            block.again[i] = parameters + beyond;
            block.variance.set(i, next.variance);
            block.ntk.set(i, next_theta);
            if constexpr (with_slopes) block.elasticity.set(i, next.elasticity);
        }
        if (any(block.again, count)) activate_again<Form>(s, begin, count, block);
        block.variance.write(s.samples.variance, begin, count);
        block.ntk.write(s.samples.ntk, begin, count);
        for (int k = 0; k < tables; ++k)
            for (Index i = 0; i < count; ++i) {
                s.tables[k * s.stride + begin + i] = block.high[k][i];
                if (s.tables_low) s.tables_low[k * s.stride + begin + i] = block.low[k][i];
                if constexpr (with_slopes) s.slopes[k * s.stride + begin + i] = block.slopes[k][i];
            }
        if constexpr (with_slopes)
            for (Index i = 0; i < count; ++i) store(block.elasticity[i], s.elasticity, begin + i);
    });
}

template <template <class> class Form>
Vanishing vanishing(const double* parameters) {
    const Form<Scaled> form(parameters);
    return {form.variance(Scaled(1.0)).part.high == 0, form.slope(Scaled(1.0)).part.high == 0};
}

} // namespace fastntk::FASTNTK_ISA
