// Error function phi(x) = a erf(b x) (Williams 1997), written with differences that survive any variance.
#pragma once

#include "layers.hpp"

namespace fastntk::FASTNTK_ISA {

// With Q = 2 b^2 q, sin A_p = Q_p / (1 + Q_p), t = 1 - |rho| and r = sin A_pq = sqrt(sin A_p sin A_q) (1 - t):
//   rho' = sign(rho) A_pq / sqrt(A_p A_q),     F' s_p s_q / (s'_p s'_q) = w_p w_q / cos A_pq,   w^2 = sin A / A.
// Three ways to 1 - |rho'|, each accurate where the others cancel:
//   near duplicates: from G = (A_p + A_q)/2 - A_pq,
//     tan G = [ ((cos A_p - cos A_q)^2 + (sin A_p - sin A_q)^2)/2 + 2 sin A_p sin A_q t (2 - t) ]
//             / [ sin(A_p + A_q) + sin 2 A_pq ];
//   nearly linear (small r): t plus a small correction, from 1 - w and A_pq / r - 1;
//   else from A_pq itself.
// erf is odd, so the sign of the gap stays. Everything is symmetric in p and q to the last bit.
// Tables: sin A, 1 - sin A, cos A, sin A cos A, sqrt A, 1/sqrt A, 1 - w.
template <class T, bool nonnegative, bool with_ntk>
struct Erf {
    Table<T> sin, rest, cos, sin_cos, root, inverse, loss;

    explicit Erf(const StripArguments<Scalar<T>>& s)
        : sin(s, 0), rest(s, 1), cos(s, 2), sin_cos(s, 3), root(s, 4), inverse(s, 5), loss(s, 6) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T t = abs(gap);
        const T sin_sin = sin.p * sin[j];
        const T lost = sin_sin * (t * (2 - t));
        const T sine = sqrt(sin_sin) * (1 - t);
        const T cosine = sqrt(fma(-rest.p, rest[j], rest.p + rest[j]) + lost);
        const T inverse_cosine = 1 / cosine;

        const bool similar = max(root.p, root[j]) < Scalar<T>(1.5) * min(root.p, root[j]) && t < Scalar<T>(0.125);
        const T dc = cos.p - cos[j];
        const T ds = sin.p - sin[j];
        const T chord = fma(dc, dc, ds * ds);
        const T sin_sum = fma(sin.p + sin[j], cos.p + cos[j], -(sin_cos.p + sin_cos[j]));
        const ArcTangent<T> angle(choose(similar, fma(Scalar<T>(2), lost, Scalar<T>(0.5) * chord), sine),
                                  choose(similar, fma(2 * sine, cosine, sin_sum), cosine));

        const T weight_loss = fma(-loss.p, loss[j], loss.p + loss[j]); // 1 - w_p w_q
        const T secant_excess = sine * sine * inverse_cosine / (1 + cosine); // 1 / cos A_pq - 1
        const T excess = fma(angle.relative_excess, inverse_cosine, secant_excess); // A_pq / r - 1, r small
        const T correction = weight_loss - excess * (1 - weight_loss);

        const T root_difference = root.p - root[j];
        const T scale = inverse.p * inverse[j];
        const T magnitude = choose(similar, fma(Scalar<T>(-0.5) * root_difference, root_difference, angle.value) * scale,
                                   choose(angle.small, fma(1 - t, correction, t), fma(-angle.value, scale, Scalar<T>(1))));
        gap = copysign(max(magnitude, Scalar<T>(0)), gap);
        if constexpr (with_ntk) ntk = fma(secant_excess * (1 - weight_loss) - weight_loss, ntk, ntk);
    }
};

} // namespace fastntk::FASTNTK_ISA
