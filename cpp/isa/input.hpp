// From the rows of the input to the signed gaps of their pairs: packing, and the two ways to a gap.
#pragma once

#include "ratio.hpp"
#include "transpose.hpp"

namespace fastntk::FASTNTK_ISA {

// One row of a sliver: features [begin, end) of its unit vector minus the centre, rounded to T, and half
// their squared norm, from the rounded numbers, so that rounding enters the gap by differences only.
template <class T, class In>
FASTNTK_INLINE double centre_row(const In* row, double inverse_norm, const double* centre, Index depth, T* rounded) {
    const Ratio<double> inverse(inverse_norm); // rows that are alike have a centre that is nearly them
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index k = 0; k < depth; ++k) {
        const T r = static_cast<T>(-inverse.difference(centre[k], static_cast<double>(row[k])));
        rounded[k] = r;
        sum += static_cast<double>(r) * static_cast<double>(r);
    }
    return 0.5 * sum;
}

// A number over its norm is its sign but for rounding, some 2^-52: whether that is what is asked for.
template <class In>
FASTNTK_INLINE bool is_sign_of(In number, double inverse_norm) {
    return abs(abs(static_cast<double>(number)) * inverse_norm - 1) < 1e-15;
}

// `count` features from k on of so many rows of a sliver, at most as many as a vector has lanes; the others are zero.
template <class T, class In>
FASTNTK_INLINE void pack_features(const Rows<In>& x, Index features, Index first, Index row_count, Index k, Index count,
                                  const double* centre, T* packed, double* half_norm) {
    constexpr Index chunk = 128;
    alignas(64) T rounded[lanes<T> * chunk];
    for (Index k0 = 0; k0 < count; k0 += chunk) {
        const Index size = min(chunk, count - k0);
        for (Index r = 0; r < lanes<T>; ++r) {
            T* const row = rounded + r * chunk;
            if (r < row_count) {
                const In* from = x.data + (first + r) * x.stride + k + k0;
                const double inverse = x.inverse_norm[first + r];
                if (features == 1 && is_sign_of(*from, inverse)) {
                    const double sign = copysign(1.0, static_cast<double>(*from));
                    half_norm[r] += centre_row(&sign, 1.0, centre, 1, row);
                } else {
                    half_norm[r] += centre_row(from, inverse, centre + k + k0, size, row);
                }
            } else
                for (Index j = 0; j < size; ++j) row[j] = T(0);
        }
        T* const out = packed + k0 * sliver<T>;
        Index j = 0;
        for (; j + lanes<T> <= size; j += lanes<T>) transpose_block(rounded + j, chunk, out + j * sliver<T>, sliver<T>);
        for (; j < size; ++j)
            for (Index r = 0; r < lanes<T>; ++r) out[j * sliver<T> + r] = rounded[r * chunk + j];
    }
}

template <class T, class In>
void pack(const Rows<In>& x, Index first, Index row_count, Index features, Index begin, Index end,
          const double* centre, T* packed, double* half_norm) {
    const Index depth = end - begin;
    const Index stop = min(end, features);
    for (Index start = 0; start < row_count; start += lanes<T>) {
        const Index count = min(lanes<T>, row_count - start);
        T* const out = packed + start / sliver<T> * sliver<T> * depth + start % sliver<T>;
        pack_features(x, features, first + start, count, begin, stop - begin, centre, out, half_norm + start);
        if (end > features) // the direction of zero rows
            for (Index r = 0; r < lanes<T>; ++r) {
                const double zero = x.inverse_norm[first + start + min(r, count - 1)] == 0 ? 1.0 : 0.0;
                T rounded = T(0);
                if (r < count) half_norm[start + r] += centre_row(&zero, 1.0, centre + features, 1, &rounded);
                out[(features - begin) * sliver<T> + r] = rounded;
            }
    }
    for (Index start = (row_count + lanes<T> - 1) / lanes<T> * lanes<T>; start % sliver<T>; start += lanes<T>)
        for (Index k = 0; k < depth; ++k)
            for (Index r = 0; r < lanes<T>; ++r)
                packed[(start / sliver<T> * depth + k) * sliver<T> + start % sliver<T> + r] = T(0);
}

// Below this fraction of |r_p|^2 + |r_q|^2 the expanded form of |r_p - r_q|^2 has lost too many digits.
template <class T> constexpr T direct_below = sizeof(T) == 4 ? T(1) / 32 : T(1) / 128;

// As wide as T, so that loops over both vectorise.
template <class T> struct BitsOf { using type = std::int32_t; };
template <> struct BitsOf<double> { using type = std::int64_t; };
template <class T> using Bits = typename BitsOf<T>::type;

// Positive where the gap is accurate as it is.
template <class T>
FASTNTK_INLINE T margin(T gap, T half_norm_sum) {
    return abs(gap) - 2 * direct_below<T> * (gap >= 0 ? half_norm_sum : T(1));
}

template <class T>
Index input_gap(T half_norm_p, const T* __restrict half_norm_q, T* __restrict products, Index length,
                std::int32_t* flagged) {
    Bits<T> close = 0;
#pragma omp simd reduction(| : close)
    for (Index j = 0; j < length; ++j) {
        const T half_norm_sum = half_norm_p + half_norm_q[j];
        const T near = half_norm_sum - products[j];
        const T gap = near <= 1 ? near : near - 2;
        products[j] = gap;
        close |= margin(gap, half_norm_sum) > 0 ? Bits<T>(0) : Bits<T>(1);
    }
    if (close == 0) return 0;
    const auto is_close = [&](Index j) { return !(margin(products[j], half_norm_p + half_norm_q[j]) > 0); };
    Index count = 0;
    for (Index first = 0; first < length; first += lanes<T>) {
        Bits<T> close_lanes[lanes<T>], some = 0;
#pragma omp simd reduction(| : some)
        for (Index l = 0; l < lanes<T>; ++l) {
            close_lanes[l] = is_close(first + l) ? Bits<T>(1) : Bits<T>(0);
            some |= close_lanes[l];
        }
        if (some == 0) continue;
        for (Index l = 0; l < lanes<T>; ++l) { // without a branch: who is close may be anyone's guess
            flagged[count] = static_cast<std::int32_t>(first + l);
            count += close_lanes[l];
        }
    }
    return count;
}

