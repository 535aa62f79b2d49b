// F(q, q) = E[phi(u)^2] and F'(q, q) = E[phi'(u)^2], u ~ N(0, q), of activations with a closed form, and what their ops need
// of a sample. Each is a struct of numbers N (DoubleDouble, or Scaled) whose functions take q as an N or as a Tangent<N>.
//
// `tables` has a variance in units of the activation's own, never below the smallest: its argument is unit(q).
#pragma once

#include "tangent.hpp"

namespace fastntk::FASTNTK_ISA {

template <class Q, int size>
struct Tables {
    Q at[size];
};

template <class Q>
FASTNTK_INLINE Q square(Q x) { return x * x; }

// Without tables.
template <class N>
struct WithoutTables {
    static constexpr int table_count = 0;
    FASTNTK_INLINE N unit(N q) const { return q; }
};

// Their tables are functions of unit^2 q.
template <class N>
struct OwnUnit {
    N scale; // unit^2
    FASTNTK_INLINE N unit(N q) const { return scale * q; }
};

// q (a^2 + b^2) / 2.
template <class N>
struct PiecewiseLinearForm : WithoutTables<N> {
    N gain;
    explicit PiecewiseLinearForm(const double* p) : gain((square(N(p[0])) + square(N(p[1]))) * 0.5) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return q * gain; }
    template <class Q> FASTNTK_INLINE Q slope(Q) const { return gain; }
};

// (2n - 1)!! q^n / 2 of max(x, 0)^n.
template <class N>
struct StepForm : WithoutTables<N> {
    explicit StepForm(const double*) {}
    template <class Q> FASTNTK_INLINE Q variance(Q) const { return 0.5; }
    template <class Q> FASTNTK_INLINE Q slope(Q) const { return 0.0; }
};
template <class N>
struct RectifiedSquareForm : WithoutTables<N> {
    explicit RectifiedSquareForm(const double*) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return 1.5 * q * q; }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return 2 * q; }
};
template <class N>
struct RectifiedCubeForm : WithoutTables<N> {
    explicit RectifiedCubeForm(const double*) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return 7.5 * q * q * q; }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return 13.5 * q * q; }
};

template <class N>
struct SignForm : WithoutTables<N> {
    explicit SignForm(const double*) {}
    template <class Q> FASTNTK_INLINE Q variance(Q) const { return 1.0; }
    template <class Q> FASTNTK_INLINE Q slope(Q) const { return 0.0; }
};

// a erf(b x): with Q = 2 b^2 q and sin A = Q / (1 + Q), a^2 (2/pi) A and (4 a^2 b^2 / pi) / sqrt(1 + 2Q).
template <class N>
struct ErfForm : OwnUnit<N> {
    N a, b;
    explicit ErfForm(const double* p) : OwnUnit<N>{2 * square(N(p[1]))}, a(p[0]), b(p[1]) {}
    template <class Q> FASTNTK_INLINE static Q angle(Q big_q) { return atan2(big_q, sqrt(1 + 2 * big_q)); }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return square(a) * 2 / wide_pi * angle(this->scale * q); }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const {
        return square(2 * a * b) / wide_pi / sqrt(1 + 2 * (this->scale * q));
    }
    static constexpr int table_count = 7;
    template <class Q> FASTNTK_INLINE Tables<Q, table_count> tables(Q big_q) const {
        const Q rest = 1 / (1 + big_q);
        const Q sine = big_q * rest;
        const Q cosine = sqrt(1 + 2 * big_q) * rest;
        const Q root = sqrt(angle(big_q));
        const Q inverse = 1 / root;
        return {{sine, rest, cosine, sine * cosine, root, inverse, 1 - sqrt(sine) * inverse}};
    }
};

// The op's s'^2 in its own units is `wave` of x^2 = unit(q).
template <class Q, class Wave>
FASTNTK_INLINE Tables<Q, 3> sinusoid_tables(Q x_squared, Wave wave) {
    return {{sqrt(x_squared), -expm1(-0.5 * x_squared), sqrt(wave)}};
}

