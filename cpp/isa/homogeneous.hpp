// Activations with phi(c x) = c^n phi(x), c > 0 (arc-cosine kernels: Cho and Saul 2009, eq. 3-7): functions
// of the gap alone. All come from the four functions, with t = 1 - cos theta in [0, 1],
//   E0 = theta / pi,                       E1 = (sin theta - theta cos theta) / pi,
//   E2 = (theta (1 + 2 cos^2) - 3 sin cos) / 3 pi,   E3 = (4 sin + 11 sin cos^2 - theta (9 cos + 6 cos^3)) / 15 pi,
// E_n = t^(n + 1/2) times a polynomial: the normalised arc-cosine kernel kappa_n of order n at rho < 0
// is E_n(1 + rho), and at rho >= 0 it is its polynomial part in rho minus or plus E_n(1 - rho).
#pragma once

#include "layers.hpp"

namespace fastntk::FASTNTK_ISA {

// E0 and E1, given sqrt t (or a multiple of it, which they take over).
template <class T>
struct FirstTwo {
    T e0, e1;
    FASTNTK_INLINE FirstTwo(T t, T root)
        : e0(root * polynomial<isa::ArcCosine0<T>>(t)), e1(t * root * polynomial<isa::ArcCosine1<T>>(t)) {}
};

#if !defined(__AVX512F__)
// In double two numerators over one denominator, in cos theta: 20 multiply-adds and a division, which
// overlaps with them, where polynomials take 34. In vectors of eight the root and the division would take longer than those.
template <> struct FirstTwo<double> {
    double e0, e1;
    FASTNTK_INLINE FirstTwo(double t, double root) {
        const double cosine = 1 - t;
        const double scale = root / polynomial<isa::ArcCosineDenominator>(cosine);
        e0 = scale * polynomial<isa::ArcCosineNumerator0>(cosine);
        e1 = t * scale * polynomial<isa::ArcCosineNumerator1>(cosine);
    }
};
#endif

// E_n' is E_(n - 1) times n^2 / (2n - 1), but for E0'.
template <> struct FirstTwo<Jet> {
    Jet e0, e1;
    FASTNTK_INLINE FirstTwo(const Jet& t, const Jet& root) : e0(0), e1(0) {
        const FirstTwo<double> at(t.v, root.v);
        e0 = t.chain(at.e0, t.v > 0 ? root.v / (pi<double> * t.v * sqrt(2 - t.v)) : 0.0);
        e1 = t.chain(at.e1, at.e0);
    }
};

template <class T> FASTNTK_INLINE T e0(T t, T root) { return FirstTwo<T>(t, root).e0; }
template <class T> FASTNTK_INLINE T e1(T t, T root) { return FirstTwo<T>(t, root).e1; }
template <class T> FASTNTK_INLINE T e2(T t, T root) { return t * t * root * polynomial<isa::ArcCosine2<T>>(t); }
template <class T> FASTNTK_INLINE T e3(T t, T root) { return t * t * t * root * polynomial<isa::ArcCosine3<T>>(t); }
FASTNTK_INLINE Jet e2(const Jet& t, const Jet& root) {
    return t.chain(e2(t.v, root.v), 4.0 / 3 * e1(t.v, root.v));
}
FASTNTK_INLINE Jet e3(const Jet& t, const Jet& root) {
    return t.chain(e3(t.v, root.v), 9.0 / 5 * e2(t.v, root.v));
}

// Slopes a for x < 0 and b for x > 0, weight w = (a-b)^2/(a^2+b^2) in [0, 2] (ReLU 1, abs 2):
//   rho' = w kappa_1(rho) + (1 - w) rho,   Fdot / ((a^2+b^2)/2) = 1 - w theta / pi.
template <class T, bool nonnegative, bool with_ntk>
struct PiecewiseLinear {
    Scalar<T> w;
    explicit PiecewiseLinear(const StripArguments<Scalar<T>>& s) : w(s.parameters[0]) {}

    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        const bool far = !nonnegative && is_far(gap);
        const T t = nonnegative ? gap : abs(gap);
        const FirstTwo<T> first_two(t, w * sqrt(t));
        const T bend = first_two.e1;
        const T near_gap = t - bend;
        if constexpr (nonnegative) {
            gap = near_gap;
        } else {
            const T from_antipode = fma(1 - w, t, w + bend); // 1 + rho' for rho < 0
            const T from_duplicate = fma(w - 1, t, 2 - w - bend); // 1 - rho' for rho < 0
            gap = choose(!far, near_gap, choose(from_duplicate <= 1, from_duplicate, -from_antipode));
        }
        if constexpr (with_ntk) {
            const T loss = first_two.e0;
            ntk = choose(far, (1 - w + loss) * ntk, fma(-loss, ntk, ntk));
        }
    }
};

