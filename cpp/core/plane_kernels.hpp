// The contract between the engine of planes (cpp/core/plane_stage.hpp) and its arithmetic (cpp/isa/planes.hpp), as
// kernels.hpp.
//
// A strip is one pair of positions (p, q) of one sample x, at p, and `lanes` others x', at q. Between the ops of
// activations its state is the signed gap and Theta / (s s'), as everywhere; within a convolution it is
//   near = |u - u'|^2, far = |u + u'|^2 and Theta,
// with u the feature vector of a sample at a position: these add up over the taps, without cancellation, and
//   near = 2 s s' (1 - rho) + (s - s')^2,   far = 2 s s' (1 + rho) + (s - s')^2.
#pragma once

#include "samples.hpp"

namespace fastntk {

// Rows of strips: of entry j of row r the positions row_p[r] + p[j] and row_q[r] + q[j]. Numbers of x are [position],
// those of x' are [position][lane]; or, of samples paired with themselves, both are [position][lane].
struct Strips {
    Index rows;
    const Index *row_p, *row_q;
    Index count;
    const Index *p, *q;
    Index lanes;
};

// What a window reads, or its sums along the rows: of each the numbers of a row, and of the next one `pitch` further.
template <class T>
struct Fields {
    T *near, *far, *theta; // nullptr where they are not wanted
    Index pitch;
};

// Of outputs the entries [taps] that they are the sum of; taps of -1 are none. Those of runs[j] outputs from j on are
// next to each other.
struct Taps {
    const Index *taps, *runs;
    Index outputs, count;
};

// K' = weight (sum of the taps of K) + sigma_b^2, Theta' = weight (sum of Theta) + own rho' s s' + own_bias.
template <class T>
struct LinearForm {
    T weight, sigma_b, own, own_bias;
};

// Behind a window: standard deviations and their inverses, 0 where they are 0, in units of each sample: its scale is
// one over that. What near, far and Theta are is in units of both samples too.
template <class T>
struct Deviations {
    const T *p, *inverse_p, *q, *inverse_q;
    const T *scale_p, *scale_q; // one number, or one a lane
};

// A tap of one strip: what of it is outside has no deviation; of a pair that is inside the gap; at the input the
// features.
template <class T>
struct Tap {
    const T *p, *q, *gap;
};

template <class T>
struct PlaneKernels {
    // The variants of a function: [samples paired with themselves].

    // near and far of the input, of features [position][channel] and [position][channel][lane].
    void (*input[2])(const Strips&, Index channels, const T* p, const T* q, const Fields<T>&);
    // near, far and Theta from the state, whose rows are one after the other.
    void (*open[2])(const Strips&, const T* p, const T* q, const T* gap, const T* ntk, const Fields<T>&);
    // near = far = s^2 and Theta = 0, of pairs of which one position is outside: in each row at x[j] behind its start,
    // -1 where both are. Of s one number a position, or one a lane.
    void (*half)(const T* deviation, bool one, Index rows, const Index* starts, Index count, const Index* x,
                 Index lanes, const Fields<T>&);
    // Of each row the sums of strips.
    void (*sum)(const Taps&, Index rows, Index lanes, const Fields<T>& source, const Fields<T>& out);
    // The state behind a window: of row r from the sums of counts[r] rows, taps[r][.]. Writes to `flagged` the strips
    // in which a gap lost digits.
    Index (*close[2])(const Strips&, const LinearForm<T>&, const Deviations<T>&, const Fields<T>& rows,
                      const Index* taps, const Index* counts, Index most_taps, T* gap, T* ntk, Index* flagged);
    // Of one strip, where digits were lost, the gap from those of the taps: without cancellation.
    void (*direct)(const Tap<T>* taps, Index count, bool self, Index lanes, bool nonnegative, const LinearForm<T>&,
                   const Deviations<T>&, T* gap, T* ntk);
    // Likewise, of features.
    void (*direct_input)(const Tap<T>* taps, Index count, Index channels, bool self, Index lanes, const LinearForm<T>&,
                         const Deviations<T>&, T* gap, T* ntk);
    // K and Theta, in double.
    void (*covariances[2])(const Strips&, const T* p, const T* q, const T* gap, const T* ntk, double* k, double* theta);
    // The state of averages row_weight[r] weight[j] K, and of Theta; variances beside the deviations.
    void (*from_covariances[2])(const Strips&, bool nonnegative, const double* row_weight, const double* weight,
                                const Deviations<T>&, const T* variance_p, const T* variance_q, const double* k,
                                const double* theta, T* gap, T* ntk);
    // Of each row of doubles, `pitch` apart, the sums of strips, or those added to what there is.
    void (*sum_wide)(const Taps&, Index rows, Index lanes, const double* source, Index pitch, double* out,
                     Index out_pitch, bool accumulate);
};

} // namespace fastntk