// a sin(b x + c), kappa = cos 2c: a^2 (1 - kappa exp(-2 b^2 q)) / 2 and a^2 b^2 (1 + kappa exp(-2 b^2 q)) / 2.
template <class N>
struct SinusoidForm : OwnUnit<N> {
    N a, kappa;
    explicit SinusoidForm(const double* p) : OwnUnit<N>{square(N(p[1]))}, a(p[0]), kappa(p[2]) {}
    template <class Q> FASTNTK_INLINE Q wave(Q x_squared) const { return (1 - kappa) - kappa * expm1(-2 * x_squared); }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return square(a) * 0.5 * wave(this->scale * q); }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const {
        return square(a) * this->scale * 0.5 * ((1 + kappa) + kappa * expm1(-2 * (this->scale * q)));
    }
    static constexpr int table_count = 3;
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q x_squared) const {
        const Q norm = wave(x_squared), least = 0x1p-1022;
        return sinusoid_tables(x_squared, choose(norm < least, least, norm));
    }
};

// x + sin(a x)^2 / a: with x^2 = 4 a^2 q, 4 a^2 F = x^2 + 3/2 - 2 exp(-x^2 / 2) + exp(-2 x^2) / 2, F' = 1 + (1 - exp(-2 x^2)) / 2.
template <class N>
struct SnakeForm : OwnUnit<N> {
    explicit SnakeForm(const double* p) : OwnUnit<N>{square(N(2 * p[0]))} {}
    template <class Q> FASTNTK_INLINE static Q norm(Q x_squared) {
        return x_squared - 2 * expm1(-0.5 * x_squared) + 0.5 * expm1(-2 * x_squared);
    }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return norm(this->scale * q) / this->scale; }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return 1 - 0.5 * expm1(-2 * (this->scale * q)); }
    static constexpr int table_count = 3;
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q x_squared) const {
        return sinusoid_tables(x_squared, norm(x_squared));
    }
};

// exp(-gamma |u - v|^2).
template <class N>
struct RbfForm : OwnUnit<N> {
    explicit RbfForm(const double* p) : OwnUnit<N>{2 * N(p[0])} {}
    template <class Q> FASTNTK_INLINE Q variance(Q) const { return 1.0; }
    template <class Q> FASTNTK_INLINE Q slope(Q) const { return this->scale; }
    static constexpr int table_count = 3;
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q x_squared) const { return sinusoid_tables(x_squared, Q(1.0)); }
};

// a exp(b x): a^2 exp(2 b^2 q) and b^2 times that.
template <class N>
struct ExponentialForm : OwnUnit<N> {
    N a;
    explicit ExponentialForm(const double* p) : OwnUnit<N>{square(N(p[1]))}, a(p[0]) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return square(a) * exp(2 * (this->scale * q)); }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return this->scale * variance(q); }
    static constexpr int table_count = 3;
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q x_squared) const { return sinusoid_tables(x_squared, Q(1.0)); }
};

// s_p s_q exp(gamma (rho + shift)).
template <class N>
struct ExponentialNormalizedForm {
    N gamma, root, peak;
    explicit ExponentialNormalizedForm(const double* p)
        : gamma(p[0]), root(sqrt(gamma)), peak(exp(gamma * (N(1.0) + N(p[1])))) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return q * peak; }
    template <class Q> FASTNTK_INLINE Q slope(Q) const { return gamma * peak; }
    static constexpr int table_count = 3;
    FASTNTK_INLINE N unit(N q) const { return q; }
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q) const { return {{root, 0.0, 1.0}}; }
};

// a exp(b x^2): with w^2 = 1 - 4 b q, a^2 / w and 4 a^2 b^2 q / w^3; no number where 4 b q > 1.
template <class N>
struct GaussianForm : OwnUnit<N> {
    N a, b, sign;
    explicit GaussianForm(const double* p)
        : OwnUnit<N>{2 * N(abs(p[1]))}, a(p[0]), b(p[1]), sign(p[1] < 0 ? -1.0 : 1.0) {}
    template <class Q> FASTNTK_INLINE Q w(Q q) const { return sqrt(1 - 4 * b * q); }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return square(a) / w(q); }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return 4 * square(a * b) * q / (w(q) * w(q) * w(q)); }
    static constexpr int table_count = 3;
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q x_squared) const {
        return {{-sign * x_squared, sqrt(1 - 2 * sign * x_squared), sqrt(x_squared)}};
    }
};

