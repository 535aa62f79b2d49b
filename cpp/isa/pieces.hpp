// Functions with kinks or jumps away from 0: phi = f + sum of weight_m (+-x - a)_+^m, m = 0 to 2, over thresholds
// a >= 0 and both sides, with f smooth. The pairs of kinks have a closed form in truncated moments of the bivariate
// normal; for the rest the Hermite expansions of phi and of its kinks differ by few terms. Where rho is not near 1 or -1,
// the expansion of phi itself (Mehler's formula) takes few terms too, and far less time.
#pragma once

#include "bivariate.hpp"
#include "input.hpp"
#include "micro_gemm.hpp"
#include "smooth.hpp"

namespace fastntk::FASTNTK_ISA {

// Weights of the kinks at one threshold on one side, in units of s'. Three tables.
template <class T>
struct Weights {
    WideTable<T> jump, bend, curve;
    Weights(const StripArguments<Scalar<T>>& s, Index first) : jump(s, first), bend(s, first + 1), curve(s, first + 2) {}
    FASTNTK_INLINE bool same(Index j) const {
        return jump.p == jump[j] && bend.p == bend[j] && curve.p == curve[j];
    }
};

// What a sample has of one threshold: a / sqrt(q), and the weights on the right and on the left of 0. Eleven tables.
template <class T>
struct Kink {
    static constexpr Index tables = kink_tables;
    WideTable<T> value, density, tail, excess, second;
    Weights<T> right, left;
    Kink(const StripArguments<Scalar<T>>& s, Index first)
        : value(s, first), density(s, first + 1), tail(s, first + 2), excess(s, first + 3), second(s, first + 4),
          right(s, first + 5), left(s, first + 8) {}

    FASTNTK_INLINE Threshold threshold(Index j) const { return {value[j], density[j], tail[j], excess[j], second[j]}; }
    FASTNTK_INLINE Threshold threshold_p() const { return {value.p, density.p, tail.p, excess.p, second.p}; }
    FASTNTK_INLINE bool same(Index j) const { return value.p == value[j] && right.same(j) && left.same(j); }
    FASTNTK_INLINE bool odd() const {
        return right.jump.p == -left.jump.p && right.bend.p == -left.bend.p && right.curve.p == -left.curve.p;
    }
};

// Adds E[kink of u, kink of v] to value and, with phi', sign times it to slope.
template <class Moments, class T>
FASTNTK_INLINE void add_product(const Moments& m, const Weights<T>& a, const Weights<T>& b, Index j, double sign,
                                Wide<T>& value, Wide<T>& slope) {
    const Wide<T> a0 = a.jump.p, a1 = a.bend.p, a2 = a.curve.p, b0 = b.jump[j], b1 = b.bend[j], b2 = b.curve[j];
    value = value + a0 * (b0 * m.m00 + b1 * m.m01 + b2 * m.m02) + a1 * (b0 * m.m10 + b1 * m.m11 + b2 * m.m12) +
             a2 * (b0 * m.m20 + b1 * m.m21 + b2 * m.m22);
    slope = slope + sign * (a1 * (b1 * m.m00 + 2 * b2 * m.m01) + 2 * a2 * (b1 * m.m10 + 2 * b2 * m.m11));
}

// Pairs of one sample with some of a strip, which wait to be enough for whole vectors.
struct SomePairs {
    static constexpr Index most = 128;
    Index count = 0;
    alignas(64) std::int32_t at[most];         // where they are in the strip
    alignas(64) double near[most], far[most];  // 1 - rho and 1 + rho
    alignas(64) double value[most], slope[most]; // rho' and what Theta is multiplied by

    template <class T>
    FASTNTK_INLINE void add(Index j, T gap) {
        const double t = abs(static_cast<double>(gap));
        at[count] = static_cast<std::int32_t>(j);
        near[count] = is_far(gap) ? 2 - t : t;
        far[count] = is_far(gap) ? t : 2 - t;
        value[count] = slope[count] = 0;
        ++count;
    }

