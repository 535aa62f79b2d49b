// Kernels with their derivatives in the parameters of a program that was made for them, in one pass over the pairs.
#pragma once

#include "request.hpp"

namespace fastntk {

// Where the derivatives of one kernel go: a matrix for each direction, or their inner products with given weights.
struct Slopes {
    bool wanted = false;
    MatrixView<double> matrices; // of the first direction
    Index direction_stride = 0;
    MatrixView<const double> weights; // instead of matrices; in a symmetric request of all pairs, both ways
    double* sums = nullptr;           // one number for each direction
    MatrixView<double> second;        // of K: four matrices, likewise, see cpp/isa/second_derivatives.hpp
};

// Ops without a gradient must not be in the program. Same bits for any number of threads.
void compute_gradient(const Request<double>& request, const Slopes& nngp, const Slopes& ntk, const KernelSet& kernels,
                      int threads, Monitor& monitor);

} // namespace fastntk
