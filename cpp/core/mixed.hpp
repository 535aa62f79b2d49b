// Kernels of samples of several nodes, whose networks mix these.
#pragma once

#include <vector>

#include "mixed_tile.hpp"

namespace fastntk {

// Every sample with itself, at all pairs of its nodes: as far as a program is known, which is made as they go on. What mixes
// nodes has to know these.
class OwnTiles {
public:
    // Of a program without ops. Where a monitor gives up, here and below, they are of no use any more.
    OwnTiles(const NodeInput& input, const KernelSet& set, int threads, Monitor& monitor);

    // Through all ops there are.
    void advance(Monitor& monitor);
    // All pairs of nodes of each sample, one sample after the other: how many, and K.
    Index pairs() const;
    void covariances(double* k, Monitor& monitor);
    // Behind a matrix, of every node with itself.
    void mixed(const Mix& mix, double* k, double* theta, Monitor& monitor);

private:
    // body(sample, its tile, stopped)
    template <class Body>
    void for_items(Monitor& monitor, const Body& body);

    NodeInput input_;
    const KernelSet& set_;
    int threads_;
    std::vector<TileState> tiles_;
};

struct MixedRequest {
    NodeInput input;
    MatrixView<double> nngp, ntk; // of the nodes that there are at the end
};

void compute_mixed(const MixedRequest& request, const KernelSet& set, int threads, Monitor& monitor);

} // namespace fastntk
