// The contract between the engine (cpp/core) and the arithmetic (cpp/isa): plain structs and
// function pointers, filled once per instruction set. Nothing here may need a standard library.
#pragma once

#include <cstdint>

#include "plane_kernels.hpp"
#include "samples.hpp"

namespace fastntk {

// The state of a pair of samples (p, q) at a node of the network is
//   gap  the signed gap: 1 - rho where rho >= 0, and -(1 + rho) where rho < 0 (then with the sign bit
//        set, -0.0 for exact antipodes), so that both ends of the range keep their relative accuracy;
//   ntk  Theta / (s_p s_q), with s the standard deviation of a sample at that node.
// An op maps the state of a strip of pairs (one p, many q) from one node to the next.
enum class OpCode : std::int32_t {
    dense,            // K <- sigma_b^2 + sigma_w^2 K, Theta <- K + sigma_w^2 Theta
    dense_bias_free,  // the same with sigma_b = 0: the gap stays
    offset,           // K <- K + constant, Theta stays: the mean of an activation, or a bias that is not trained
    piecewise_linear, // slopes a (x < 0) and b (x > 0); parameter (a-b)^2/(a^2+b^2)
    step,
    sign,
    rectified_square, // parameter: the gain of the derivative, 4/3
    rectified_cube,   // parameter: the gain of the derivative, 9/5
    erf,
    sinusoid,
    gaussian,
    gelu,
    smoothed_relu,
    gabor,
    expansion,
    pieces,
    univariate,
    dense_standard, // K as dense, Theta <- units K + (1 with a bias) + sigma_w^2 Theta
    centre,         // K <- K - mean mean', Theta stays
    dropout,        // K, Theta of different samples relative to those of equal ones; parameter: the part that is kept
    hidden,                   // dense(piecewise_linear)
    hidden_bias_free,         // and with dense_bias_free
    residual_block,           // what comes in + hidden
    residual_block_bias_free, // and with dense_bias_free
    count,
    // Not maps of one state: of what was kept of two parts of a strip
    add,      // K <- sum of both, Theta likewise
    multiply, // K <- product of both
    // In cpp/core, not of the arithmetic
    save,
    load,
    quadrature,
    window,  // of positions
    average, // the state of what was averaged, from covariances
    mix      // of nodes, see mixing.hpp
};

// Sizes that Python decides and the arithmetic has arrays for; whoever builds a program checks them (computed.hpp).
// The step from one exponent of a series (series.hpp) to the next is of level 0, 1, or of level l > 0, up to
// `most_multiples` times 2^(l - 1).
constexpr int most_levels = 26, most_multiples = 10;
constexpr Index series_columns = 8; // parameters of a term of a series
constexpr Index kink_tables = 11;   // of one threshold (pieces.hpp)
constexpr Index most_orders = 64;   // coefficients of a kind in an expansion of phi itself
constexpr Index mehler_parameters = 7 + most_orders / 4 + 1;

// What an op sees of the samples: per-op scalars, and tables with one number per sample.
template <class T>
struct StripArguments {
    const T* parameters; // the op's scalars
    const T* p;          // the table entries of sample p
    const T* q;          // the first table of the samples q; table k starts at q + k * q_stride
    Index q_stride;
    Index length;        // number of pairs, of whole vectors
    Index values = 0;    // in gradients: tables of values, which as many of their derivatives with respect to log q follow
};

template <class T>
using OpFunction = void (*)(const StripArguments<T>&, T* gap, T* ntk);

// The other part of a sum or product, and the one in hand, which the whole takes the place of.
template <class T>
using PartsFunction = void (*)(const StripArguments<T>&, const T* other_gap, const T* other_ntk, T* gap, T* ntk);

// The gradient of an op: the derivatives of the state in some parameters, along with the state itself. Of an op with
// tables, those after the values and their derivatives are d log q / d parameter k; a Dense layer has its own.
struct GradientArguments {
    StripArguments<double> strip;
    Index directions;   // the first ones, that reach this op
    double* gap_slopes; // of pair j in direction k at [k * stride + j]
    double* ntk_slopes; // nullptr if not wanted
    Index stride;
    bool along_inputs = false; // directions: the gap at the input; log q there of sample p; of the samples q
    double* second = nullptr;  // second derivatives of the gap, likewise, if wanted: see cpp/isa/second_derivatives.hpp
};
using GradientFunction = void (*)(const GradientArguments&, double* gap, double* ntk);

// The other part of a strip, of pair j in direction k at [k * stride + j].
struct OtherPart {
    const double *gap, *ntk, *gap_slopes, *ntk_slopes;
    Index stride;
    double* second = nullptr; // read only
};
using PartsGradient = void (*)(const GradientArguments&, const OtherPart& other, double* gap, double* ntk);

// Rows of the input as the user gave them (In = float or double) with what normalises them.
template <class In>
struct Rows {
    const In* data;
    Index stride;               // elements between rows; features are contiguous
    const double* inverse_norm; // 0 marks a zero row
};

// Which strips of pairs a set of kernels distinguishes: rho >= 0 known for every pair, Theta wanted.
constexpr int op_variants = 4;
constexpr int op_variant(bool nonnegative, bool with_ntk) {
    return (nonnegative ? 2 : 0) + (with_ntk ? 1 : 0);
}

// Of the pairs of one sample with others: weights, gaps of the input, and derivatives along the gap (times its weight afterwards),
// log q of the sample, and log q of the others (or nullptr).
struct WeightedRow {
    const double *weights, *gaps;
    double *along;
    const double *own, *own_columns;
    Index length;
};

// Two rows, more alike or more opposite, up to their lengths.
template <class In>
struct RowPair {
    const In *u, *v;
    double inverse_u, inverse_v; // of their norms; 0 of a zero row
    bool opposite;
    Index features;
};
template <class In> // clang deduces those of an aggregate only from 17 on
RowPair(const In*, const In*, double, double, bool, Index) -> RowPair<In>;

// Packed rows of a product a b^T.
template <class T>
struct PackedPair {
    const T *a = nullptr, *b = nullptr;
};

template <class T>
struct Kernels {
    // Packed rows come in slivers of this many rows, stored feature by feature: [feature][row].
    Index sliver;

