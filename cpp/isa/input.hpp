// From the rows of the input to the signed gaps of their pairs: packing, and the two ways to a gap.
#pragma once

#include "micro_gemm.hpp"

namespace fastntk::FASTNTK_ISA {

// One row of a sliver: features [begin, end) of its unit vector minus the centre, rounded to T, and half
// their squared norm, from the rounded numbers, so that rounding enters the gap by differences only.
template <class T, class In>
FASTNTK_INLINE double centre_row(const In* row, double inverse_norm, const double* centre, Index depth, T* rounded) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index k = 0; k < depth; ++k) {
        const T r = static_cast<T>(static_cast<double>(row[k]) * inverse_norm - centre[k]);
        rounded[k] = r;
        sum += static_cast<double>(r) * static_cast<double>(r);
    }
    return 0.5 * sum;
}

template <class T, class In>
void pack(const Rows<In>& x, Index first, Index row_count, Index features, Index begin, Index end,
          const double* centre, T* packed, double* half_norm) {
    constexpr Index chunk = 256; // of a row, while it is spread over the sliver
    T rounded[chunk];
    const Index depth = end - begin;
    for (Index start = 0; start < row_count; start += sliver<T>, packed += sliver<T> * depth) {
        const Index lanes_of_it = min(sliver<T>, row_count - start);
        if (lanes_of_it < sliver<T>)
            for (Index k = 0; k < sliver<T> * depth; ++k) packed[k] = T(0);
        for (Index lane = 0; lane < lanes_of_it; ++lane) {
            T* const out = packed + lane;
            const Index index = first + start + lane;
            const In* const row = x.data + index * x.stride;
            const double inverse = x.inverse_norm[index];
            const Index stop = min(end, features);
            for (Index k0 = begin; k0 < stop; k0 += chunk) {
                const Index count = min(chunk, stop - k0);
                half_norm[start + lane] += centre_row(row + k0, inverse, centre + k0, count, rounded);
                for (Index k = 0; k < count; ++k) out[(k0 - begin + k) * sliver<T>] = rounded[k];
            }
            if (end > features) { // the direction of zero rows
                const double zero = inverse == 0 ? 1.0 : 0.0;
                half_norm[start + lane] += centre_row(&zero, 1.0, centre + features, 1, rounded);
                out[(features - begin) * sliver<T>] = rounded[0];
            }
        }
    }
}

// Below this fraction of |r_p|^2 + |r_q|^2 the expanded form of |r_p - r_q|^2 has lost too many digits.
template <class T> constexpr T direct_below = sizeof(T) == 4 ? T(1) / 32 : T(1) / 128;

// Positive where the gap is accurate as it is.
template <class T>
FASTNTK_INLINE T margin(T gap, T half_norm_sum) {
    return abs(gap) - 2 * direct_below<T> * (gap >= 0 ? half_norm_sum : T(1));
}

template <class T>
Index input_gap(T half_norm_p, const T* __restrict half_norm_q, T* __restrict products, Index length,
                std::int32_t* flagged) {
    T close = 0; // how many; in T, so that the sum vectorises
#pragma omp simd reduction(+ : close)
    for (Index j = 0; j < length; ++j) {
        const T half_norm_sum = half_norm_p + half_norm_q[j];
        const T near = half_norm_sum - products[j];
        const T gap = near <= 1 ? near : near - 2;
        products[j] = gap;
        close += margin(gap, half_norm_sum) > 0 ? T(0) : T(1);
    }
    if (close == 0) return 0;
    Index count = 0;
    for (Index j = 0; j < length; ++j)
        if (!(margin(products[j], half_norm_p + half_norm_q[j]) > 0)) flagged[count++] = static_cast<std::int32_t>(j);
    return count;
}

// Half of |u_p - u_q|^2 and, past a right angle, of |u_p + u_q|^2, from differences of the coordinates
// themselves: exactly 0 for rows that are equal, or opposite, up to a power of two. The row of larger
// norm comes first, so that the result does not depend on which is p.
template <class In>
double direct_gap(const Rows<In>& x, Index p, const Rows<In>& y, Index q, Index features) {
    const bool swap = x.inverse_norm[p] > y.inverse_norm[q];
    const In* const a = swap ? y.data + q * y.stride : x.data + p * x.stride;
    const In* const b = swap ? x.data + p * x.stride : y.data + q * y.stride;
    const double inverse = min(x.inverse_norm[p], y.inverse_norm[q]);
    const double larger_inverse = max(x.inverse_norm[p], y.inverse_norm[q]);
    if (inverse == 0) return larger_inverse == 0 ? 0 : 1; // zero rows have a direction of their own
    const double ratio = larger_inverse / inverse;
    const bool comparable = ratio < 1e300;
    const auto half_square = [&](double sign) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (Index k = 0; k < features; ++k) {
            const double x_k = static_cast<double>(a[k]);
            const double y_k = static_cast<double>(b[k]);
            const double difference = comparable ? fma(-sign * ratio, y_k, x_k) * inverse
                                                 : x_k * inverse - sign * (y_k * larger_inverse);
            sum += difference * difference;
        }
        return 0.5 * sum;
    };
    const double gap = half_square(1.0);
    return gap <= 1 ? gap : -half_square(-1.0);
}

} // namespace fastntk::FASTNTK_ISA
