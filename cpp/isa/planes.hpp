// Pairs of positions: the state of strips through windows of positions (core/plane_kernels.hpp).
#pragma once

#include "../core/plane_kernels.hpp"
#include "layers.hpp"

namespace fastntk::FASTNTK_ISA {

// A number of the one sample at a position, or of each lane where both are one sample.
template <class T, bool self>
struct OfSample {
    T one;
    const T* all;
    OfSample(const T* table, Index position, Index lane_count)
        : one(self ? T(0) : table[position]), all(self ? table + position * lane_count : nullptr) {}
    FASTNTK_INLINE T operator[](Index lane) const {
        if constexpr (self) return all[lane];
        else return one;
    }
};

// Strips are whole vectors, no loop over lanes has a remainder, and there are at most so many.
constexpr Index most_lanes = 64;
template <class T>
using V = typename Vector<T>::type;
template <class T>
FASTNTK_INLINE V<T> load(const T* from) {
    return *reinterpret_cast<const V<T>*>(from);
}
template <class T>
FASTNTK_INLINE void store(T* to, V<T> value) {
    *reinterpret_cast<V<T>*>(to) = value;
}

template <class T, bool self>
FASTNTK_INLINE V<T> of_sample(const OfSample<T, self>& sample, Index lane) {
    if constexpr (self) return load(sample.all + lane);
    else return V<T>{} + sample.one;
}

// Where the sign bit is set.
template <class T>
FASTNTK_INLINE auto signs(V<T> x) {
    return __builtin_bit_cast(decltype(x < x), x) < 0;
}
template <class T>
FASTNTK_INLINE V<T> positive_part(V<T> x) {
    return x > 0 ? x : V<T>{};
}

template <class T, bool self, bool with_far>
FASTNTK_INLINE void input_strips(const Strips& s, Index channels, const T* p, const T* q, const Fields<T>& out) {
    const T scale = T(1) / static_cast<T>(channels);
    for (Index r = 0; r < s.rows; ++r)
        for (Index j = 0, at = r * out.pitch; j < s.count; ++j) {
            const T* const a = p + (s.row_p[r] + s.p[j]) * channels * (self ? s.lanes : 1);
            const T* const b = q + (s.row_q[r] + s.q[j]) * channels * s.lanes;
            for (Index l = 0; l < s.lanes; l += lanes<T>, at += lanes<T>) {
                V<T> near{}, far{};
                for (Index c = 0; c < channels; ++c) {
                    const V<T> u = of_sample(OfSample<T, self>(a, c, s.lanes), l), v = load(b + c * s.lanes + l);
                    const V<T> minus = u - v, plus = u + v;
                    near = (scale * minus) * minus + near;
                    if constexpr (with_far) far = (scale * plus) * plus + far;
                }
                store(out.near + at, near);
                if constexpr (with_far) store(out.far + at, far);
            }
        }
}

template <class T, bool self>
void plane_input(const Strips& s, Index channels, const T* p, const T* q, const Fields<T>& out) {
    if (out.far) input_strips<T, self, true>(s, channels, p, q, out);
    else input_strips<T, self, false>(s, channels, p, q, out);
}

template <class T, bool self, bool with_far, bool with_ntk>
FASTNTK_INLINE void open_strips(const Strips& s, const T* p, const T* q, const T* __restrict gap,
                                const T* __restrict ntk, const Fields<T>& out) {
    T* __restrict const near = out.near, * __restrict const far = out.far, * __restrict const theta = out.theta;
    for (Index r = 0, from = 0; r < s.rows; ++r)
        for (Index j = 0, at = r * out.pitch; j < s.count; ++j) {
            const OfSample<T, self> s_p(p, s.row_p[r] + s.p[j], s.lanes);
            const T* const s_q = q + (s.row_q[r] + s.q[j]) * s.lanes;
            for (Index l = 0; l < s.lanes; l += lanes<T>, at += lanes<T>, from += lanes<T>) {
                const V<T> a = of_sample(s_p, l), b = load(s_q + l), g = load(gap + from);
                const V<T> product = a * b, difference = a - b, square = difference * difference;
                if constexpr (with_far) {
                    const auto away = signs<T>(g);
                    store(near + at, 2 * product * (away ? 2 + g : g) + square);
                    store(far + at, 2 * product * (away ? -g : 2 - g) + square);
                } else {
                    store(near + at, 2 * product * g + square);
                }
                if constexpr (with_ntk) store(theta + at, product * load(ntk + from));
            }
        }
}

template <class T, bool self>
void plane_open(const Strips& s, const T* p, const T* q, const T* gap, const T* ntk, const Fields<T>& out) {
    if (out.far && out.theta) open_strips<T, self, true, true>(s, p, q, gap, ntk, out);
    else if (out.far) open_strips<T, self, true, false>(s, p, q, gap, nullptr, out);
    else if (out.theta) open_strips<T, self, false, true>(s, p, q, gap, ntk, out);
    else open_strips<T, self, false, false>(s, p, q, gap, nullptr, out);
}

template <class T>
void plane_half(const T* deviation, bool one, Index row_count, const Index* starts, Index count, const Index* x,
                Index lane_count, const Fields<T>& out) {
    for (Index r = 0; r < row_count; ++r)
        for (Index j = 0; j < count; ++j) {
            const T* const s = x[j] < 0 ? nullptr : deviation + (starts[r] + x[j]) * (one ? 1 : lane_count);
            for (Index l = 0, at = r * out.pitch + j * lane_count; l < lane_count; l += lanes<T>, at += lanes<T>) {
                V<T> root{};
                if (s) root = one ? root + *s : load(s + l);
                store(out.near + at, root * root);
                if (out.far) store(out.far + at, root * root);
                if (out.theta) store(out.theta + at, V<T>{});
            }
        }
}

// Sums of `width` vectors, which stay in registers.
template <class T, bool accumulate, int width>
FASTNTK_INLINE void sum_taps(const T* source, Index stride, const Index* taps, Index tap_count, T* out) {
    V<T> sum[width];
#pragma GCC unroll 4
    for (int v = 0; v < width; ++v) sum[v] = accumulate ? load(out + v * lanes<T>) : V<T>{};
    for (Index t = 0; t < tap_count; ++t) {
        if (taps[t] < 0) continue;
        const T* const row = source + taps[t] * stride;
#pragma GCC unroll 4
        for (int v = 0; v < width; ++v) sum[v] += load(row + v * lanes<T>);
    }
#pragma GCC unroll 4
    for (int v = 0; v < width; ++v) store(out + v * lanes<T>, sum[v]);
}

template <class T, bool accumulate>
FASTNTK_INLINE void sum_row(const T* source, Index stride, const Index* taps, Index tap_count, Index length, T* out) {
    Index l = 0;
    for (; l + 4 * lanes<T> <= length; l += 4 * lanes<T>)
        sum_taps<T, accumulate, 4>(source + l, stride, taps, tap_count, out + l);
    for (; l + 2 * lanes<T> <= length; l += 2 * lanes<T>)
        sum_taps<T, accumulate, 2>(source + l, stride, taps, tap_count, out + l);
    for (; l < length; l += lanes<T>) sum_taps<T, accumulate, 1>(source + l, stride, taps, tap_count, out + l);
}

template <class T>
void plane_sum(const Taps& taps, Index row_count, Index lane_count, const Fields<T>& source, const Fields<T>& out) {
    const auto sum = [&](const T* from, T* to) {
        if (!from) return;
        for (Index r = 0; r < row_count; ++r, from += source.pitch, to += out.pitch)
            for (Index j = 0; j < taps.outputs; j += taps.runs[j])
                sum_row<T, false>(from, lane_count, taps.taps + j * taps.count, taps.count, taps.runs[j] * lane_count,
                                  to + j * lane_count);
    };
    sum(source.near, out.near);
    sum(source.far, out.far);
    sum(source.theta, out.theta);
}

inline void plane_sum_wide(const Taps& taps, Index row_count, Index lane_count, const double* source, Index pitch,
                           double* out, Index out_pitch, bool accumulate) {
    for (Index r = 0; r < row_count; ++r, source += pitch, out += out_pitch)
        for (Index j = 0; j < taps.outputs; ++j) {
            const Index* const of_output = taps.taps + j * taps.count;
            double* const to = out + j * lane_count;
            if (accumulate) sum_row<double, true>(source, lane_count, of_output, taps.count, lane_count, to);
            else sum_row<double, false>(source, lane_count, of_output, taps.count, lane_count, to);
        }
}

// Below this part of (s - s')^2 what is left of near, or far, without it has lost too many digits.
template <class T>
constexpr T lost_below = sizeof(T) == 4 ? T(1) / 32 : T(1) / 1024;

// Where a gap, without its sign, is so small beside (s - s')^2 / (2 s s') that it lost digits; half is 1 / (2 s s').
template <class T>
FASTNTK_INLINE auto is_lost(V<T> size, V<T> half, V<T> difference) {
    return size < lost_below<T> * (half * (difference * difference));
}
template <class T>
FASTNTK_INLINE V<T> without_sign(V<T> gap) {
    return signs<T>(gap) ? -gap : gap;
}
template <class T>
FASTNTK_INLINE V<T> half_inverse(V<T> inverse_p, V<T> inverse_q) {
    return (T(0.5) * inverse_p) * inverse_q;
}
template <class T>
FASTNTK_INLINE bool any(V<T> ones) {
    T sum = 0;
    for (Index l = 0; l < lanes<T>; ++l) sum += ones[l];
    return sum > 0;
}

// The sum of some rows, `offsets` from the first one.
template <class T>
FASTNTK_INLINE V<T> sum_of_rows(const T* field, const Index* offsets, Index count) {
    if (count == 3) return (load(field + offsets[0]) + load(field + offsets[1])) + load(field + offsets[2]);
    V<T> sum{};
    for (Index k = 0; k < count; ++k) sum += load(field + offsets[k]);
    return sum;
}

template <class T, bool self, bool with_far, bool with_ntk, bool with_sum>
FASTNTK_INLINE Index close_strips(const Strips& s, const LinearForm<T>& form, const Deviations<T>& d,
                                  const Fields<T>& summed, const Index* taps, const Index* counts, Index most_taps,
                                  T* __restrict gap, T* __restrict ntk, Index* flagged) {
    const T weight = form.weight, own = form.own, twice_weight = 2 * weight;
    const Index strips_a_row = s.count, lane_count = s.lanes;
    // Of the bias, the same at every position: its part of near and far, and half of Theta that it has of its own.
    T near_bias[most_lanes], far_bias[most_lanes], own_bias[most_lanes];
    const OfSample<T, self> scale(d.scale_p, 0, lane_count);
    for (Index l = 0; l < lane_count; ++l) {
        const T difference = form.sigma_b * (scale[l] - d.scale_q[l]), sum = form.sigma_b * (scale[l] + d.scale_q[l]);
        near_bias[l] = difference * difference;
        far_bias[l] = sum * sum;
        own_bias[l] = 2 * form.own_bias * (scale[l] * d.scale_q[l]);
    }
    V<T> lost{};
    for (Index r = 0, at = 0; r < s.rows; ++r) {
        const Index* const offsets = taps + r * most_taps;
        const Index count = counts[r];
        for (Index j = 0, in_row = 0; j < strips_a_row; ++j) {
            const Index p = s.row_p[r] + s.p[j], q = (s.row_q[r] + s.q[j]) * lane_count;
            const OfSample<T, self> s_p(d.p, p, lane_count), r_p(d.inverse_p, p, lane_count);
            const T *const s_q = d.q + q, *const r_q = d.inverse_q + q;
            for (Index l = 0; l < lane_count; l += lanes<T>, at += lanes<T>, in_row += lanes<T>) {
                const V<T> half = half_inverse<T>(of_sample(r_p, l), load(r_q + l)),
                           difference = of_sample(s_p, l) - load(s_q + l);
                const V<T> square = difference * difference;
                const V<T> near_left =
                    weight * sum_of_rows(summed.near + in_row, offsets, count) + (load(near_bias + l) - square);
                // A sample that is 0 there has a direction of its own.
                const V<T> of_zero = square > 0 ? V<T>{} + 1 : V<T>{};
                const V<T> near_gap = half > 0 ? half * positive_part<T>(near_left) : of_zero;
                V<T> g = near_gap, size = near_gap;
                if constexpr (with_far) {
                    const V<T> far_left =
                        weight * sum_of_rows(summed.far + in_row, offsets, count) + (load(far_bias + l) - square);
                    const V<T> far_gap = half * positive_part<T>(far_left);
                    const auto away = near_gap > 1;
                    g = away ? -far_gap : near_gap;
                    size = away ? far_gap : near_gap;
                }
                lost += is_lost<T>(size, half, difference) ? V<T>{} + 1 : V<T>{};
                store(gap + at, g);
                if constexpr (with_ntk) {
                    // A gap that lost all digits may be anything: what is to be subtracted again stays small.
                    V<T> rho = positive_part<T>(1 - size);
                    if constexpr (with_far) rho = signs<T>(g) ? -rho : rho;
                    V<T> theta = own * rho + load(own_bias + l) * half;
                    if constexpr (with_sum)
                        theta = (twice_weight * half) * sum_of_rows(summed.theta + in_row, offsets, count) + theta;
                    store(ntk + at, theta);
                }
            }
        }
    }
    if (!any<T>(lost)) return 0;
    Index found = 0;
    for (Index r = 0, strip = 0; r < s.rows; ++r)
        for (Index j = 0; j < s.count; ++j, ++strip) {
            const Index p = s.row_p[r] + s.p[j], q = (s.row_q[r] + s.q[j]) * lane_count;
            const OfSample<T, self> s_p(d.p, p, lane_count), r_p(d.inverse_p, p, lane_count);
            V<T> here{};
            for (Index l = 0; l < lane_count; l += lanes<T>) {
                const V<T> half = half_inverse<T>(of_sample(r_p, l), load(d.inverse_q + q + l));
                const V<T> difference = of_sample(s_p, l) - load(d.q + q + l);
                const V<T> size = without_sign<T>(load(gap + strip * lane_count + l));
                here += is_lost<T>(size, half, difference) ? V<T>{} + 1 : V<T>{};
            }
            if (any<T>(here)) flagged[found++] = strip;
        }
    return found;
}

template <class T, bool self>
Index plane_close(const Strips& s, const LinearForm<T>& form, const Deviations<T>& d, const Fields<T>& summed,
                  const Index* taps, const Index* counts, Index most_taps, T* gap, T* ntk, Index* flagged) {
    const auto close = [&]<bool with_far, bool with_ntk, bool with_sum>() {
        return close_strips<T, self, with_far, with_ntk, with_sum>(s, form, d, summed, taps, counts, most_taps, gap,
                                                                   ntk, flagged);
    };
    if (summed.far && ntk && summed.theta) return close.template operator()<true, true, true>();
    if (summed.far && ntk) return close.template operator()<true, true, false>();
    if (summed.far) return close.template operator()<true, false, false>();
    if (ntk && summed.theta) return close.template operator()<false, true, true>();
    if (ntk) return close.template operator()<false, true, false>();
    return close.template operator()<false, false, false>();
}

// A number of x, one or one a lane. Not by a template's parameter: compilers might contract two instances of the code
// for pairs of the same samples differently.
template <class T>
FASTNTK_INLINE V<T> of_first(const T* number, bool self, Index lane) {
    return self ? load(number + lane) : V<T>{} + *number;
}

// 1 - rho and 1 + rho of some lanes, as sums over the taps.
template <class T>
struct BothEnds {
    V<T> near{}, far{};

