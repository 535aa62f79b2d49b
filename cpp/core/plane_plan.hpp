// Which pairs of positions (p, q), p of the one sample and q of the other, a network needs at each of its nodes: known before
// there are samples, axis by axis, and read backwards from its end.
//
// Pairs of one offset q - p pass through convolutions and activations by themselves: a plane. Where indices wrap around, a plane
// is a set of offsets that are the same but for that.
#pragma once

#include <vector>

#include "op.hpp"
#include "window.hpp"

namespace fastntk {

// Along one axis.
struct Pairs {
    std::vector<Index> p, q;

    Index count() const { return static_cast<Index>(p.size()); }
    Index find(Index p_wanted, Index q_wanted) const; // -1 if it is not among them
    bool operator==(const Pairs&) const = default;
};

// What a step of the network does to the pairs.
enum class Step { pointwise, window, save, load, join };

struct StepShape {
    Step step;
    Index slot = -1;
    const Window* window = nullptr;
};

// One plane along one axis: pairs in hand before each step, and at the end; and how a step finds those it reads.
struct AxisPlane {
    std::vector<Pairs> pairs;
    // What a window reads: the pairs in hand, and behind them halves, of which one position is outside, -1.
    std::vector<Pairs> read;
    // Of a window: of each pair behind it and each tap the one that is read, or -1 where both positions are outside. Of a
    // join: of each pair behind it the one in hand, and the one in the slot.
    std::vector<std::vector<Index>> taps, in_slot;
    // Of a window: how many pairs behind it, from each on, read strips that are next to each other, tap by tap.
    std::vector<std::vector<Index>> runs;
    std::vector<bool> in_place; // of a join: whether nothing has to be moved
};

AxisPlane plan_axis(const std::vector<StepShape>& steps, std::size_t axis, const Pairs& end);

// The pairs that are needed of windows that lie side by side, for the pairs behind them, as planes.
std::vector<Pairs> planes_before(const Axis& axis, const std::vector<const Pairs*>& behind, bool wraps);

} // namespace fastntk
