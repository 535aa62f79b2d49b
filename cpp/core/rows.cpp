#include "rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "team.hpp"

namespace fastntk {
namespace {

template <class In>
double sum_of_squares(const In* row, Index features, double scale) {
    // Partial sums in a fixed order: vectorisable, more accurate than one, and the same everywhere.
    constexpr Index parts = 8;
    double sum[parts] = {};
    Index k = 0;
    for (; k + parts <= features; k += parts)
        for (Index i = 0; i < parts; ++i) {
            const double x = static_cast<double>(row[k + i]) * scale;
            sum[i] += x * x;
        }
    for (Index i = 0; k + i < features; ++i) {
        const double x = static_cast<double>(row[k + i]) * scale;
        sum[i] += x * x;
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

template <class In>
double norm(const In* row, Index features) {
    const double sum = sum_of_squares(row, features, 1.0);
    if (sum > 1e-270 && sum < 1e300) return std::sqrt(sum);
    double largest = 0;
    for (Index k = 0; k < features; ++k) {
        const double x = std::abs(static_cast<double>(row[k]));
        if (std::isnan(x)) return x;
        largest = std::max(largest, x);
    }
    if (largest == 0 || std::isinf(largest)) return largest;
    const int exponent = std::clamp(std::ilogb(largest), -1000, 1000);
    return std::ldexp(std::sqrt(sum_of_squares(row, features, std::ldexp(1.0, -exponent))), exponent);
}

} // namespace

template <class In>
RowSummary row_norms(const In* data, Index stride, Index count, Index features, int threads, double* norms,
                     double* inverse) {
    constexpr double work_per_number = 5; // it is read from memory
    constexpr double shortest = 1e-290;
    constexpr double longest = 1e154;
    const int threads_of_it = team(work_per_number * static_cast<double>(count * features), count, threads);
    std::atomic<bool> squarable = true; // no reduction: clang has none over what a lambda captures
    std::atomic<bool> nonzero = true;
    together(threads_of_it, [&] {
#pragma omp for schedule(static)
        for (Index i = 0; i < count; ++i) {
            norms[i] = norm(data + i * stride, features);
            inverse[i] = norms[i] < shortest ? 0 : 1 / norms[i];
            if (!(norms[i] < longest)) squarable.store(false, std::memory_order_relaxed);
            if (!(norms[i] >= shortest)) nonzero.store(false, std::memory_order_relaxed);
        }
    });
    return {squarable, nonzero};
}

// With x = h + t, h of 25 bits: sums of h^2 are exact, and those of t (2 h + t) are small.
template <class In>
void square_excess(const Rows<In>& rows, Index count, Index features, int threads, const double* norms, double* excess) {
    constexpr double to_multiple = 1.5 * (Index{1} << 27); // of 2^-25
    constexpr double work_per_number = 10;
    const int threads_of_it = team(work_per_number * static_cast<double>(count * features), count, threads);
#pragma omp parallel for schedule(static) num_threads(threads_of_it)
    for (Index i = 0; i < count; ++i) {
        excess[i] = 0;
        if (rows.inverse_norm[i] == 0) continue;
        const double scale = std::ldexp(1.0, -std::ilogb(norms[i]) - 1);
        const auto add = [&](double x, double& square, double& rest) {
            const double scaled = x * scale, head = (scaled + to_multiple) - to_multiple, tail = scaled - head;
            square += head * head;
            rest += tail * (2 * head + tail);
        };
        double square = 0, rest = 0, rounded = 0, rounded_rest = 0;
        const In* const row = rows.data + i * rows.stride;
        for (Index k = 0; k < features; ++k) add(static_cast<double>(row[k]), square, rest);
        add(norms[i], rounded, rounded_rest);
        excess[i] = ((square - rounded) + (rest - rounded_rest)) / rounded;
    }
}

template <class In>
void add_unit_rows(const Rows<In>& rows, Index count, Index features, Index directions, Index step, double* sum) {
    constexpr Index rows_at_once = 8; // added in their order, but the sum is loaded and stored once
    for (Index i = 0; i < count; i += rows_at_once * step) {
        const Index some = std::min(rows_at_once, (count - i + step - 1) / step);
        const In* row[rows_at_once];
        double inverse[rows_at_once] = {};
        for (Index r = 0; r < rows_at_once; ++r) {
            const Index which = i + std::min(r, some - 1) * step;
            row[r] = rows.data + which * rows.stride;
            if (r < some) inverse[r] = rows.inverse_norm[which];
            if (r < some && directions > features && inverse[r] == 0) sum[features] += 1;
        }
        for (Index k = 0; k < features; ++k) {
            double total = sum[k];
            for (Index r = 0; r < rows_at_once; ++r) total += static_cast<double>(row[r][k]) * inverse[r];
            sum[k] = total;
        }
    }
}

template RowSummary row_norms(const float*, Index, Index, Index, int, double*, double*);
template RowSummary row_norms(const double*, Index, Index, Index, int, double*, double*);
template void square_excess(const Rows<float>&, Index, Index, int, const double*, double*);
template void square_excess(const Rows<double>&, Index, Index, int, const double*, double*);
template void add_unit_rows(const Rows<float>&, Index, Index, Index, Index, double*);
template void add_unit_rows(const Rows<double>&, Index, Index, Index, Index, double*);

} // namespace fastntk