    FASTNTK_INLINE void add(V<T> u, V<T> v) {
        const V<T> minus = u - v, plus = u + v;
        near += (T(0.5) * minus) * minus;
        far += (T(0.5) * plus) * plus;
    }

    // Of a tap that is inside with both positions, and has a gap.
    FASTNTK_INLINE void add(V<T> u, V<T> v, V<T> gap) {
        const V<T> minus = u - v, square = (T(0.5) * minus) * minus, product = u * v;
        const auto away = signs<T>(gap);
        near += product * (away ? 2 + gap : gap) + square;
        far += product * (away ? -gap : 2 - gap) + square;
    }

    // In place of gaps that lost digits.
    FASTNTK_INLINE void replace_lost(bool nonnegative, const LinearForm<T>& form, V<T> difference, V<T> half, T* gap,
                                     T* ntk) const {
        const V<T> old = load(gap);
        const auto lost = is_lost<T>(without_sign<T>(old), half, difference);
        const V<T> here = nonnegative ? near : near <= 1 ? near : -far;
        store(gap, lost ? here : old);
        if (!ntk) return;
        const V<T> size = positive_part<T>(1 - without_sign<T>(old));
        const V<T> before = signs<T>(old) ? -size : size, rho = signs<T>(here) ? here + 1 : 1 - here;
        store(ntk, load(ntk) + (lost ? form.own * ((signs<T>(here) ? -rho : rho) - before) : V<T>{}));
    }
};

template <class T>
void plane_direct(const Tap<T>* taps, Index count, bool self, Index lane_count, bool nonnegative,
                  const LinearForm<T>& form, const Deviations<T>& d, T* gap, T* ntk) {
    const T root = sqrt(form.weight);
    for (Index l = 0; l < lane_count; l += lanes<T>) {
        const V<T> r_p = of_first(d.inverse_p, self, l), r_q = load(d.inverse_q + l);
        const V<T> a = r_p * root, b = r_q * root;
        BothEnds<T> ends;
        ends.add((form.sigma_b * of_first(d.scale_p, self, l)) * r_p, (form.sigma_b * load(d.scale_q + l)) * r_q);
        for (Index t = 0; t < count; ++t) {
            const Tap<T>& tap = taps[t];
            const V<T> u = tap.p ? of_first(tap.p, self, l) * a : V<T>{}, v = tap.q ? load(tap.q + l) * b : V<T>{};
            if (tap.gap) ends.add(u, v, load(tap.gap + l));
            else ends.add(u, v);
        }
        ends.replace_lost(nonnegative, form, of_first(d.p, self, l) - load(d.q + l), half_inverse<T>(r_p, r_q), gap + l,
                          ntk ? ntk + l : nullptr);
    }
}

template <class T>
void plane_direct_input(const Tap<T>* taps, Index count, Index channels, bool self, Index lane_count,
                        const LinearForm<T>& form, const Deviations<T>& d, T* gap, T* ntk) {
    const T root = sqrt(form.weight / static_cast<T>(channels));
    const Index step = self ? lane_count : 1;
    // Of one number nothing is left but its sign.
    const bool is_number = count * channels == 1 && form.sigma_b == 0;
    const auto unit = [=](V<T> u) { return !is_number ? u : u > 0 ? V<T>{} + 1 : u < 0 ? V<T>{} - 1 : u; };
    for (Index l = 0; l < lane_count; l += lanes<T>) {
        const V<T> r_p = of_first(d.inverse_p, self, l), r_q = load(d.inverse_q + l);
        const V<T> a = r_p * root, b = r_q * root;
        BothEnds<T> ends;
        ends.add((form.sigma_b * of_first(d.scale_p, self, l)) * r_p, (form.sigma_b * load(d.scale_q + l)) * r_q);
        for (Index t = 0; t < count; ++t)
            for (Index c = 0; c < channels; ++c)
                ends.add(taps[t].p ? unit(of_first(taps[t].p + c * step, self, l) * a) : V<T>{},
                         taps[t].q ? unit(load(taps[t].q + c * lane_count + l) * b) : V<T>{});
        ends.replace_lost(false, form, of_first(d.p, self, l) - load(d.q + l), half_inverse<T>(r_p, r_q), gap + l,
                          ntk ? ntk + l : nullptr);
    }
}

template <class T, bool self>
void plane_covariances(const Strips& s, const T* p, const T* q, const T* gap, const T* ntk, double* __restrict k,
                       double* __restrict theta) {
    const Index count = s.lanes;
    for (Index r = 0, start = 0; r < s.rows; ++r)
        for (Index j = 0; j < s.count; ++j, start += count) {
            const OfSample<T, self> s_p(p, s.row_p[r] + s.p[j], count);
            const T* const s_q = q + (s.row_q[r] + s.q[j]) * count;
#pragma omp simd
            for (Index l = 0; l < count; ++l) {
                const double g = static_cast<double>(gap[start + l]);
                k[start + l] = static_cast<double>(s_p[l]) * static_cast<double>(s_q[l]) * copysign(1 - abs(g), g);
            }
            if (theta)
#pragma omp simd
                for (Index l = 0; l < count; ++l)
                    theta[start + l] =
                        static_cast<double>(s_p[l]) * static_cast<double>(s_q[l]) * static_cast<double>(ntk[start + l]);
        }
}

template <class T, bool self>
void plane_from_covariances(const Strips& s, bool nonnegative, const double* row_weight, const double* weight,
                            const Deviations<T>& d, const T* variance_p, const T* variance_q,
                            const double* __restrict k, const double* __restrict theta, T* __restrict gap,
                            T* __restrict ntk) {
    const Index count = s.lanes;
    const OfSample<T, self> scale(d.scale_p, 0, count);
    for (Index r = 0, start = 0; r < s.rows; ++r)
        for (Index j = 0; j < s.count; ++j, start += count) {
            const Index p = s.row_p[r] + s.p[j], q = (s.row_q[r] + s.q[j]) * count;
            const OfSample<T, self> s_p(d.p, p, count), r_p(d.inverse_p, p, count), v_p(variance_p, p, count);
            const T *const s_q = d.q + q, *const r_q = d.inverse_q + q, *const v_q = variance_q + q;
            const double factor = row_weight[r] * weight[j];
            // Rounded as the variances are, and products by themselves, which contraction into what follows would not
            // do: duplicates are to cancel, and pairs are to be the same however they come.
            double c[most_lanes], square[most_lanes];
#pragma omp simd
            for (Index l = 0; l < count; ++l) gap[start + l] = static_cast<T>(factor * k[start + l]);
#pragma omp simd
            for (Index l = 0; l < count; ++l) {
                const double difference = static_cast<double>(s_p[l] - s_q[l]);
                c[l] = 2 * (static_cast<double>(scale[l]) * static_cast<double>(d.scale_q[l])) *
                       static_cast<double>(gap[start + l]);
                square[l] = difference * difference;
            }
#pragma omp simd
            for (Index l = 0; l < count; ++l) {
                const double inverse = static_cast<double>(r_p[l] * r_q[l]), sum = static_cast<double>(v_p[l] + v_q[l]);
                const double apart = s_p[l] != s_q[l] ? 1.0 : 0.0;
                const double near = choose(inverse > 0, 0.5 * inverse * max(sum - c[l] - square[l], 0.0), apart);
                const double far = 0.5 * inverse * max(sum + c[l] - square[l], 0.0);
                gap[start + l] = static_cast<T>(choose(near <= 1, near, nonnegative ? 1.0 : -far));
            }
            if (ntk)
#pragma omp simd
                for (Index l = 0; l < count; ++l)
                    ntk[start + l] = static_cast<T>(
                        static_cast<double>(r_p[l] * r_q[l]) * factor *
                        (static_cast<double>(scale[l]) * static_cast<double>(d.scale_q[l]) * theta[start + l]));
        }
}

template <class T>
constexpr PlaneKernels<T> make_plane_kernels() {
    return {{plane_input<T, false>, plane_input<T, true>},
            {plane_open<T, false>, plane_open<T, true>},
            plane_half<T>,
            plane_sum<T>,
            {plane_close<T, false>, plane_close<T, true>},
            plane_direct<T>,
            plane_direct_input<T>,
            {plane_covariances<T, false>, plane_covariances<T, true>},
            {plane_from_covariances<T, false>, plane_from_covariances<T, true>},
            plane_sum_wide};
}

} // namespace fastntk::FASTNTK_ISA
