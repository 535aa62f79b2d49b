// Pairs of samples of one block, one in each lane: of a block with itself a sample with all others would compute half
// of them twice.
#pragma once

#include <algorithm>

#include "plane_run.hpp"

namespace fastntk {

// Of `count` samples those with the sample `turn` further, round and round: for turns up to count / 2 all pairs. The
// first one of a pair is the one that comes first, as everywhere.
template <class T>
class PairedLanes {
public:
    explicit PairedLanes(const PlaneSide<T>& side)
        : side_(side), p_(static_cast<std::size_t>(side.lanes)), q_(p_), first_(side.first.numbers(), side.lanes),
          features_(side.features.numbers(), side.lanes) {
        for (const auto& stage : side.later) later_.emplace_back(stage.numbers(), side.lanes);
    }

    void pair(Index first, Index count, Index turn) {
        for (Index l = 0; l < side_.lanes; ++l) {
            const Index other = l < count ? (l + turn) % count : l;
            p_[static_cast<std::size_t>(l)] = std::min(l, other);
            q_[static_cast<std::size_t>(l)] = std::max(l, other);
        }
        first_.copy(side_.first.block(first), p_, q_);
        features_.copy(side_.features.block(first), p_, q_);
        for (std::size_t s = 0; s < later_.size(); ++s) later_[s].copy(side_.later[s].block(first), p_, q_);
    }

    Index p(Index lane) const { return p_[static_cast<std::size_t>(lane)]; }
    Index q(Index lane) const { return q_[static_cast<std::size_t>(lane)]; }

    void set(PlaneRun<T>& run) const { run.set_pairs(first_, features_, later_); }

private:
    const PlaneSide<T>& side_;
    std::vector<Index> p_, q_;
    LanesOfBoth<T> first_, features_;
    std::vector<LanesOfBoth<double>> later_;
};

} // namespace fastntk
