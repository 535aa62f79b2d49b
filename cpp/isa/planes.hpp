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
    OfSample(const T* table, Index position, Index lane_count) : one(self ? T(0) : table[position]), all(self ? table + position * lane_count : nullptr) {}
    FASTNTK_INLINE T operator[](Index lane) const {
        if constexpr (self) return all[lane];
        else return one;
    }
};

template <class T, bool self, bool with_far>
FASTNTK_INLINE void input_strips(const Strips& s, Index channels, const T* p, const T* q, T* __restrict near, T* __restrict far) {
    const T scale = T(1) / static_cast<T>(channels);
    const Index count = s.lanes;
    for (Index j = 0; j < s.count; ++j, near += count, far += with_far ? count : 0) {
        for (Index c = 0; c < channels; ++c) {
            const OfSample<T, self> a(p, s.p[j] * channels + c, count);
            const T* const b = q + (s.q[j] * channels + c) * count;
            const bool first = c == 0;
#pragma omp simd
            for (Index l = 0; l < count; ++l) {
                const T minus = a[l] - b[l], plus = a[l] + b[l];
                near[l] = fma(scale * minus, minus, first ? T(0) : near[l]);
                if constexpr (with_far) far[l] = fma(scale * plus, plus, first ? T(0) : far[l]);
            }
        }
    }
}

template <class T, bool self>
void plane_input(const Strips& s, Index channels, const T* p, const T* q, T* near, T* far) {
    if (far) input_strips<T, self, true>(s, channels, p, q, near, far);
    else input_strips<T, self, false>(s, channels, p, q, near, nullptr);
}

// Strips are whole vectors, no loop over lanes has a remainder, and there are at most so many.
constexpr Index most_lanes = 64;
template <class T> using V = typename Vector<T>::type;
template <class T> FASTNTK_INLINE V<T> load(const T* from) { return *reinterpret_cast<const V<T>*>(from); }
template <class T> FASTNTK_INLINE void store(T* to, V<T> value) { *reinterpret_cast<V<T>*>(to) = value; }

template <class T, bool self>
FASTNTK_INLINE V<T> of_sample(const OfSample<T, self>& sample, Index lane) {
    if constexpr (self) return load(sample.all + lane);
    else return V<T>{} + sample.one;
}

// Where the sign bit is set.
template <class T> FASTNTK_INLINE auto signs(V<T> x) { return __builtin_bit_cast(decltype(x < x), x) < 0; }
template <class T> FASTNTK_INLINE V<T> positive_part(V<T> x) { return x > 0 ? x : V<T>{}; }

template <class T, bool self, bool with_far, bool with_ntk>
FASTNTK_INLINE void open_strips(const Strips& s, const T* p, const T* q, const T* __restrict gap, const T* __restrict ntk, T* __restrict near,
                                T* __restrict far, T* __restrict theta) {
    for (Index j = 0, at = 0; j < s.count; ++j) {
        const OfSample<T, self> s_p(p, s.p[j], s.lanes);
        const T* const s_q = q + s.q[j] * s.lanes;
        for (Index l = 0; l < s.lanes; l += lanes<T>, at += lanes<T>) {
            const V<T> a = of_sample(s_p, l), b = load(s_q + l), g = load(gap + at);
            const V<T> product = a * b, difference = a - b, square = difference * difference;
            if constexpr (with_far) {
                const auto away = signs<T>(g);
                store(near + at, 2 * product * (away ? 2 + g : g) + square);
                store(far + at, 2 * product * (away ? -g : 2 - g) + square);
            } else {
                store(near + at, 2 * product * g + square);
            }
            if constexpr (with_ntk) store(theta + at, product * load(ntk + at));
        }
    }
}

template <class T, bool self>
void plane_open(const Strips& s, const T* p, const T* q, const T* gap, const T* ntk, T* near, T* far, T* theta) {
    if (far && theta) open_strips<T, self, true, true>(s, p, q, gap, ntk, near, far, theta);
    else if (far) open_strips<T, self, true, false>(s, p, q, gap, nullptr, near, far, nullptr);
    else if (theta) open_strips<T, self, false, true>(s, p, q, gap, ntk, near, nullptr, theta);
    else open_strips<T, self, false, false>(s, p, q, gap, nullptr, near, nullptr, nullptr);
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
    for (; l + 4 * lanes<T> <= length; l += 4 * lanes<T>) sum_taps<T, accumulate, 4>(source + l, stride, taps, tap_count, out + l);
    for (; l < length; l += lanes<T>) sum_taps<T, accumulate, 1>(source + l, stride, taps, tap_count, out + l);
}

