// What Python computed of each sample for an op without closed form, and the checks of its sizes: the arithmetic
// (cpp/isa) has arrays of fixed size and trusts what it is given.
#pragma once

#include <vector>

#include "kernels.hpp"

namespace fastntk {

struct Computed {
    std::vector<double> parameters; // of the op
    const double* tables;           // [table][sample]
    Index table_count;
    const double* variance; // F(q, q) and F'(q, q),
    const double* slope;    // without powers of q
    const double* powers = nullptr;       // of each sample, those of F, then those of F'; nullptr if all are 0
    const double* table_slopes = nullptr; // for gradients: derivatives of the tables with respect to log q
    const double* elasticity = nullptr;   // and that of log F(q, q)
};

// They throw std::invalid_argument.
void check_expansion(const Computed& computed); // cpp/isa/series.hpp
Index check_pieces(const Computed& computed);   // cpp/isa/pieces.hpp; how many of the tables are in wide_parts

} // namespace fastntk
