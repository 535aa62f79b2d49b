// Smooth activations with an elementary dual. What follows them may be steep in the gap (as steep as the variance), so that
// the rounding of float would show next to duplicates and antipodes: there, and in derivatives, double is what W is for both
// precisions. Other pairs in float are computed in float, see `smooth_strip`.
//
// Theta is multiplied in W too: a factor that is rounded is rounded the same way in every layer.
//
// Most give 1 - rho' as D / (s'_p s'_q) with D = (F_pp + F_qq) / 2 - F_pq, half the mean squared difference of
// phi(u) and phi(v), less half the squared difference of s'_p and s'_q. Everything is symmetric in p and q.
#pragma once

#include "exponential.hpp"
#include "homogeneous.hpp"

namespace fastntk::FASTNTK_ISA {

// A table in more than the precision of T: the sum of two tables where T is float. As W.
template <class T, class W = Wide<T>>
struct WideTable {
    static constexpr Index count = sizeof(T) == 4 ? 2 : 1;
    W p;
    const T* high;
    const T* low;

    WideTable(const StripArguments<T>& s, Index k)
        : p(static_cast<W>(static_cast<double>(s.p[count * k]) + (count == 2 ? static_cast<double>(s.p[count * k + 1]) : 0.0))),
          high(s.q + count * k * s.q_stride), low(high + s.q_stride) {}

    FASTNTK_INLINE W operator[](Index j) const {
        if constexpr (sizeof(W) > sizeof(T)) return static_cast<W>(high[j]) + static_cast<W>(low[j]);
        else return high[j];
    }
};

template <>
struct WideTable<Jet, Jet> : Table<Jet> {
    using Table<Jet>::Table;
};

// The signed gap, from 1 - rho.
template <class W>
FASTNTK_INLINE W signed_gap(W one_minus_rho) {
    using S = Scalar<W>;
    return choose(one_minus_rho <= 1, max(one_minus_rho, S(0)), -max(2 - one_minus_rho, S(0)));
}

// Of samples that are the same, whatever rounding says; along the gap it moves nevertheless.
FASTNTK_INLINE float no_gap(float) { return 0; }
FASTNTK_INLINE double no_gap(double) { return 0; }
FASTNTK_INLINE Jet no_gap(const Jet& gap) { return {0, gap.gap, 0, 0}; }

template <class W> FASTNTK_INLINE W square(W x) { return x * x; }

// sin, cos, exp, snake, and kernels exp(-distance^2): with x = frequency * s, A = (x_p^2 + x_q^2)/2 - x_p x_q rho
// and A+ the same with -rho,
//   F = linear x_p x_q rho + share [exp(-A) - kappa exp(-A+)] + terms of one sample alone,
//   D = linear A + share [(1 - exp(-A)) (1 + kappa exp(-A+)) - kappa (g_p - g_q)^2 / 2],   g = exp(-x^2),
//   F' s_p s_q = x_p x_q (linear + share [exp(-A) + kappa exp(-A+)]).
// D for similar samples, F for others: of samples of very different size D is a small difference. In
// F, with y = x_p x_q |rho| and N the nearer of A and A+,
//   exp(-A) - exp(-A+) = +-exp(-N) (1 - exp(-2y));     linear = 1 is snake, whose even part is
//   (1 - e_p)(1 - e_q) + exp(-N) (1 - exp(-y))^2 / 2,  e = exp(-x^2 / 2).
// Parameters: linear, share, kappa (two parts). Tables: x, 1 - e, s'.
template <class T, bool nonnegative, bool with_ntk, class W = Wide<T>>
struct Sinusoid {
    using S = Scalar<W>;
    S linear, share, kappa, plus, minus; // 1 + kappa, 1 - kappa
    S odd; // 1 of odd functions, whose antipodes are as their duplicates, or 0: GCC makes no vectors of a choice by a condition
           // that is one for all
    WideTable<T, W> x, loss, scale;
    explicit Sinusoid(const StripArguments<Scalar<T>>& s)
        : Sinusoid(s, static_cast<double>(s.parameters[2]) + static_cast<double>(s.parameters[3])) {}
    Sinusoid(const StripArguments<Scalar<T>>& s, double exact_kappa)
        : linear(static_cast<S>(s.parameters[0])), share(static_cast<S>(s.parameters[1])), kappa(static_cast<S>(exact_kappa)),
          plus(static_cast<S>(1 + exact_kappa)), minus(static_cast<S>(1 - exact_kappa)),
          odd(linear == 0 && exact_kappa == 1 ? S(1) : S(0)), x(s, 0), loss(s, 1), scale(s, 2) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const W t = abs(static_cast<W>(gap));
        const W side = copysign(W(1), static_cast<W>(gap)); // its derivatives are 0
        const bool far = !nonnegative && side * (1 - odd) < 0;
        const W x_x = x.p * x[j];
        const W y = x_x * max(1 - t, S(0)); // a gap beyond 1, by rounding, times a large variance, would be no small number
        const W norm_part = S(0.5) * square(x.p - x[j]);
        const Exponential<W> nearer(-fma(x_x, t, norm_part));
        const W step = Exponential<W>(-y).minus_one;
        const W difference = -nearer.value * step * (2 + step); // exp(-N) (1 - exp(-2y))
        const W farther = nearer.minus_one - difference;        // exp of the other, less 1
        const W wave = max(choose(far, farther, nearer.minus_one), S(-1)); // exp(-A) - 1: F of exp is not below 0
        const W sum = plus + kappa * choose(far, nearer.minus_one, farther); // 1 + kappa exp(-A+)
        const W inverse = 1 / (scale.p * scale[j]);

