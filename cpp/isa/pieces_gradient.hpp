// The derivatives of functions with kinks or jumps (pieces.hpp): of rho' and of its slope, in the gap and in log q of
// both samples.
#pragma once

#include "gradient.hpp"
#include "pieces.hpp"

namespace fastntk::FASTNTK_ISA {

// The moments as functions of the gap and of both thresholds: d m_ij / d h = -i m_(i-1)j, with what is left at the edge
// x = h for i = 0; d m_ij / d rho = i j m_(i-1)(j-1) (Price), likewise.
struct MomentJets {
    Jet m00, m01, m10, m11, m02, m20, m12, m21, m22;

    // h' and k' are their derivatives in log q_p and in log q_q, turn = d rho / d gap.
    FASTNTK_INLINE MomentJets(const TruncatedMoments& m, double h, double k, double turn)
        : m00(m.m00, turn * m.density, -h * m.edge_h[0], -k * m.edge_k[0]),
          m01(m.m01, turn * m.edge_h[0], -h * m.edge_h[1], -k * m.m00),
          m10(m.m10, turn * m.edge_k[0], -h * m.m00, -k * m.edge_k[1]),
          m11(m.m11, turn * m.m00, -h * m.m01, -k * m.m10),
          m02(m.m02, turn * 2 * m.edge_h[1], -h * m.edge_h[2], -k * 2 * m.m01),
          m20(m.m20, turn * 2 * m.edge_k[1], -h * 2 * m.m10, -k * m.edge_k[2]),
          m12(m.m12, turn * 2 * m.m01, -h * m.m02, -k * 2 * m.m11),
          m21(m.m21, turn * 2 * m.m10, -h * 2 * m.m11, -k * m.m20),
          m22(m.m22, turn * 4 * m.m11, -h * 2 * m.m12, -k * 2 * m.m21) {}
};

// What a sample has of one threshold, with its derivatives, and what the moments need of it.
struct KinkJets {
    Kink<Jet> jets;
    Kink<double> values;
    KinkJets(const StripArguments<double>& s, Index table) : jets(s, table), values(s, table) {}
};

// The kinks at a threshold of u and those at one of v, as add_kinks, of one pair. A function of its own, as add_bends.
template <class There>
FASTNTK_INLINE void add_kink_jets(const KinkJets& a, const KinkJets& b, const Weights<Jet>& of_right, const Weights<Jet>& of_left,
                                  double sign, Index q, double near, double far, Jet& value, Jet& slope) {
    const TruncatedMoments at(a.values.threshold_p(), b.values.threshold(q), near, far, There());
    const MomentJets m(at, a.jets.value.p.p, b.jets.value[q].q, -sign);
    add_product(m, a.jets.right, of_right, q, sign, value, slope);
    add_product(m, a.jets.left, of_left, q, sign, value, slope);
}

template <class There>
void add_kink_jets(const KinkJets& a, const KinkJets& b, bool opposite, Index first, Index count, const double* near,
                   const double* far, Jets& value, Jets& slope) {
    const Weights<Jet> of_right = opposite ? b.jets.left : b.jets.right, of_left = opposite ? b.jets.right : b.jets.left;
    const double sign = opposite ? -1 : 1;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        Jet sum = value.get(j), rise = slope.get(j);
        add_kink_jets<There>(a, b, of_right, of_left, sign, first + j, near[j], far[j], sum, rise);
        value.set(j, sum);
        slope.set(j, rise);
    }
}

inline void pieces_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const PieceLayout<double> layout(s.parameters);
    const Index terms = layout.terms;
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        alignas(64) double near[gradient_chunk], far[gradient_chunk];
        Jets value, slope;
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            const bool is_far_pair = is_far(gap[first + j]);
            near[j] = is_far_pair ? 2 - t : t;
            far[j] = is_far_pair ? t : 2 - t;
            value.set(j, 0);
            slope.set(j, 0);
        }
        for (Index k = terms - 1; k >= 0; --k) {
            const Table<Jet> whole(s, k), kinked(s, terms + k), whole_slope(s, 2 * terms + k), kinked_slope(s, 3 * terms + k);
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const Index q = first + j;
                const Jet rho(0.5 * (far[j] - near[j]), -1, 0, 0);
                value.set(j, fma(rho, value.get(j), whole.p * whole[q] - kinked.p * kinked[q]));
                slope.set(j, fma(rho, slope.get(j), whole_slope.p * whole_slope[q] - kinked_slope.p * kinked_slope[q]));
            }
        }
        layout.for_each_pair_of_kinks([&](Index u, Index v, bool same, bool opposite) {
            const KinkJets h(s, u), k(s, v);
            const auto add = [&](bool is_opposite, const double* nearer, const double* farther) {
                on_sides(h.values.value.p, k.values.value.high + first, count, nearer, farther, [&](auto there) {
                    add_kink_jets<decltype(there)>(h, k, is_opposite, first, count, nearer, farther, value, slope);
                });
            };
            if (same) add(false, near, far);
            if (opposite) add(true, far, near);
        });
        Jets next;
        for (Index j = 0; j < count; ++j) {
            Jet moved = signed_gap(1 - value.get(j));
            if (layout.same(s, near[j], far[j], first + j)) moved = {copysign(0.0, gap[first + j]), moved.gap, 0, 0};
            next.set(j, moved);
        }
        chain<true>(g, first, count, next, slope, gap, ntk);
    }
}

} // namespace fastntk::FASTNTK_ISA
