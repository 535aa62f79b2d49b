// What the engine is asked for: rows of samples, a compiled network, and where to write.
// Everything is a view; whoever calls keeps it alive. All checks were made before it got here.
#pragma once

#include <variant>

#include "program.hpp"

namespace fastntk {

template <class T>
class Prepared;

// Rows as given (float or double), and where theirs are among the samples of the program that has their tables. Samples that
// were prepared are those of a program of their own.
template <class T>
struct Samples {
    std::variant<Rows<float>, Rows<double>> rows;
    Index count = 0;
    Index first = 0;
    const Program<T>* program = nullptr;
    const Prepared<T>* prepared = nullptr;
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
    Samples<T> x;
    Samples<T> y;         // ignored if symmetric; of the same program as x, or prepared by one of the same ops
    bool symmetric = false;
    Index features = 0;   // columns of the input
    Index directions = 0; // features, plus one if there are zero rows
    const double* centre = nullptr; // of `directions`
    MatrixView<T> nngp;
    MatrixView<T> ntk;
};

template <class T>
bool is_empty(const Request<T>& request) {
    return request.x.count == 0 || (!request.symmetric && request.y.count == 0);
}

// Told now and then how far the work is, by the thread that called the engine.
class Monitor {
public:
    virtual ~Monitor() = default;
    // Returns false to give up: the engine then stops within milliseconds, its output unfinished.
    virtual bool report(double done_fraction) = 0;
};

} // namespace fastntk