    // As many as fill vectors: the last one again, as often as is needed.
    FASTNTK_INLINE Index fill_vectors() {
        for (Index i = count; i % lanes<double>; ++i) {
            at[i] = at[count - 1];
            near[i] = near[count - 1];
            far[i] = far[count - 1];
            value[i] = slope[i] = 0;
        }
        return whole_vectors<double>(count + lanes<double> - 1);
    }
};

// The kinks at one threshold of u and those at one of the v of some pairs, whatever the kernel is in.
class SomeKinks {
public:
    template <class T>
    SomeKinks(const StripArguments<T>& s, Index table_p, Index table_q, Index count, const SomePairs& pairs) {
        for (Index k = 0; k < kink_tables; ++k) {
            p_[k] = WideTable<T>(s, table_p + k).p;
            const WideTable<T> table(s, table_q + k);
            for (Index i = 0; i < count; ++i) q_[k * SomePairs::most + i] = table[pairs.at[i]];
        }
    }
    Kink<double> get() const { return {{nullptr, p_, q_, SomePairs::most, 0}, 0}; }

private:
    double p_[kink_tables];
    alignas(64) double q_[kink_tables * SomePairs::most];
};

// The kinks at a threshold of u and those at one of v: on the same side of 0, or on opposite sides, where the
// correlation of the distances from 0 is -rho.
template <class There>
void add_kinks(const Kink<double>& kinks, bool opposite, Index count, SomePairs& pairs) {
    const Threshold h = kinks.threshold_p();
    const double *near = opposite ? pairs.far : pairs.near, *far = opposite ? pairs.near : pairs.far;
    const Weights<double> &of_right = opposite ? kinks.left : kinks.right, &of_left = opposite ? kinks.right : kinks.left;
    const double sign = opposite ? -1 : 1;
#pragma omp simd
    for (Index i = 0; i < whole_vectors<double>(count); ++i) {
        const TruncatedMoments m(h, kinks.threshold(i), near[i], far[i], There());
        add_product(m, kinks.right, of_right, i, sign, pairs.value[i], pairs.slope[i]);
        add_product(m, kinks.left, of_left, i, sign, pairs.value[i], pairs.slope[i]);
    }
}

// Of quadrants as far out as this nothing is left: their moments are exp(-depth) of the bound by Cauchy and Schwarz, or
// less, where depth is half the squared distance of the quadrant from 0, as independent normals, less (h^2 + k^2) / 4.
// It is nearest at its corner or, where that is not on the near side of one edge, on the other edge.
constexpr double faint_depth = 80;

// Adds, where they add anything, thresholds h of u and k of v, with the sides on which there are any: add(There).
template <class Add>
FASTNTK_INLINE void on_sides(double h, const double* k, Index count, const double* near, const double* far, const Add& add) {
    Index inside = 0, outside = 0, bright = 0; // not the least and the largest, of which clang makes no vectors
#pragma omp simd reduction(| : inside, outside, bright)
    for (Index i = 0; i < whole_vectors<double>(count); ++i) {
        const Corner at(h, k[i], near[i], far[i]);
        inside |= min(abs(at.b), abs(at.c)) < sector_split ? 1 : 0;
        outside |= max(abs(at.b), abs(at.c)) < sector_split ? 0 : 1;
        const double farther = max(at.h, at.k), corner = max(min(at.b, at.c), 0.0);
        const double distance2 = fma(farther, farther, corner * corner);
        bright |= 0.5 * distance2 - 0.25 * fma(at.h, at.h, at.k * at.k) < faint_depth ? 1 : 0;
    }
    if (!bright) return;
    if (!outside) add(Sides<true, false>());
    else if (inside) add(BothSides());
    else add(Sides<false, true>());
}

inline void add_kinks_there(const Kink<double>& kinks, bool opposite, Index count, SomePairs& pairs) {
    const double *near = opposite ? pairs.far : pairs.near, *far = opposite ? pairs.near : pairs.far;
    on_sides(kinks.value.p, kinks.value.high, count, near, far,
             [&](auto there) { add_kinks<decltype(there)>(kinks, opposite, count, pairs); });
}

// Parameters: terms K, number of thresholds, whether they have kinks on the right, and on the left; those of a Mehler.
// Tables, all wide: K Hermite coefficients of phi, of its kinks, of phi' and of the kinks', all in units of s', phi'
// also in those of 1 / s; then those of every threshold. Then the tables of the Mehler.
template <class T>
struct PieceLayout {
    Index terms, kinks;
    const T *right, *left;

