// Products of matrices by the micro-kernel, on the threads of the engine: those of a BLAS would wait for its threads to rest.
#pragma once

#include <functional>

#include "request.hpp"

namespace fastntk {

// A matrix times rows of numbers: out += a v, of a matrix of any strides with v and out by rows of `width` numbers. Same bits for any
// number of threads. Gives up where stopped() says so.
struct RowProduct {
    MatrixView<const double> a;
    Index rows, depth;
    const double* v;
    Index width;
    double* out;
};
void add_product(const RowProduct& product, const Kernels<double>& kernels, int threads, const std::function<bool()>& stopped);

} // namespace fastntk
