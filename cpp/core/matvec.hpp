// Products of kernel matrices with vectors: of one that is never stored, and of one in memory. Sums are in double.
#pragma once

#include "request.hpp"

namespace fastntk {

// Vectors of K V and K^T U, one after the other; left and backward are nullptr where K^T U is not wanted, right and forward
// where K V is not. A symmetric request has K V alone.
struct Factors {
    Index width = 0;              // number of vectors
    const double* right = nullptr; // [vector][column of K]
    double* forward = nullptr;     // [vector][row of K]
    const double* left = nullptr;  // [vector][row of K]
    double* backward = nullptr;    // [vector][column of K]
};

// K is the NNGP or the NTK of the request, whose own outputs are not used. Same bits for any number of threads. Takes 32 MiB
// or 100 kB a vector, whichever is more, beside the scratch of the engine.
template <class T>
void kernel_times(const Request<T>& request, bool is_ntk, const Factors& factors, const Kernels<T>& kernels, int threads,
                  Monitor& monitor);

// out = block v, or block^T v; [vector][row], [vector][column].
template <class T>
void matrix_times(const T* matrix, Index stride, Index rows, Index columns, bool transposed, const double* v, Index width,
                  double* out, const Kernels<T>& kernels, int threads);

} // namespace fastntk