        const W g_difference = (loss.p - loss[j]) * (2 - loss.p - loss[j]);
        const W d = fma(linear, fma(x_x, choose(far, 2 - t, t), norm_part),
                             share * fma(-wave, sum, S(-0.5) * kappa * square(g_difference)));
        const W apart = choose(far, -difference, difference);
        const W f = fma(linear, choose(far, -y, y) + fma(S(0.5) * nearer.value * step, step, loss.p * loss[j]),
                             (1 - linear) * fma(kappa, apart, minus * (1 + wave)));
        const bool similar = d * inverse < S(0.5);
        const W next = signed_gap(choose(similar, (d - S(0.5) * square(scale.p - scale[j])) * inverse, 1 - f * inverse));
        gap = static_cast<T>(next * fma(odd, side - 1, S(1)));
        if constexpr (with_ntk) ntk = static_cast<T>(static_cast<W>(ntk) * (x_x * inverse) * fma(share, fma(plus, 1 + wave, -kappa * apart), linear));
    }
};

// exp(b x^2): with Q = -2 b q, w^2 = 1 + 2Q and D = (1 + Q_p)(1 + Q_q) - Q_p Q_q rho^2 = w_p w_q + y,
//   rho' = sqrt(w_p w_q / D),   y = (w_p - w_q)^2 / 2 + Q_p Q_q (1 - rho^2),   F' s_p s_q = F Q_p Q_q rho / D.
// Tables: Q, w, sqrt |Q|: next to a large Theta the factor Q_p Q_q may be out of range.
template <class T, bool nonnegative, bool with_ntk, class W = Wide<T>>
struct Gaussian {
    using S = Scalar<W>;
    WideTable<T, W> q, w, root;
    explicit Gaussian(const StripArguments<Scalar<T>>& s) : q(s, 0), w(s, 1), root(s, 2) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const W t = abs(static_cast<W>(gap));
        const W rho = choose(!nonnegative && is_far(gap), t - 1, 1 - t);
        const W q_q = q.p * q[j];
        const W y = fma(q_q, t * (2 - t), S(0.5) * square(w.p - w[j]));
        const W inverse = 1 / fma(w.p, w[j], y);
        const W next = sqrt(w.p * w[j] * inverse);
        gap = static_cast<T>(y * inverse / (1 + next));
        if constexpr (with_ntk) {
            const W x_x = root.p * root[j];
            ntk = static_cast<T>(static_cast<W>(ntk) * (x_x * inverse) * (x_x * rho * next));
        }
    }
};

// asin(sine) / 2 pi for sine >= 0. In float, where an arc tangent takes longer, as 1 / 4 less half of theta / pi of cos theta = sine.
template <class W> FASTNTK_INLINE W turn(W sine, W cosine) { return ArcTangent<W>(sine, cosine).value / (2 * pi<Scalar<W>>); }
FASTNTK_INLINE float turn(float sine, float cosine) {
    const float t = cosine * cosine / (1 + sine);
    return 0.25f - 0.5f * e0(t, sqrt(t));
}