// x Phi(x): with sin A = q / (1 + q), D = sqrt(1 + 2q), q (1/4 + A / 2 pi) + q^2 (1 + D^2) / (2 pi (1 + q)^2 D).
template <class N>
struct GeluForm {
    explicit GeluForm(const double*) {}
    template <class Q> FASTNTK_INLINE static Q root(Q q) { return sqrt(1 + 2 * q); }
    template <class Q> FASTNTK_INLINE static Q plane(Q q) { return 0.25 + atan2(q, root(q)) / (2 * wide_pi); }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const {
        return q * plane(q) + square(q) / ((1 + q) * wide_pi * root(q));
    }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const {
        return plane(q) + q / (2 * wide_pi * root(q)) * (1 / (1 + 2 * q) + 2 / (1 + q));
    }
    static constexpr int table_count = 3;
    FASTNTK_INLINE N unit(N q) const { return q; }
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q q) const {
        const Q rest = 1 / (1 + q);
        return {{sqrt(q * rest), rest, sqrt(variance(q) * rest)}};
    }
};

// (sin theta + (pi - theta) cos theta) / pi and 1 - theta / pi at cos theta = 1 - gap: Cho and Saul (2009).
template <class Q>
FASTNTK_INLINE Q angle_of(Q gap) { return atan2(sqrt(gap * (2 - gap)), 1 - gap); }
template <class Q>
FASTNTK_INLINE Q arc_cosine_0(Q gap) { return 1 - angle_of(gap) / wide_pi; }
template <class Q>
FASTNTK_INLINE Q arc_cosine_1(Q gap) {
    return (sqrt(gap * (2 - gap)) + (wide_pi - angle_of(gap)) * (1 - gap)) / wide_pi;
}

// x Phi(x / s) + s pdf(x / s) = E relu(x + s z), of variance q + s^2: 1 - w^2 = s^2 / (q + s^2).
template <class N>
struct SmoothedReluForm {
    N added;
    explicit SmoothedReluForm(const double* p) : added(square(N(p[0]))) {}
    template <class Q> FASTNTK_INLINE Q wider(Q q) const { return added / (q + added); }
    template <class Q> FASTNTK_INLINE Q variance(Q q) const { return (q + added) * 0.5 * arc_cosine_1(wider(q)); }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const { return 0.5 * arc_cosine_0(wider(q)); }
    static constexpr int table_count = 3;
    FASTNTK_INLINE N unit(N q) const { return q / added; }
    template <class Q> FASTNTK_INLINE Tables<Q, 3> tables(Q ratio) const {
        const Q rest = 1 / (ratio + 1);
        const Q w = sqrt(ratio * rest);
        return {{w, rest / (1 + w), sqrt(arc_cosine_1(rest))}};
    }
};

// exp(-x^2) sin x: with N = 1 + 4q, exp(-2q / N) (exp(2q / N) - 1) / (2 sqrt N).
template <class N>
struct GaborForm {
    explicit GaborForm(const double*) {}
    template <class Q> FASTNTK_INLINE Q variance(Q q) const {
        const Q n = 1 + 4 * q;
        return -expm1(-2 * q / n) / (2 * sqrt(n));
    }
    template <class Q> FASTNTK_INLINE Q slope(Q q) const {
        const Q n = 1 + 4 * q;
        const Q a = n + 8 * square(q);
        const Q b = 4 * q * (6 * q + 2);
        return (exp(-2 * q / n) * (a - b) + (a + b)) / (2 * square(n) * sqrt(n));
    }
    static constexpr int table_count = 2;
    FASTNTK_INLINE N unit(N q) const { return q; }
    template <class Q> FASTNTK_INLINE Tables<Q, 2> tables(Q q) const { return {{q, sqrt(variance(q))}}; }
};

} // namespace fastntk::FASTNTK_ISA
