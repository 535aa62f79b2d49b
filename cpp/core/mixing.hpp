// Samples of several nodes each: the steps of a sequence, the nodes of a graph. They are rows one after the other, as many of
// each sample as it has, and what the engine knows as a sample elsewhere is a node here. Most ops act on pairs of nodes by
// themselves; what mixes the nodes of a sample acts on all pairs of two samples at once.
#pragma once

#include <vector>

#include "samples.hpp"

namespace fastntk {

struct Mix {
    enum class Kind {
        matrix, // K <- A K A'^T, Theta likewise
        window, // K <- mean over taps of K at both their sources, Theta likewise; what is outside is 0
        shift,  // K <- factor K + R, Theta <- factor Theta + R, R of two nodes table[|d|], d the difference of their codes
        pairs,  // attention by products of both samples, see MixedTile::attend
        recur   // z_t = sigma_w h_(t-1) + sigma_u x_t + sigma_b, h_t = phi(z_t); phi is the ops that come next, `inside` of them
    };
    Kind kind;
    std::vector<Index> starts; // behind it: of the nodes of each sample, and the number of all
    bool nonnegative = true;   // no weight is negative, of any sample of the whole: the programs of all have the same ops

    // The matrix, row by row: those of row r are from rows[r] to rows[r + 1]. Of shifts `columns` are the codes of the nodes of
    // the longest sample, which others have as far as they go, and `weights` the table. Of windows `columns` are the sources,
    // those of all nodes tap by tap, -1 outside.
    std::vector<Index> rows = {}, columns = {};
    std::vector<double> weights = {};
    std::vector<char> alike = {}; // of each row whether it and the next ones, `rows_alike` in all, have the same columns
    double factor = 1, scale = 1, bias = 0; // of pairs K' = scale <K^, V> K^ + bias
    bool shifts_values = false;             // of pairs: V is K^, not K
    Index taps = 0;
    std::size_t inside = 0;

    // Behind it, of all nodes: standard deviations, their inverses, which are 0 where they are, and variances. Of windows the
    // shares of all taps, a = s / (S sqrt taps) with S^2 the mean of their s^2, tap by tap.
    std::vector<double> behind = {};

    void see_alike();
};

// A row of a recurrence: shares of what is behind the step before, of what comes in, and of the bias, in z; a^2 + b^2 + c^2 = 1.
struct Recurrence {
    double a, b, c;
    const double *a_q, *b_q, *c_q;
    const double *before_gap, *before_ntk; // of the step before of both samples
    Index length;                          // whole slivers
};

// A row of pairs behind a window: of each tap the row of its source, and its share; of the others the places of the sources in
// these rows, and the shares, tap by tap, `length` numbers each. Where a share is 0 the source is any.
struct WindowRow {
    Index taps, length;
    const double *const *gap, *const *ntk;
    const double *a, *a_q;
    const Index* sources;
};

// Sums over nodes are rounded to about this part of what they would be without cancellation.
constexpr double rounding_of_sums = 8 * 2.220446049250313e-16;

// Some rows of a matrix. Those alike, as all of one sample are in attention, are multiplied together.
struct MatrixRows {
    Index count;
    const Index *rows, *columns;
    const char* alike;
    const double* weights;
};
constexpr Index rows_alike = 4;

// Some rows and columns of pairs of nodes, whole vectors of these. Of either side the standard deviations, behind a layer their
// inverses and the variances too.
struct NodePairs {
    Index rows, width, pitch;
    const double *s_p, *s_q;
    const double *r_p = nullptr, *r_q = nullptr, *v_p = nullptr, *v_q = nullptr;
};

struct MixKernels {
    Index lanes; // of a vector

    // Row r of the result is the sum of weights[k] times the row columns[k] - first of the input, for k from rows[r] to
    // rows[r + 1]; of `width` numbers, whole vectors.
    void (*rows)(const MatrixRows&, Index first, const double* in, Index pitch, Index width, double* out, Index out_pitch);
    // Of whole vectors in both directions.
    void (*transpose)(const double* in, Index pitch, Index rows, Index columns, double* out, Index out_pitch);
    // gap and ntk of what comes in, in place those of z.
    void (*recur)(const Recurrence&, double* gap, double* ntk);
    void (*window)(const WindowRow&, bool nonnegative, double* gap, double* ntk);
    // K and Theta of gaps, of pairs that begin there, and these in place of K and Theta: where a gap is as small as sums are
    // rounded it is 0. Without ntk, or theta, K and gaps alone.
    void (*covariances)(const NodePairs&, const double* gap, const double* ntk, double* k, double* theta, Index out_pitch);
    void (*from_covariances)(const NodePairs&, bool nonnegative, double* k, double* theta);
};

} // namespace fastntk