// A hidden layer in one pass: a piecewise linear function after which rho >= 0 is sure, and a Dense layer, whose tables it has.
template <class T, bool nonnegative, bool with_ntk, template <class, bool, bool> class Linear>
struct HiddenLayer {
    PiecewiseLinear<T, nonnegative, with_ntk> activation;
    Linear<T, true, with_ntk> linear;
    explicit HiddenLayer(const StripArguments<T>& s) : activation(s), linear(s) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        activation(j, gap, ntk);
        linear(j, gap, ntk);
    }
};
template <class T, bool nonnegative, bool with_ntk>
using Hidden = HiddenLayer<T, nonnegative, with_ntk, Dense>;
template <class T, bool nonnegative, bool with_ntk>
using HiddenBiasFree = HiddenLayer<T, nonnegative, with_ntk, DenseBiasFree>;

// max(x, 0)^0.
template <class T, bool nonnegative, bool with_ntk>
struct Step {
    explicit Step(const StripArguments<Scalar<T>>&) {}
    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        const T t = abs(gap);
        const T angle = e0(t, sqrt(t));
        gap = choose(!nonnegative && is_far(gap), 1 - angle, angle);
        ntk = 0;
    }
};

template <class T, bool nonnegative, bool with_ntk>
struct Sign {
    explicit Sign(const StripArguments<Scalar<T>>&) {}
    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        const T t = abs(gap);
        gap = copysign(2 * e0(t, sqrt(t)), gap);
        ntk = 0;
    }
};

// max(x, 0)^2: kappa_2, with derivative gain * kappa_1.
template <class T, bool nonnegative, bool with_ntk>
struct RectifiedSquare {
    Scalar<T> gain;
    explicit RectifiedSquare(const StripArguments<Scalar<T>>& s) : gain(s.parameters[0]) {}
    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        const bool far = !nonnegative && is_far(gap);
        const T t = abs(gap);
        const T root = sqrt(t);
        const T bend = e2(t, root);
        gap = choose(far, 1 - bend, fma(Scalar<T>(2) / 3 * t, 2 - t, bend));
        if constexpr (with_ntk) {
            const T slope = e1(t, root);
            ntk = gain * choose(far, slope * ntk, fma(slope - t, ntk, ntk));
        }
    }
};

// max(x, 0)^3: kappa_3, with derivative gain * kappa_2.
template <class T, bool nonnegative, bool with_ntk>
struct RectifiedCube {
    Scalar<T> gain;
    explicit RectifiedCube(const StripArguments<Scalar<T>>& s) : gain(s.parameters[0]) {}
    FASTNTK_INLINE void operator()(Index, T& gap, T& ntk) const {
        const bool far = !nonnegative && is_far(gap);
        const T t = abs(gap);
        const T root = sqrt(t);
        const T bend = e3(t, root);
        gap = choose(far, 1 - bend, fma(t / 5, fma(t, fma(Scalar<T>(2), t, Scalar<T>(-6)), Scalar<T>(9)), -bend));
        if constexpr (with_ntk) {
            const T slope = e2(t, root);
            ntk = gain * choose(far, slope * ntk, fma(-fma(Scalar<T>(2) / 3 * t, 2 - t, slope), ntk, ntk));
        }
    }
};

} // namespace fastntk::FASTNTK_ISA
