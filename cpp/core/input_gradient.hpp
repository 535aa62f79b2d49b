// The derivative of the sum of weights times a kernel in the input rows, in one pass over the pairs.
//
// K depends on the gap of a pair and on log |x|^2 and log |y|^2 (program.hpp: along_inputs), and with unit rows u, v
//     gap = 1 - |u.v|, with its sign:   d gap / dx = -(v - (u.v) u) / |x|,   d log |x|^2 / dx = 2 u / |x|.
// So |x_i| times the derivative is  own_i u_i - sum_j along_ij v_j = own_i u_i - pull_i, where pairs near a duplicate or an
// antipode, along which K may be steep, come by differences of their rows.
#pragma once

#include "request.hpp"

namespace fastntk {

struct InputSlopes {
    // Of rows of pairs, or of columns: unit rows, and what is added to; nullptr where they are not wanted.
    struct Side {
        const double* unit; // rows of `features` numbers
        double *own, *pull; // likewise
    };

    bool ntk;                                 // of Theta, not of K
    MatrixView<const double> weights;         // in a symmetric request of all pairs, both ways
    MatrixView<const double> further_weights; // those of the pairs turned round, that add to them, if there are any
    double* along;                            // room for a number of each pair
    Side rows, columns;
};

// A program of input directions has first the samples of the rows, then, in a symmetric request once more, those of the columns.
// Same bits for any number of threads.
void compute_input_gradient(const Request<double>& request, const InputSlopes& slopes, const KernelSet& kernels, int threads,
                            Monitor& monitor);

// The derivative of every entry of a kernel in its row: out[row][column][feature], given |x| of the rows that derivatives are
// to be divided by.
void compute_input_slopes(const Request<double>& request, bool ntk, const double* norms, double* out, const KernelSet& kernels,
                          int threads, Monitor& monitor);

} // namespace fastntk