template <class T>
void plane_sum(const T* source, const Index* taps, const Index* runs, Index outputs, Index tap_count, Index length, T* out) {
    for (Index j = 0; j < outputs; j += runs[j]) sum_row<T, false>(source, length, taps + j * tap_count, tap_count, runs[j] * length, out + j * length);
}

inline void plane_sum_wide(const double* source, const Index* taps, Index outputs, Index tap_count, Index length, double* out, bool accumulate) {
    for (Index j = 0; j < outputs; ++j, taps += tap_count, out += length)
        if (accumulate) sum_row<double, true>(source, length, taps, tap_count, length, out);
        else sum_row<double, false>(source, length, taps, tap_count, length, out);
}

template <class T>
void plane_half(const T* deviation, bool one, Index count, T* __restrict near, T* __restrict far) {
    for (Index l = 0; l < count; ++l) near[l] = one ? deviation[0] * deviation[0] : deviation[l] * deviation[l];
    if (far)
        for (Index l = 0; l < count; ++l) far[l] = near[l];
}

// Below this part of (s - s')^2 what is left of near, or far, without it has lost too many digits.
template <class T> constexpr T lost_below = sizeof(T) == 4 ? T(1) / 32 : T(1) / 1024;

// Whether a gap is so small beside (s - s')^2 / (2 s s') that it lost digits: of every lane by itself.
template <class T>
FASTNTK_INLINE bool is_lost(T gap, T inverse, T difference) {
    return abs(gap) < lost_below<T> * (T(0.5) * inverse * (difference * difference));
}

template <class T, bool self, bool with_far, bool with_ntk, bool with_sum>
FASTNTK_INLINE Index close_strips(const Strips& s, const LinearForm<T>& form, const Deviations<T>& d, const T* __restrict near,
                                  const T* __restrict far, const T* __restrict theta_sum, T* __restrict gap, T* __restrict ntk, Index* flagged) {
    const T weight = form.weight, own = form.own;
    // Of the bias, the same at every position: its part of near and far, and Theta that it has of its own.
    T near_bias[most_lanes], far_bias[most_lanes], own_bias[most_lanes];
    const OfSample<T, self> scale(d.scale_p, 0, s.lanes);
    for (Index l = 0; l < s.lanes; ++l) {
        const T difference = form.sigma_b * (scale[l] - d.scale_q[l]), sum = form.sigma_b * (scale[l] + d.scale_q[l]);
        near_bias[l] = difference * difference;
        far_bias[l] = sum * sum;
        own_bias[l] = form.own_bias * (scale[l] * d.scale_q[l]);
    }
    V<T> lost{};
    for (Index j = 0, at = 0; j < s.count; ++j) {
        const OfSample<T, self> s_p(d.p, s.p[j], s.lanes), r_p(d.inverse_p, s.p[j], s.lanes);
        const T *const s_q = d.q + s.q[j] * s.lanes, *const r_q = d.inverse_q + s.q[j] * s.lanes;
        for (Index l = 0; l < s.lanes; l += lanes<T>, at += lanes<T>) {
            const V<T> inverse = of_sample(r_p, l) * load(r_q + l), difference = of_sample(s_p, l) - load(s_q + l);
            const V<T> square = difference * difference, half = T(0.5) * inverse;
            const V<T> near_left = weight * load(near + at) + (load(near_bias + l) - square);
            // A sample that is 0 there has a direction of its own.
            const V<T> of_zero = square > 0 ? V<T>{} + 1 : V<T>{};
            const V<T> near_gap = inverse > 0 ? half * positive_part<T>(near_left) : of_zero;
            V<T> g = near_gap;
            if constexpr (with_far) {
                const V<T> far_left = weight * load(far + at) + (load(far_bias + l) - square);
                const auto away = near_gap > 1;
                g = away ? -(half * positive_part<T>(far_left)) : near_gap;
            }
            const V<T> size = with_far ? (signs<T>(g) ? -g : g) : g;
            lost += size < lost_below<T> * (half * square) ? V<T>{} + 1 : V<T>{};
            store(gap + at, g);
            if constexpr (with_ntk) {
                // A gap that lost all digits may be anything: what is to be subtracted again stays small.
                const V<T> left = positive_part<T>(1 - size), rho = signs<T>(g) ? -left : left;
                V<T> theta = own * rho + load(own_bias + l) * inverse;
                if constexpr (with_sum) theta = (weight * inverse) * load(theta_sum + at) + theta;
                store(ntk + at, theta);
            }
        }
    }
    T any = 0;
    for (Index l = 0; l < lanes<T>; ++l) any += lost[l];
    if (!(any > 0)) return 0;
    Index count = 0;
    for (Index j = 0; j < s.count; ++j) {
        const OfSample<T, self> s_p(d.p, s.p[j], s.lanes), r_p(d.inverse_p, s.p[j], s.lanes);
        bool here = false;
        for (Index l = 0; l < s.lanes; ++l) {
            const T difference = s_p[l] - d.q[s.q[j] * s.lanes + l];
            here = here || is_lost(gap[j * s.lanes + l], r_p[l] * d.inverse_q[s.q[j] * s.lanes + l], difference);
        }
        if (here) flagged[count++] = j;
    }
    return count;
}

