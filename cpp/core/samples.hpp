// The contract between a program (cpp/core) and the arithmetic of single samples (cpp/isa/samples.cpp): what is followed
// of each, K(x, x) and Theta(x, x), and what ops need of it. Plain structs and function pointers, as kernels.hpp.
//
// Layers and closed forms are computed in more than the precision of the kernel, whatever that is: an error made here would
// repeat in every layer. What Python computes of an activation is rounded to double, once a layer.
#pragma once

#include <cstddef>

namespace fastntk {

using Index = std::ptrdiff_t;

// A number of every sample, as the sum of two doubles.
struct WideNumbers {
    double *high, *low;
};

// The same beyond the range of double too, where power is not 0: (high + low) 2^power. Then high is from 1 to 2.
struct ScaledNumbers {
    double *high, *low, *power;
};

// Of samples [begin, end).
struct Diagonals {
    Index begin, end;
    ScaledNumbers variance, ntk;
};

// A Dense layer: K <- sigma_b^2 + sigma_w^2 K and Theta <- sigma_w^2 Theta, plus K if it is trainable. With a bias K is that
// of the features, and one more: a^2 and b^2 are their shares, a^2 + b^2 = 1.
struct DenseArguments {
    Diagonals samples;
    double sigma_w, sigma_b;
    bool trainable;
    WideNumbers a, b; // written if sigma_b is not 0
};

// Tables of such a layer, of `stride` numbers each: a; t = b / (1 + a), rounded to a multiple of 1/256; the rest of t.
//
// In a deep network a converges, and would be rounded the same way in every layer. So it is rounded such that its product over
// the layers so far is kept: `carried` is exact product / product of rounded numbers, less 1.
template <class T>
struct ShareArguments {
    Index begin, end;
    WideNumbers a, b;
    double* carried;
    T* tables;
    Index stride;
};

// d log K(x, x) in a direction, `slope`, through a Dense layer whose parameters it moves: in place, and of a layer with bias
// the derivatives of a and b/sqrt 2 too, if they are wanted.
struct DenseSlopeArguments {
    Diagonals samples; // after the layer
    double sigma_w, sigma_b, moved_w, moved_b;
    WideNumbers a, b;        // nullptr without bias
    WideNumbers slope;
    double *a_slope, *b_slope;
};

// Closed forms of F(q, q), F'(q, q) and tables: cpp/isa/closed_forms.hpp.
enum class ClosedForm {
    piecewise_linear,
    step,
    rectified_square,
    rectified_cube,
    sign,
    erf,
    sinusoid,
    snake,
    rbf,
    exponential,
    exponential_normalized,
    gaussian,
    gelu,
    smoothed_relu,
    gabor,
    count
};

// Numbers that a closed form may have.
constexpr int activation_parameters = 4;

// An activation: Theta <- F'(K) Theta, K <- F(K), and its tables, [table][sample] with `stride` numbers each.
struct ActivationArguments {
    Diagonals samples;
    const double* parameters; // activation_parameters of them
    // In units of its own the tables of smaller variances are those of `smallest`; that of a sample with a table beyond
    // `largest`, or with a variance beyond `largest_variance` in those units, is infinite from here on.
    double smallest, largest, largest_variance;
    double *tables, *tables_low;   // the latter may be nullptr
    Index stride;
    double* slopes;   // derivatives of the tables with respect to log q, and
    WideNumbers elasticity; // that of log F(q, q); nullptr if they are not wanted
};

// Of a closed form at q = 1: F(q, q) = 0, F'(q, q) = 0.
struct Vanishing {
    bool variance, slope;
};

struct NodeKernels; // nodes.hpp

struct SampleKernels {
    const NodeKernels* nodes;

    // q = norm^2 / features; q itself where features = 0.
    void (*input)(const Diagonals&, const double* norms, Index features);
    void (*dense)(const DenseArguments&);
    void (*shares_float)(const ShareArguments<float>&);
    void (*shares_double)(const ShareArguments<double>&);
    void (*dense_slope)(const DenseSlopeArguments&);

    using Activation = void (*)(const ActivationArguments&);
    Activation activations[static_cast<int>(ClosedForm::count)][2]; // the second with slopes
    Vanishing (*vanishing[static_cast<int>(ClosedForm::count)])(const double* parameters);

    // Of all samples, Theta <- slope K^power Theta, K <- variance K^power, computed elsewhere. The powers of K, then those of
    // Theta; nullptr if all are 0.
    void (*assign)(const Diagonals&, const double* variance, const double* slope, const double* powers);
    void (*times)(Index begin, Index end, const WideNumbers& x, const WideNumbers& y); // x <- x y

    // Of samples with K > 0 and Theta `nonzero`: where Theta / K is below `least` faint becomes 1, where it is beyond `most`
    // Theta becomes infinite.
    void (*check_ntk)(const Diagonals&, double least, double most, const unsigned char* nonzero, unsigned char* faint);

    // (a - b)^2 / (a^2 + b^2); 0 where both are.
    double (*bend)(double a, double b);

    // The nearest doubles, infinite or 0 beyond their range; and those of the square roots.
    void (*rounded)(Index begin, Index end, const ScaledNumbers&, double* out);
    void (*root)(Index begin, Index end, const ScaledNumbers&, double* out);

    // 1 - |c| / sqrt(q1 q2) with the sign of c: 1 where q1 q2 = 0, minus infinity where c is not.
    void (*gaps)(Index count, const double* c, const double* q1, const double* q2, double* out);
    // 1 / sqrt(q1 q2).
    void (*inverse_lengths)(Index count, const double* q1, const double* q2, double* out);
    // value_i sqrt(x_i x_(count + i)).
    void (*scale_pairs)(Index count, const ScaledNumbers& x, double* values);

    // For the tests: function number `which` of x, or of x and y; false if there is none.
    bool (*double_double)(int which, Index count, const WideNumbers& x, const WideNumbers& y);
};

namespace baseline { extern const SampleKernels sample_kernels; }
namespace avx2 { extern const SampleKernels sample_kernels; }
namespace avx512 { extern const SampleKernels sample_kernels; }

} // namespace fastntk
