// What the engine is asked for: rows of samples, a network as a flat program of ops, and where to write.
// Everything is a view; whoever calls keeps it alive. All checks were made before it got here.
#pragma once

#include <variant>
#include <vector>

#include "kernels.hpp"

namespace fastntk {

// Rows as given (float or double), and which entries of the per-sample tables are theirs.
struct Samples {
    std::variant<Rows<float>, Rows<double>> rows;
    Index count = 0;
    Index first = 0;
};

// One op of a network and the numbers it needs of each sample, as a matrix [table][sample].
template <class T>
struct Op {
    OpCode code = OpCode::count;
    bool nonnegative = false; // rho >= 0 for every pair that reaches this op
    const T* parameters = nullptr;
    const T* tables = nullptr;
    Index table_count = 0;
    Index table_stride = 0;
};

template <class T>
struct Program {
    std::vector<Op<T>> ops;
    const T* scale = nullptr; // the standard deviation of the output at each sample
};

// A writable matrix with any strides, in elements; data == nullptr where it is not wanted.
template <class T>
struct MatrixView {
    T* data = nullptr;
    Index row_stride = 0;
    Index column_stride = 0;
};

template <class T>
struct Request {
    Program<T> program;
    Samples x;
    Samples y;            // ignored if symmetric
    bool symmetric = false;
    Index features = 0;   // columns of the input
    Index directions = 0; // features, plus one if there are zero rows
    const double* centre = nullptr; // of `directions`
    MatrixView<T> nngp;
    MatrixView<T> ntk;
};

// Told now and then how far the work is, by the thread that called the engine.
class Monitor {
public:
    virtual ~Monitor() = default;
    // Returns false to give up: the engine then stops within milliseconds, its output unfinished.
    virtual bool report(double done_fraction) = 0;
};

} // namespace fastntk