template <class T, bool self>
Index plane_close(const Strips& s, const LinearForm<T>& form, const Deviations<T>& d, const T* near, const T* far, const T* theta_sum, T* gap,
                  T* ntk, Index* flagged) {
    if (far && ntk && theta_sum) return close_strips<T, self, true, true, true>(s, form, d, near, far, theta_sum, gap, ntk, flagged);
    if (far && ntk) return close_strips<T, self, true, true, false>(s, form, d, near, far, nullptr, gap, ntk, flagged);
    if (far) return close_strips<T, self, true, false, false>(s, form, d, near, far, nullptr, gap, nullptr, flagged);
    if (ntk && theta_sum) return close_strips<T, self, false, true, true>(s, form, d, near, nullptr, theta_sum, gap, ntk, flagged);
    if (ntk) return close_strips<T, self, false, true, false>(s, form, d, near, nullptr, nullptr, gap, ntk, flagged);
    return close_strips<T, self, false, false, false>(s, form, d, near, nullptr, nullptr, gap, nullptr, flagged);
}

// 1 - rho and 1 + rho of a strip, as sums over the taps, in place of gaps that lost digits.
template <class T>
FASTNTK_INLINE void replace_lost(T near, T far, bool with_far, const LinearForm<T>& form, T difference, T inverse, T& gap, T* ntk) {
    if (!is_lost(gap, inverse, difference)) return;
    const T before = copysign(max(1 - abs(gap), T(0)), gap);
    gap = !with_far || near <= 1 ? near : -far;
    if (ntk) *ntk += form.own * (correlation<T, false>(gap) - before);
}

template <class T, bool self>
void plane_direct(const Tap<T>* taps, Index count, Index lane_count, bool nonnegative, const LinearForm<T>& form, const Deviations<T>& d, T* gap,
                  T* ntk) {
    const T root = sqrt(form.weight);
    T near[most_lanes], far[most_lanes], a[most_lanes], b[most_lanes];
    for (Index l = 0; l < lane_count; ++l) {
        a[l] = self ? d.inverse_p[l] : d.inverse_p[0];
        b[l] = d.inverse_q[l];
        const T u = form.sigma_b * (self ? d.scale_p[l] : d.scale_p[0]) * a[l], v = form.sigma_b * d.scale_q[l] * b[l];
        near[l] = T(0.5) * (u - v) * (u - v);
        far[l] = T(0.5) * (u + v) * (u + v);
        a[l] *= root;
        b[l] *= root;
    }
    for (Index t = 0; t < count; ++t) {
        const Tap<T>& tap = taps[t];
#pragma omp simd
        for (Index l = 0; l < lane_count; ++l) {
            const T u = tap.p ? (self ? tap.p[l] : tap.p[0]) * a[l] : T(0);
            const T v = tap.q ? tap.q[l] * b[l] : T(0);
            const T half = T(0.5) * (u - v) * (u - v);
            near[l] += half;
            far[l] += half;
            if (tap.gap) {
                const T g = tap.gap[l];
                near[l] += u * v * (is_far(g) ? 2 + g : g);
                far[l] += u * v * (is_far(g) ? -g : 2 - g);
            }
        }
    }
    for (Index l = 0; l < lane_count; ++l) {
        const T s_p = self ? d.p[l] : d.p[0], inverse = (self ? d.inverse_p[l] : d.inverse_p[0]) * d.inverse_q[l];
        replace_lost(near[l], far[l], !nonnegative, form, s_p - d.q[l], inverse, gap[l], ntk ? ntk + l : nullptr);
    }
}

