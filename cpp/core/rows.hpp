// What the engine needs to know of the input beforehand: O(n d) sums over rows, in float64.
#pragma once

#include "kernels.hpp"

namespace fastntk {

struct RowSummary {
    bool squarable; // every norm is a number whose square is one too
    bool nonzero;   // no row counts as zero
};

// Euclidean norms, free of overflow and underflow (NaN or inf where a row has one), and their inverses:
// 0 for rows that count as zero, too short for the inverse to be a number.
template <class In>
RowSummary row_norms(const In* data, Index stride, Index count, Index features, int threads, double* norms,
                     double* inverse);

// What rounding took from norms: |x|^2 / norm^2 - 1, within 1e-22; 0 of rows that count as zero.
template <class In>
void square_excess(const Rows<In>& rows, Index count, Index features, int threads, const double* norms, double* excess);

// Adds the unit vectors of every step-th row to sum (one past the features: the zero rows' own direction).
template <class In>
void add_unit_rows(const Rows<In>& rows, Index count, Index features, Index directions, Index step, double* sum);

} // namespace fastntk