// A vector of T from numbers as they are, or of floats as doubles.
template <class T, class In>
FASTNTK_INLINE typename Vector<T>::type load(const In* from) {
    if constexpr (sizeof(T) == sizeof(In)) {
        return *reinterpret_cast<const typename Vector<T>::type*>(from);
    } else {
        typedef float Narrow __attribute__((vector_size(vector_bytes / 2), aligned(4), may_alias));
        return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), typename Vector<T>::type);
    }
}

template <class T, int half, int... l>
FASTNTK_INLINE T sum_of_lanes(typename Vector<T>::type v, Indices<int, l...> all) {
    v += Shuffle<T, (l ^ half)...>::of(v, v);
    if constexpr (half > 1) return sum_of_lanes<T, half / 2>(v, all);
    else return v[0];
}

// The sum of difference(a_k, b_k)^2, of numbers of type T. Several sums at once, as each waits for its last addition,
// and few numbers to each, as they are rounded to T: in float the whole errs by some 1e-7 at any length.
template <class T, class In, class Difference>
FASTNTK_INLINE double sum_of_squares(const In* a, const In* b, Index features, const Difference& difference) {
    using V = typename Vector<T>::type;
    constexpr Index sums = 4, step = sums * lanes<T>, longest = 32 * step;
    double total = 0;
    for (Index begin = 0; begin < features; begin += longest) {
        const Index end = min(features, begin + longest);
        Index k = begin;
        V sum[sums] = {};
        const auto add = [&](V& to, Index from) {
            const V d = difference(load<T>(a + from), load<T>(b + from));
            to += d * d;
        };
        for (; k + step <= end; k += step)
#pragma GCC unroll 4
            for (Index i = 0; i < sums; ++i) add(sum[i], k + i * lanes<T>);
        for (; k + lanes<T> <= end; k += lanes<T>) add(sum[0], k);
        const V both = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        T rest = 0;
        for (; k < end; ++k) {
            const T d = difference(static_cast<T>(a[k]), static_cast<T>(b[k]));
            rest += d * d;
        }
        constexpr int width = static_cast<int>(lanes<T>);
        total += static_cast<double>(sum_of_lanes<T, width / 2>(both, IndicesTo<width>{}) + rest);
    }
    return total;
}

// Rows up to this norm have squares of differences that are numbers; from this sum on, what they lost below the
// smallest number is nothing to it.
template <class T> constexpr double largest_plain_norm = sizeof(T) == 4 ? 0x1p60 : 0x1p500;
template <class T> constexpr double smallest_plain_sum = sizeof(T) == 4 ? 0x1p-100 : 0x1p-900;
// In float only where x - ratio y is rounded once: that of near duplicates is small beside both.
template <class T> constexpr bool has_plain_sum = sizeof(T) == 8 || FASTNTK_FUSED;

// Half of |u_p - u_q|^2 and, past a right angle, of |u_p + u_q|^2, from differences of the coordinates
// themselves: exactly 0 for rows that are equal, or opposite, up to a power of two, and for rows of one number. The row of
// larger norm comes first, so that the result does not depend on which is p. Floats in float, for gaps that are floats.
template <class T, class In>
double direct_gap(const Rows<In>& x, Index p, const Rows<In>& y, Index q, Index features) {
    const bool swap = x.inverse_norm[p] > y.inverse_norm[q];
    const In* const a = swap ? y.data + q * y.stride : x.data + p * x.stride;
    const In* const b = swap ? x.data + p * x.stride : y.data + q * y.stride;
    const double inverse = min(x.inverse_norm[p], y.inverse_norm[q]);
    const double larger_inverse = max(x.inverse_norm[p], y.inverse_norm[q]);
    if (inverse == 0) return larger_inverse == 0 ? 0 : 1; // zero rows have a direction of their own
    if (features == 1) return (a[0] < 0) == (b[0] < 0) ? 0.0 : -0.0;
    const double ratio = larger_inverse / inverse;
    using Plain = decltype(T() + In());
    const bool plain = inverse * largest_plain_norm<Plain> >= 1 && ratio <= largest_plain_norm<Plain>;
    const auto half_square = [&](double sign) {
        const double signed_ratio = sign * ratio;
        if constexpr (has_plain_sum<Plain>) {
            if (plain) {
                const Ratio<Plain> of(signed_ratio);
                const double sum = sum_of_squares<Plain>(a, b, features, [&](auto x_k, auto y_k) { return of.difference(x_k, y_k); });
                if (sum >= smallest_plain_sum<Plain>) return 0.5 * (sum * inverse * inverse);
            }
        }
        const bool comparable = ratio < 1e300;
        return 0.5 * sum_of_squares<double>(a, b, features, [&](auto x_k, auto y_k) {
            return comparable ? (x_k - signed_ratio * y_k) * inverse : x_k * inverse - sign * (y_k * larger_inverse);
        });
    };
    const double gap = half_square(1.0);
    return gap <= 1 ? gap : -half_square(-1.0);
}

} // namespace fastntk::FASTNTK_ISA
