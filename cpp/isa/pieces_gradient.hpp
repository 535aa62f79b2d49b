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

inline void add_kink_jets(const StripArguments<double>& s, Index table_p, Index table_q, bool opposite, Index first,
                          Index count, const double* near, const double* far, Jet* value, Jet* slope) {
    const Kink<Jet> a(s, table_p), b(s, table_q);
    const Kink<double> h(s, table_p), k(s, table_q);
    const double sign = opposite ? -1 : 1;
#pragma omp simd
    for (Index j = 0; j < count; ++j) {
        const TruncatedMoments at(h.threshold_p(), k.threshold(first + j), opposite ? far[j] : near[j], opposite ? near[j] : far[j]);
        const MomentJets m(at, a.value.p.p, b.value[first + j].q, -sign);
        add_product(m, a.right, opposite ? b.left : b.right, first + j, sign, value[j], slope[j]);
        add_product(m, a.left, opposite ? b.right : b.left, first + j, sign, value[j], slope[j]);
    }
}

inline void pieces_gradient(const GradientArguments& g, double* gap, double* ntk) {
    const StripArguments<double>& s = g.strip;
    const PieceLayout<double> layout(s.parameters);
    const Index terms = layout.terms;
    for (Index first = 0; first < s.length; first += gradient_chunk) {
        const Index count = whole_vectors<double>(min(gradient_chunk, s.length - first));
        alignas(64) double near[gradient_chunk], far[gradient_chunk];
        alignas(64) Jet value[gradient_chunk], slope[gradient_chunk];
        for (Index j = 0; j < count; ++j) {
            const double t = abs(gap[first + j]);
            const bool is_far_pair = is_far(gap[first + j]);
            near[j] = is_far_pair ? 2 - t : t;
            far[j] = is_far_pair ? t : 2 - t;
            value[j] = slope[j] = Jet(0);
        }
        for (Index k = terms - 1; k >= 0; --k) {
            const Table<Jet> whole(s, k), kinked(s, terms + k), whole_slope(s, 2 * terms + k), kinked_slope(s, 3 * terms + k);
#pragma omp simd
            for (Index j = 0; j < count; ++j) {
                const Index q = first + j;
                const Jet rho(0.5 * (far[j] - near[j]), -1, 0, 0);
                value[j] = fma(rho, value[j], whole.p * whole[q] - kinked.p * kinked[q]);
                slope[j] = fma(rho, slope[j], whole_slope.p * whole_slope[q] - kinked_slope.p * kinked_slope[q]);
            }
        }
        layout.for_each_pair_of_kinks([&](Index u, Index v, bool same, bool opposite) {
            if (same) add_kink_jets(s, u, v, false, first, count, near, far, value, slope);
            if (opposite) add_kink_jets(s, u, v, true, first, count, near, far, value, slope);
        });
        Jets next, factor;
        for (Index j = 0; j < count; ++j) {
            Jet moved = signed_gap(1 - value[j]);
            if (layout.same(s, near[j], far[j], first + j)) moved = {copysign(0.0, gap[first + j]), moved.gap, 0, 0};
            next.set(j, moved);
            factor.set(j, slope[j]);
        }
        chain<true>(g, first, count, next, factor, gap, ntk);
    }
}

} // namespace fastntk::FASTNTK_ISA