// x Phi(x) (Tsuchida et al. 2020): with u^2 = q / (1 + q), v = 1 - u^2, sin A = u_p u_q rho and V = v_p v_q,
//   F / sqrt((1 + q_p)(1 + q_q)) = sin A (1/4 + A / 2 pi) + [V sin^2 A / cos A + (u_p u_q)^2 cos A] / 2 pi,
//   F' = 1/4 + A / 2 pi + tan A [V / cos^2 A + v_p + v_q] / 2 pi.
// Tables: u, v, s' / sqrt(1 + q).
template <class T, bool nonnegative, bool with_ntk, class W = Wide<T>>
struct Gelu {
    using S = Scalar<W>;
    WideTable<T, W> u, v, scale;
    explicit Gelu(const StripArguments<Scalar<T>>& s) : u(s, 0), v(s, 1), scale(s, 2) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const W t = abs(static_cast<W>(gap));
        const bool far = !nonnegative && is_far(gap);
        const W u_u = u.p * u[j];
        const W v_v = v.p * v[j];
        const W u_squared = u_u * u_u;
        const W cosine = sqrt(fma(u_squared, t * (2 - t), (v.p + v[j]) - v_v));
        const W norm = scale.p * scale[j];
        const W both = 1 / (cosine * norm); // one division for two
        const W secant = both * norm, inverse = both * cosine;
        const W sine = u_u * choose(far, t - 1, 1 - t);
        const W angle = turn(abs(sine), cosine);
        const W plane = S(0.25) + choose(far, -angle, angle);
        const W bend = fma(v_v * sine * sine, secant, u_squared * cosine) / (2 * pi<S>);
        const bool same = gap == 0 && !far && u.p == u[j];
        const W next = signed_gap(1 - fma(sine, plane, bend) * inverse);
        gap = static_cast<T>(choose(same, no_gap(next), next));
        if constexpr (with_ntk) {
            const W slope = fma(v_v * secant, secant, v.p + v[j]) * (sine * secant) / (2 * pi<S>);
            ntk = static_cast<T>(static_cast<W>(ntk) * ((plane + slope) * u_u * inverse));
        }
    }
};

// x Phi(x / s) + s pdf(x / s) = E[relu(x + s xi)]: relu on variances q + s^2, with the covariance as it was. The
// correlation there is rho w_p w_q, w^2 = q / (q + s^2). Tables: w, 1 - w, s' sqrt(2 / (q + s^2)).
template <class T, bool nonnegative, bool with_ntk, class W = Wide<T>>
struct SmoothedRelu {
    using S = Scalar<W>;
    WideTable<T, W> w, loss, scale;
    explicit SmoothedRelu(const StripArguments<Scalar<T>>& s) : w(s, 0), loss(s, 1), scale(s, 2) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const W t = abs(static_cast<W>(gap));
        const bool far = !nonnegative && is_far(gap);
        const W w_w = w.p * w[j];
        const W wider = fma(w_w, t, fma(-loss.p, loss[j], loss.p + loss[j])); // 1 - |rho| w_p w_q
        const FirstTwo<W> bend(wider, sqrt(wider));
        const W inverse = 1 / (scale.p * scale[j]);
        const bool same = gap == 0 && !far && w.p == w[j];
        const W next = signed_gap(1 - (choose(far, W(0), 1 - wider) + bend.e1) * inverse);
        gap = static_cast<T>(choose(same, no_gap(next), next));
        if constexpr (with_ntk) ntk = static_cast<T>(static_cast<W>(ntk) * (choose(far, bend.e0, 1 - bend.e0) * w_w * inverse));
    }
};

// exp(-x^2) sin x, odd: with S = q_p + q_q, E = 4 q_p q_q (1 - rho^2) and N = 1 + 2S + E, at c >= 0
//   F = exp(-(S + E + 2c) / 2N) (exp(2c / N) - 1) / (2 sqrt N),
//   F' = exp(-(S + E + 2c) / 2N) [(A - B) + exp(2c / N) (A + B)] / (2 N^(5/2)),
//   A = 1 + 2S + 4 (c^2 + q_p q_q), B = 4c (E + 3S + 2).      Tables: q, s'.
template <class T, bool nonnegative, bool with_ntk, class W = Wide<T>>
struct Gabor {
    using S = Scalar<W>;
    WideTable<T, W> q, scale;
    explicit Gabor(const StripArguments<Scalar<T>>& s) : q(s, 0), scale(s, 1) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const W t = abs(static_cast<W>(gap));
        const W q_q = q.p * q[j];
        const W sum = q.p + q[j];
        const W excess = 4 * q_q * (t * (2 - t));
        const W root = sqrt(q_q);
        const W c = root * (1 - t);
        const W inverse_n = 1 / (1 + 2 * sum + excess);
        const W inverse_root = sqrt(inverse_n);
        const Exponential<W> wave(2 * c * inverse_n);
        const W inverse = 1 / (scale.p * scale[j]);
        const W envelope = exp(S(-0.5) * (sum + excess + 2 * c) * inverse_n) * S(0.5) * inverse_root * inverse;
        const bool same = t == 0 && q.p == q[j];
        const W next = max(1 - envelope * wave.minus_one, S(0));
        gap = copysign(static_cast<T>(choose(same, no_gap(next), next)), gap);
        if constexpr (with_ntk) {
            const W a = 1 + 2 * sum + 4 * fma(c, c, q_q);
            const W b = 4 * c * (excess + 3 * sum + 2);
            ntk = static_cast<T>(static_cast<W>(ntk) * (envelope * ((a - b) + wave.value * (a + b)) * inverse_n * inverse_n * root));
        }
    }
};

} // namespace fastntk::FASTNTK_ISA