template <class T, bool self>
void plane_direct_input(const Tap<T>* taps, Index count, Index channels, Index lane_count, const LinearForm<T>& form, const Deviations<T>& d,
                        T* gap, T* ntk) {
    const T scale = sqrt(form.weight / static_cast<T>(channels));
    for (Index l = 0; l < lane_count; ++l) {
        const T r_p = self ? d.inverse_p[l] : d.inverse_p[0], r_q = d.inverse_q[l];
        const T b_p = form.sigma_b * (self ? d.scale_p[l] : d.scale_p[0]) * r_p, b_q = form.sigma_b * d.scale_q[l] * r_q;
        T near = T(0.5) * (b_p - b_q) * (b_p - b_q), far = T(0.5) * (b_p + b_q) * (b_p + b_q);
        for (Index t = 0; t < count; ++t)
            for (Index c = 0; c < channels; ++c) {
                const T u = taps[t].p ? (self ? taps[t].p[c * lane_count + l] : taps[t].p[c]) * r_p * scale : T(0);
                const T v = taps[t].q ? taps[t].q[c * lane_count + l] * r_q * scale : T(0);
                near += T(0.5) * (u - v) * (u - v);
                far += T(0.5) * (u + v) * (u + v);
            }
        replace_lost(near, far, true, form, (self ? d.p[l] : d.p[0]) - d.q[l], r_p * r_q, gap[l], ntk ? ntk + l : nullptr);
    }
}

template <class T, bool self>
void plane_covariances(const Strips& s, const T* p, const T* q, const T* gap, const T* ntk, double* __restrict k, double* __restrict theta) {
    for (Index j = 0; j < s.count; ++j) {
        const Index count = s.lanes, start = j * count;
        const OfSample<T, self> s_p(p, s.p[j], count);
        const T* const s_q = q + s.q[j] * count;
#pragma omp simd
        for (Index l = 0; l < count; ++l) {
            const double g = static_cast<double>(gap[start + l]);
            k[start + l] = static_cast<double>(s_p[l]) * static_cast<double>(s_q[l]) * copysign(1 - abs(g), g);
        }
        if (theta)
#pragma omp simd
            for (Index l = 0; l < count; ++l)
                theta[start + l] = static_cast<double>(s_p[l]) * static_cast<double>(s_q[l]) * static_cast<double>(ntk[start + l]);
    }
}

template <class T, bool self>
void plane_from_covariances(const Strips& s, const double* weight, const Deviations<T>& d, const T* variance_p, const T* variance_q,
                            const double* __restrict k, const double* __restrict theta, T* __restrict gap, T* __restrict ntk) {
    const Index count = s.lanes;
    for (Index j = 0; j < s.count; ++j) {
        const Index start = j * count;
        const OfSample<T, self> s_p(d.p, s.p[j], count), r_p(d.inverse_p, s.p[j], count), v_p(variance_p, s.p[j], count);
        const T *const s_q = d.q + s.q[j] * count, *const r_q = d.inverse_q + s.q[j] * count, *const v_q = variance_q + s.q[j] * count;
        const double factor = weight[j];
        const OfSample<T, self> scale(d.scale_p, 0, count);
        // Rounded as the variances are, which contraction into what follows would not do: duplicates are to cancel.
#pragma omp simd
        for (Index l = 0; l < count; ++l) gap[start + l] = static_cast<T>(factor * k[start + l]);
#pragma omp simd
        for (Index l = 0; l < count; ++l) {
            const double units = static_cast<double>(scale[l]) * static_cast<double>(d.scale_q[l]);
            const double difference = static_cast<double>(s_p[l] - s_q[l]), square = difference * difference;
            const double inverse = static_cast<double>(r_p[l] * r_q[l]);
            const double sum = static_cast<double>(v_p[l] + v_q[l]), c = 2 * units * static_cast<double>(gap[start + l]);
            const double apart = difference != 0 ? 1.0 : 0.0;
            const double near = choose(inverse > 0, 0.5 * inverse * max(sum - c - square, 0.0), apart);
            const double far = 0.5 * inverse * max(sum + c - square, 0.0);
            gap[start + l] = static_cast<T>(choose(near <= 1, near, -far));
        }
        if (ntk)
#pragma omp simd
            for (Index l = 0; l < count; ++l) ntk[start + l] = static_cast<T>(static_cast<double>(r_p[l] * r_q[l]) * factor * (static_cast<double>(scale[l]) * static_cast<double>(d.scale_q[l]) * theta[start + l]));
    }
}

template <class T>
constexpr PlaneKernels<T> make_plane_kernels() {
    return {{plane_input<T, false>, plane_input<T, true>},
            {plane_open<T, false>, plane_open<T, true>},
            plane_sum<T>,
            plane_half<T>,
            {plane_close<T, false>, plane_close<T, true>},
            {plane_direct<T, false>, plane_direct<T, true>},
            {plane_direct_input<T, false>, plane_direct_input<T, true>},
            {plane_covariances<T, false>, plane_covariances<T, true>},
            {plane_from_covariances<T, false>, plane_from_covariances<T, true>},
            plane_sum_wide};
}

} // namespace fastntk::FASTNTK_ISA