    explicit PieceLayout(const T* parameters)
        : terms(static_cast<Index>(parameters[0])), kinks(static_cast<Index>(parameters[1])), right(parameters + 2),
          left(right + kinks) {}

    Index table(Index kink) const { return 4 * terms + kink * Kink<T>::tables; }

    // add(table of the kink of u, table of that of v, whether any are on the same side of 0, any on opposite sides).
    template <class Add>
    FASTNTK_INLINE void for_each_pair_of_kinks(const Add& add) const {
        for (Index a = 0; a < kinks; ++a)
            for (Index b = 0; b < kinks; ++b) {
                const bool same = right[a] * right[b] + left[a] * left[b] > 0;
                const bool opposite = right[a] * left[b] + left[a] * right[b] > 0;
                if (same || opposite) add(table(a), table(b), same, opposite);
            }
    }

    // Whether samples p and q are one, but for their names and, of an odd function, their sign.
    bool same(const StripArguments<T>& s, double near, double far, Index q) const {
        bool equal = near == 0 || far == 0;
        for (Index k = 0; equal && k < terms; ++k) {
            const WideTable<T> whole(s, k);
            equal = whole.p == whole[q] && (near == 0 || k % 2 == 1 || whole.p == 0);
        }
        for (Index a = 0; equal && a < kinks; ++a) {
            const Kink<T> kink(s, table(a));
            equal = kink.same(q) && (near == 0 || kink.odd());
        }
        return equal;
    }
};

// Hermite coefficients of phi from order K = 3 on: those of K, K + 2, ... and of K + 1, ..., none where they are 0; of
// a function that jumps those of phi' likewise, for Theta, which otherwise follows from those of phi. By Cauchy and
// Schwarz all orders from m on are no more than t |rho|^m in rho', and t |rho|^(m - 1) in the slope, of the whole, where
// t is the largest share that any sample has beyond them, of its F(q, q) and of its slope.
// Parameters: number of coefficients of these four kinds, whether phi jumps, the |rho| they reach, to which tolerance,
// and t of no coefficients of any kind, of four, of eight, ... Tables: F' s^2 / s'^2 of a sample with itself, wide, if
// they reach any rho; and the coefficients.
template <class T>
struct Mehler {
    static constexpr Index start = 3;
    Index counts[4];
    bool jumps;
    T reach; // below 0 if there are none
    double tolerance;
    const T *shares, *p, *q;
    Index stride;

    Mehler(const StripArguments<T>& s, const PieceLayout<T>& layout)
        : stride(s.q_stride) {
        const T* const parameters = layout.left + layout.kinks;
        for (int kind = 0; kind < 4; ++kind) counts[kind] = static_cast<Index>(parameters[kind]);
        jumps = parameters[4] != 0;
        reach = parameters[5];
        tolerance = static_cast<double>(parameters[6]);
        shares = parameters + 7;
        const Index wide = (layout.table(layout.kinks) + (reach >= 0 ? 1 : 0)) * WideTable<T>::count;
        p = s.p + wide;
        q = s.q + wide * stride;
    }

    // Coefficients of any kind, a multiple of 4, that matter up to this |rho|.
    Index needed(double rho) const {
        const double y = rho * rho, y4 = (y * y) * (y * y);
        double left = y; // rho^(start - 1)
        Index n = 0;
        for (; n < most_orders && left * static_cast<double>(shares[n / 4]) > tolerance; n += 4) left *= y4;
        return n;
    }
};

// `width` pairs, n vectors V of them, from `first` on: sum of c_r y^r over `terms` coefficients, and its derivative.
template <class T, class V, int n>
FASTNTK_INLINE void sum_powers(Index terms, const T* p, const T* q, Index stride, const T* y, T* value, T* slope) {
    V sum[n] = {}, rise[n] = {}, power[n];
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) power[v] = reinterpret_cast<const V*>(y)[v];
    for (Index r = terms - 1; r >= 0; --r) {
        const V* const a = reinterpret_cast<const V*>(q + r * stride);
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            rise[v] = rise[v] * power[v] + sum[v];
            sum[v] = sum[v] * power[v] + p[r] * a[v];
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; ++v) {
        reinterpret_cast<V*>(value)[v] = sum[v];
        reinterpret_cast<V*>(slope)[v] = rise[v];
    }
}

