// Which pairs of positions (p, q), p of the one sample and q of the other, a network needs at each of its nodes: known before
// there are samples, axis by axis, and read backwards from its end.
//
// Pairs of one offset q - p pass through convolutions and activations by themselves: a plane. Where indices wrap around, a plane
// is a set of offsets that are the same but for that.
#pragma once

#include <memory>
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

// What a window reads along one axis.
struct Reading {
    Pairs pairs;             // those in hand, and behind them halves, of which one position is outside, -1
    std::vector<Index> taps; // of each pair behind it and each tap the one that is read, or -1 where both positions are outside
    std::vector<Index> runs; // how many pairs behind it, from each on, read strips that are next to each other, tap by tap
};

// One plane along one axis: pairs in hand before each step, and at the end; and how a step finds those it reads. What is the same
// at several steps, as in most networks it is at all, is there once.
class AxisPlane {
public:
    const Pairs& pairs(std::size_t node) const { return *pairs_[node]; }
    std::size_t steps() const { return readings_.size(); }

    // Of windows.
    bool is_window(std::size_t step) const { return readings_[step] != nullptr; }
    const Reading& reading(std::size_t step) const { return *readings_[step]; }

    // Of joins: of each pair behind it the one in hand, and the one in the slot; and whether nothing has to be moved.
    std::vector<std::vector<Index>> in_hand, in_slot;
    std::vector<bool> in_place;

private:
    friend AxisPlane plan_axis(const std::vector<StepShape>&, std::size_t, const Pairs&);
    std::vector<std::shared_ptr<const Pairs>> pairs_;
    std::vector<std::shared_ptr<const Reading>> readings_;
};

AxisPlane plan_axis(const std::vector<StepShape>& steps, std::size_t axis, const Pairs& end);

// The pairs that are needed of windows that lie side by side, for the pairs behind them, as planes.
std::vector<Pairs> planes_before(const Axis& axis, const std::vector<const Pairs*>& behind, bool wraps);

} // namespace fastntk
