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
    T sin_p, rest_p, cos_p, sin_cos_p, root_p, inverse_p, loss_p;
    const T *sin_q, *rest_q, *cos_q, *sin_cos_q, *root_q, *inverse_q, *loss_q;

    explicit Erf(const StripArguments<T>& s)
        : sin_p(s.p[0]), rest_p(s.p[1]), cos_p(s.p[2]), sin_cos_p(s.p[3]), root_p(s.p[4]), inverse_p(s.p[5]),
          loss_p(s.p[6]), sin_q(s.q), rest_q(s.q + s.q_stride), cos_q(s.q + 2 * s.q_stride),
          sin_cos_q(s.q + 3 * s.q_stride), root_q(s.q + 4 * s.q_stride), inverse_q(s.q + 5 * s.q_stride),
          loss_q(s.q + 6 * s.q_stride) {}

    FASTNTK_INLINE void operator()(Index j, T& gap, T& ntk) const {
        const T t = abs(gap);
        const T sin_sin = sin_p * sin_q[j];
        const T lost = sin_sin * (t * (2 - t));
        const T sine = sqrt(sin_sin) * (1 - t);
        const T cosine = sqrt(fma(-rest_p, rest_q[j], rest_p + rest_q[j]) + lost);
        const T inverse_cosine = 1 / cosine;

        const bool similar = max(root_p, root_q[j]) < T(1.5) * min(root_p, root_q[j]) && t < T(0.125);
        const T dc = cos_p - cos_q[j];
        const T ds = sin_p - sin_q[j];
        const T chord = fma(dc, dc, ds * ds);
        const T sin_sum = fma(sin_p + sin_q[j], cos_p + cos_q[j], -(sin_cos_p + sin_cos_q[j]));
        const ArcTangent<T> angle(similar ? fma(T(2), lost, T(0.5) * chord) : sine,
                                  similar ? fma(2 * sine, cosine, sin_sum) : cosine);

        const T weight_loss = fma(-loss_p, loss_q[j], loss_p + loss_q[j]); // 1 - w_p w_q
        const T secant_excess = sine * sine * inverse_cosine / (1 + cosine); // 1 / cos A_pq - 1
        const T excess = fma(angle.relative_excess, inverse_cosine, secant_excess); // A_pq / r - 1, r small
        const T correction = weight_loss - excess * (1 - weight_loss);

        const T root_difference = root_p - root_q[j];
        const T scale = inverse_p * inverse_q[j];
        const T magnitude = similar ? fma(T(-0.5) * root_difference, root_difference, angle.value) * scale
                            : angle.small ? fma(1 - t, correction, t)
                                          : fma(-angle.value, scale, T(1));
        gap = copysign(max(magnitude, T(0)), gap);
        if constexpr (with_ntk) ntk = fma(secant_excess * (1 - weight_loss) - weight_loss, ntk, ntk);
    }
};

} // namespace fastntk::FASTNTK_ISA