// rho' and its slope of `width` pairs by Mehler's formula, right where |rho| <= `most`.
template <class T, class V, int n, bool jumps>
FASTNTK_INLINE void sum_orders(const Mehler<T>& x, const StripArguments<T>& s, Index first, const T* gap, T most,
                               double* value, double* slope) {
    constexpr int width = n * static_cast<int>(sizeof(V) / sizeof(T));
    alignas(64) T y[width], sums[4][width], rises[4][width];
#pragma omp simd
    for (int j = 0; j < width; ++j) y[j] = (1 - abs(gap[j])) * (1 - abs(gap[j]));
    const Index needed = x.needed(static_cast<double>(most));
    const T *p = x.p, *q = x.q + first;
    for (int kind = 0; kind < (jumps ? 4 : 2); ++kind) {
        const Index count = x.counts[kind];
        sum_powers<T, V, n>(min(count, needed), p, q, x.stride, y, sums[kind], rises[kind]);
        p += count;
        q += count * x.stride;
    }
    const WideTable<T> a0(s, 0), a1(s, 1), a2(s, 2), b0(s, 2 * x.start), b1(s, 2 * x.start + 1), b2(s, 2 * x.start + 2);
#pragma omp simd
    for (int j = 0; j < width; ++j) {
        const Index q_j = first + j;
        const double rho = static_cast<double>(correlation<T, false>(gap[j]));
        const double odd = static_cast<double>(sums[0][j]), even = static_cast<double>(sums[1][j]);
        const double c1 = a1.p * a1[q_j], c2 = a2.p * a2[q_j], rest = fma(rho, even, odd);
        value[j] = fma(rho, fma(rho, fma(rho, rest, c2), c1), a0.p * a0[q_j]);
        if constexpr (jumps) {
            const double more = fma(rho, static_cast<double>(sums[3][j]), static_cast<double>(sums[2][j]));
            slope[j] = fma(rho, fma(rho, fma(rho, more, b2.p * b2[q_j]), b1.p * b1[q_j]), b0.p * b0[q_j]);
        } else {
            const double rise = fma(rho, static_cast<double>(rises[1][j]), static_cast<double>(rises[0][j]));
            slope[j] = fma(rho, fma(rho, fma(2 * rho * rho, rise, fma(rho, even, 3 * rest)), 2 * c2), c1);
        }
    }
}

// The same of some pairs, whatever rho, by their truncated moments.
template <class T>
void sum_kinks(const PieceLayout<T>& layout, const StripArguments<T>& s, SomePairs& pairs) {
    const Index terms = layout.terms, count = pairs.fill_vectors();
    for (Index k = terms - 1; k >= 0; --k) {
        const WideTable<T> whole(s, k), kinked(s, terms + k), whole_slope(s, 2 * terms + k), kinked_slope(s, 3 * terms + k);
#pragma omp simd
        for (Index i = 0; i < whole_vectors<double>(count); ++i) {
            const Index q = pairs.at[i];
            const double rho = 0.5 * (pairs.far[i] - pairs.near[i]);
            pairs.value[i] = fma(rho, pairs.value[i], whole.p * whole[q] - kinked.p * kinked[q]);
            pairs.slope[i] = fma(rho, pairs.slope[i], whole_slope.p * whole_slope[q] - kinked_slope.p * kinked_slope[q]);
        }
    }
    layout.for_each_pair_of_kinks([&](Index u, Index v, bool same, bool opposite) {
        const SomeKinks kinks(s, u, v, count, pairs);
        if (same) add_kinks_there(kinks.get(), false, count, pairs);
        if (opposite) add_kinks_there(kinks.get(), true, count, pairs);
    });
}