    // Unit rows minus the centre, rounded to T: features [begin, end) of `rows` rows starting at
    // `first`, padded with zero rows to whole slivers. Adds half the squared norms to half_norm.
    // Feature `features` (one past the data), if asked for, is 1 for zero rows, 0 for others.
    void (*pack_float)(const Rows<float>&, Index first, Index rows, Index features, Index begin,
                       Index end, const double* centre, T* packed, double* half_norm);
    void (*pack_double)(const Rows<double>&, Index first, Index rows, Index features, Index begin,
                        Index end, const double* centre, T* packed, double* half_norm);

    // c = (or +=) a b^T for packed a and b of `depth` features; c has row stride ldc, and room for whole slivers of rows.
    // The factors of the next product of that size, if there is one, come nearer meanwhile.
    void (*product)(Index a_rows, Index b_slivers, Index depth, const PackedPair<T>& now, const PackedPair<T>& next, T* c,
                    Index ldc, bool accumulate);

    // Inner products -> signed gaps, in place. Writes to `flagged` the positions of the pairs so close
    // to a duplicate or an antipode that their gap has to come from the rows themselves; returns how many. In whole slivers.
    Index (*input_gap)(T half_norm_p, const T* half_norm_q, T* products, Index length, std::int32_t* flagged);
    double (*direct_gap_float)(const Rows<float>&, Index p, const Rows<float>&, Index q, Index features);
    double (*direct_gap_double)(const Rows<double>&, Index p, const Rows<double>&, Index q, Index features);

    OpFunction<T> ops[static_cast<int>(OpCode::count)][op_variants];
    PartsFunction<T> add[op_variants], multiply[op_variants];

    // K = s_p s_q rho (over gap) and Theta = s_p s_q ntk, in place, of whole vectors.
    void (*finish)(T scale_p, const T* scale_q, T* gap, T* ntk, Index length);

    // out[r, c] = tile[r, c], or out[c, r] = tile[r, c]; streaming stores go past the caches. The tile is
    // readable (not meaningful) up to whole slivers in both directions.
    using Write = void (*)(const T* tile, Index stride, Index rows, Index columns, T* out, Index out_stride,
                           bool streaming);
    Write write_tile;
    Write write_tile_transposed;

    // Adds to out[j][r] the sum over c of block[r][c] v[j][c], or to out[j][c] that over r of block[r][c] v[j][r], for
    // `width` vectors j; in double.
    using Times = void (*)(const T* block, Index stride, Index rows, Index columns, const double* v, Index v_stride,
                           Index width, double* out, Index out_stride);
    Times block_times;
    Times block_transposed_times;

    PlaneKernels<T> planes;
};

struct MixKernels; // mixing.hpp

struct KernelSet {
    const char* name;
    const SampleKernels* samples;
    const MixKernels* mixing;
    const Kernels<float>& f32;
    const Kernels<double>& f64;
    GradientFunction gradients[static_cast<int>(OpCode::count)]; // nullptr: the op has none
    PartsGradient add_gradient, multiply_gradient;
    // d K (of gap and its slope) or d Theta in one direction, given d log K(x, x) of both samples; in place of the slope.
    void (*finish_gap_slope)(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* gap,
                             double* slope, Index length);
    void (*finish_ntk_slope)(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* ntk,
                             double* slope, Index length);
    // Second derivatives of K along the inputs, in place of those of the gap, given its first ones.
    void (*finish_second)(double scale_p, const double* scale_q, double log_p, const double* log_q, const double* gap,
                          const double* gap_slopes, double* second, Index stride, Index length);
    double (*dot)(const double* x, const double* y, Index length);
    // Adds to `own` of the sample, and to those of the others, what goes along the rows themselves, see input_gradient.hpp. Returns
    // how many pairs are near a duplicate or an antipode, and writes to `flagged` which.
    Index (*weigh_inputs)(const WeightedRow&, double* own, double* own_columns, std::int32_t* flagged);
    // out += factor times what of the unit row v is at a right angle to u; with room for a row.
    void (*add_tangent_float)(const RowPair<float>&, double factor, double* room, double* out);
    void (*add_tangent_double)(const RowPair<double>&, double factor, double* room, double* out);
    void (*hermite_functions)(const double* z, const double* psi_0, Index count, const std::int64_t* orders,
                              Index order_count, double* out, Index stride);
};

namespace baseline { extern const KernelSet kernels; extern const MixKernels mix_kernels; }
namespace avx2 { extern const KernelSet kernels; extern const MixKernels mix_kernels; }
namespace avx512 { extern const KernelSet kernels; extern const MixKernels mix_kernels; }

} // namespace fastntk
