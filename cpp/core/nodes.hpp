// The contract between a program (cpp/core) and the arithmetic of single samples where branches meet and units are
// normalised (cpp/isa/nodes.cpp). As samples.hpp.
#pragma once

#include "samples.hpp"

namespace fastntk {

// Two parts of a node: those of the first become those of the whole. The shares of each, a^2 + b^2 = 1, are roots of parts of K.
struct PartsArguments {
    Diagonals samples;
    ScaledNumbers variance, ntk; // of the second part
    WideNumbers a, b;            // written by a sum; 0.5 is the square of both where K is 0
};

// Tables of a sum: those of a layer; b. As those of ShareArguments, each relative to what is carried along its part; the first
// comes to be that of the whole.
template <class T>
struct PartTablesArguments {
    Index begin, end;
    WideNumbers a, b;
    double* carried;
    const double* carried_b;
    T* tables;
    Index stride;
};

// K - mu^2 in place of K, and the roots of both parts of K: a of what is left, b = mu / sqrt K.
struct CentreArguments {
    Diagonals samples;
    ScaledNumbers mean;
    WideNumbers a, b; // 1, 0 where K is 0
};

// A Dense layer in the standard parametrisation: as DenseArguments, but Theta' = inputs K + bias + sigma_w^2 Theta. Its
// tables beyond the shares are w = sqrt(inputs K / K') and v = sqrt(bias / K').
struct StandardArguments {
    Diagonals samples;
    double sigma_w, sigma_b, inputs, bias;
    WideNumbers a, b;
    double *w, *v;
};

struct NodeKernels {
    void (*add)(const PartsArguments&);
    void (*multiply)(const PartsArguments&);
    void (*part_tables_float)(const PartTablesArguments<float>&);
    void (*part_tables_double)(const PartTablesArguments<double>&);
    void (*centre)(const CentreArguments&);
    void (*standard)(const StandardArguments&);

    // K, Theta <- factor K, factor Theta.
    void (*scale)(const Diagonals&, double factor);
    // K, Theta <- K / (K + eps), Theta / (K + eps); kept is eps / (K + eps). Where K + eps is 0, 0.
    void (*normalise)(const Diagonals&, double eps, double* kept);

    // E[phi(sqrt(q) z)] of a closed form, and its derivative in log q.
    using Mean = void (*)(Index begin, Index end, const double* parameters, const ScaledNumbers& q, const ScaledNumbers& mean,
                          double* slope);
    Mean means[static_cast<int>(ClosedForm::count)];
    // x <- x + factor y, and x <- x y.
    void (*add_numbers)(Index begin, Index end, const ScaledNumbers& x, double factor, const ScaledNumbers& y);
    void (*multiply_numbers)(Index begin, Index end, const ScaledNumbers& x, const ScaledNumbers& y);

    // Of numbers >= 0, one after the other: x <- sum of some, that may be x itself, / divisor; x <- x / (y + eps), 0 where that is 0.
    void (*sum)(Index count, const ScaledNumbers& x, const ScaledNumbers* terms, Index term_count, double divisor);
    void (*divide_numbers)(Index count, const ScaledNumbers& x, const ScaledNumbers& y, double eps);
};

namespace baseline { extern const NodeKernels node_kernels; }
namespace avx2 { extern const NodeKernels node_kernels; }
namespace avx512 { extern const NodeKernels node_kernels; }

} // namespace fastntk
