// Kernels of samples with positions, plane by plane: no array over all pairs of positions exists.
//
// A network is stages with averages between them. A plane runs through a stage by itself; an average takes several to
// each of those behind it, which runs on as soon as all have come: only those on their way are kept.
#pragma once

#include "engine.hpp"
#include "plane_stage.hpp"

namespace fastntk {

// An average over windows of positions: of an output position along an axis the weight of every term.
struct Pool {
    Window window;
    std::vector<std::vector<double>> weights;
};

// Planes of one axis of a stage, and of each the planes behind the average that its pairs go to.
struct AxisLink {
    std::size_t target;
    Index tap_count;
    std::vector<Index> taps; // of each pair there those here, or -1
};
struct StagePlanes {
    std::array<std::vector<AxisPlane>, most_axes> axes;
    std::array<std::vector<std::vector<AxisLink>>, most_axes> links;
    std::array<std::vector<Pairs>, most_axes> behind;   // pairs behind the average, of each plane there
    std::array<std::vector<Index>, most_axes> expected; // how many planes go to each of those
    PlaneSize size;
    double work = 0;                 // of a pair, in multiply-adds
    Index sums = 0, most_behind = 0; // strips of the largest row-wise sums of an average, and of a plane behind it
};

template <class T>
class PlaneNetwork {
public:
    // The programs of some samples, one a stage; the averages between them, and one more where the network ends in one.
    PlaneNetwork(const Program<T>& first, const std::vector<const Program<double>*>& later, std::vector<Pool> pools,
                 const Lengths& positions, Index channels);

    bool ends_in_average() const { return pools.size() == stage_count(); }
    std::size_t stage_count() const { return 1 + later.size(); }

    // Lanes such that a plane stays in a cache of a core.
    Index lanes() const;
    // Bytes that a thread takes for one plane each.
    double scratch() const;
    // Of a sample, in numbers of T.
    Index numbers() const;
    // Of a pair, in multiply-adds.
    double work() const;
    // Whether the lanes may have any pairs of samples, not one sample with others: ops with tables do not.
    bool takes_any_pairs() const;

    Stage<T> first;
    std::vector<Stage<double>> later;
    std::vector<Pool> pools;
    std::vector<StagePlanes> planes; // of each stage
    Index channels;
};

// Samples as a network reads them.
template <class T>
struct PlaneSide {
    PlaneSide(const PlaneNetwork<T>& network, const Program<T>& program,
              const std::vector<const Program<double>*>& programs, const T* x, bool with_rows, Index lane_count);

    Index items, lanes;
    StageTables<T> first;
    std::vector<StageTables<double>> later;
    Features<T> features;
};

// Pairs of some samples, whose numbers in the whole begin at x_first and y_first; of a symmetric kernel no pair is
// computed twice where both are the same samples.
template <class T>
struct PlaneRequest {
    const PlaneNetwork<T>& network;
    const PlaneSide<T>&x, &y;
    Index x_first, y_first;
    bool symmetric;
    MatrixView<T> nngp, ntk;
};

template <class T>
void compute_planes(const PlaneRequest<T>& request, const KernelSet& set, int threads, Monitor& monitor);

// K(x, x) and Theta(x, x) of every position behind the last average, [position][sample]. The samples are in lanes, and
// as rows too where lanes do not take any pairs.
template <class T>
void plane_variances(const PlaneNetwork<T>& network, const PlaneSide<T>& side, const KernelSet& set, int threads,
                     Monitor& monitor, double* k, double* theta);

} // namespace fastntk