template <class T, bool with_ntk>
void follow_kinks(const PieceLayout<T>& layout, const StripArguments<T>& s, SomePairs& pairs, T* gap, T* ntk) {
    sum_kinks(layout, s, pairs);
    for (Index i = 0; i < pairs.count; ++i) {
        const Index j = pairs.at[i];
        const bool same = layout.same(s, pairs.near[i], pairs.far[i], j); // then the gap stays, +0 or -0
        if (!same) gap[j] = static_cast<T>(signed_gap(1 - pairs.value[i]));
        if constexpr (with_ntk) ntk[j] *= static_cast<T>(pairs.slope[i]);
    }
    pairs.count = 0;
}

// Duplicates and antipodes take no moments where Theta of them is told: whether pair j is one, and is done.
template <class T, bool with_ntk>
FASTNTK_INLINE bool follow_same(const PieceLayout<T>& layout, const Mehler<T>& mehler, const StripArguments<T>& s,
                                Index j, const T* gap, T* ntk) {
    const double far = is_far(gap[j]) ? 0 : 2;
    if (mehler.reach < 0 || gap[j] != 0 || !layout.same(s, 2 - far, far, j)) return false;
    const WideTable<T> gain(s, layout.table(layout.kinks));
    if constexpr (with_ntk) ntk[j] = static_cast<T>(static_cast<double>(ntk[j]) * gain.p);
    return true;
}

// Whole chunks of n vectors V of a strip from `first` on, but for pairs out of reach; returns where the chunks end.
template <class T, class V, int n, bool with_ntk>
Index follow_orders(const PieceLayout<T>& layout, const Mehler<T>& mehler, const StripArguments<T>& s, Index first,
                    SomePairs& pairs, T* gap, T* ntk) {
    constexpr Index width = n * static_cast<Index>(sizeof(V) / sizeof(T));
    for (; first + width <= s.length; first += width) {
        // The largest |rho| within reach, by its bits: of no maximum of floating-point numbers makes clang vectors.
        Bits<T> beyond = 0, bits = __builtin_bit_cast(Bits<T>, T(-1));
#pragma omp simd reduction(| : beyond) reduction(max : bits)
        for (Index j = first; j < first + width; ++j) {
            const T rho = 1 - abs(gap[j]); // past the samples it may be no number, and does not count
            beyond |= rho > mehler.reach ? 1 : 0;
            const auto here = __builtin_bit_cast(Bits<T>, rho <= mehler.reach ? rho : T(-1));
            bits = bits < here ? here : bits;
        }
        const T most = __builtin_bit_cast(T, bits);
        if (beyond) {
            if (pairs.count + width > SomePairs::most) follow_kinks<T, with_ntk>(layout, s, pairs, gap, ntk);
            for (Index j = first; j < first + width; ++j)
                if (1 - abs(gap[j]) > mehler.reach && !follow_same<T, with_ntk>(layout, mehler, s, j, gap, ntk))
                    pairs.add(j, gap[j]);
        }
        if (most < 0) continue;
        alignas(64) double value[width], slope[width];
        if (mehler.jumps) sum_orders<T, V, n, true>(mehler, s, first, gap + first, most, value, slope);
        else sum_orders<T, V, n, false>(mehler, s, first, gap + first, most, value, slope);
#pragma omp simd
        for (Index j = 0; j < width; ++j) {
            T& at = gap[first + j];
            const bool within = 1 - abs(at) <= mehler.reach;
            at = choose(within, static_cast<T>(signed_gap(1 - value[j])), at);
            if constexpr (with_ntk) ntk[first + j] *= choose(within, static_cast<T>(slope[j]), T(1));
        }
    }
    return first;
}

template <class T, bool with_ntk>
void pieces(const StripArguments<T>& s, T* gap, T* ntk) {
    using V = typename Vector<T>::type;
    const PieceLayout<T> layout(s.parameters);
    const Mehler<T> mehler(s, layout);
    SomePairs pairs;
    const Index done = follow_orders<T, V, vectors, with_ntk>(layout, mehler, s, 0, pairs, gap, ntk);
    follow_orders<T, V, 1, with_ntk>(layout, mehler, s, done, pairs, gap, ntk);
    if (pairs.count > 0) follow_kinks<T, with_ntk>(layout, s, pairs, gap, ntk);
}

} // namespace fastntk::FASTNTK_ISA
