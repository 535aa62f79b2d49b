#include "plane_plan.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace fastntk {
namespace {

using Pair = std::pair<Index, Index>;

Pairs pairs_of(const std::set<Pair>& sorted) {
    Pairs pairs;
    for (const auto& [p, q] : sorted) {
        pairs.p.push_back(p);
        pairs.q.push_back(q);
    }
    return pairs;
}

void insert(std::set<Pair>& target, const Pairs& pairs) {
    for (std::size_t i = 0; i < pairs.p.size(); ++i) target.emplace(pairs.p[i], pairs.q[i]);
}

Pairs read_by(const Axis& axis, const Pairs& behind) {
    std::set<Pair> found;
    for (std::size_t i = 0; i < behind.p.size(); ++i)
        for (Index tap = 0; tap < axis.taps; ++tap) {
            const Index p = axis.source(behind.p[i], tap), q = axis.source(behind.q[i], tap);
            if (p >= 0 && q >= 0) found.emplace(p, q);
        }
    return pairs_of(found);
}

std::vector<Index> runs(const std::vector<Index>& taps, Index tap_count) {
    const auto width = static_cast<std::size_t>(tap_count);
    std::vector<Index> lengths(taps.size() / width, 1);
    for (std::size_t j = lengths.size(); j-- > 1;) {
        bool next_to = true;
        for (std::size_t t = 0; t < width; ++t) {
            const Index before = taps[(j - 1) * width + t], at = taps[j * width + t];
            next_to = next_to && (at < 0 ? before < 0 : before >= 0 && at == before + 1);
        }
        if (next_to) lengths[j - 1] = lengths[j] + 1;
    }
    return lengths;
}

Reading read_through(const Axis& window, const Pairs& in_hand, const Pairs& behind) {
    Reading reading{in_hand, {}, {}};
    std::map<Pair, Index> halves;
    for (std::size_t j = 0; j < behind.p.size(); ++j)
        for (Index tap = 0; tap < window.taps; ++tap) {
            const Index p = window.source(behind.p[j], tap), q = window.source(behind.q[j], tap);
            Index place = -1;
            if (p >= 0 && q >= 0) {
                place = in_hand.find(p, q);
            } else if (p >= 0 || q >= 0) {
                const auto [half, is_new] = halves.try_emplace({p, q}, reading.pairs.count());
                if (is_new) {
                    reading.pairs.p.push_back(p);
                    reading.pairs.q.push_back(q);
                }
                place = half->second;
            }
            reading.taps.push_back(place);
        }
    reading.runs = runs(reading.taps, window.taps);
    return reading;
}

} // namespace

Index Pairs::find(Index p_wanted, Index q_wanted) const {
    std::size_t low = 0, high = p.size();
    while (low < high) { // they are in order
        const std::size_t middle = (low + high) / 2;
        if (Pair(p[middle], q[middle]) < Pair(p_wanted, q_wanted)) low = middle + 1;
        else high = middle;
    }
    return low < p.size() && p[low] == p_wanted && q[low] == q_wanted ? static_cast<Index>(low) : -1;
}

AxisPlane plan_axis(const std::vector<StepShape>& steps, std::size_t axis, const Pairs& end) {
    const std::size_t count = steps.size();
    AxisPlane plane;
    plane.pairs_.resize(count + 1);
    plane.readings_.resize(count);
    plane.in_hand.resize(count);
    plane.in_slot.resize(count);
    plane.in_place.assign(count, true);

    // Backwards, what is needed before each step; behind what is kept, also by those who read it later.
    std::map<Index, std::set<Pair>> slots;
    std::vector<Pairs> needed(count + 1);
    needed[count] = end;
    for (std::size_t i = count; i-- > 0;) {
        const StepShape& step = steps[i];
        switch (step.step) {
        case Step::pointwise:
            needed[i] = needed[i + 1];
            break;
        case Step::window:
            needed[i] = read_by((*step.window)[axis], needed[i + 1]);
            break;
        case Step::save: {
            insert(slots[step.slot], needed[i + 1]);
            needed[i] = pairs_of(slots[step.slot]);
            slots.erase(step.slot);
            break;
        }
        case Step::load:
            insert(slots[step.slot], needed[i + 1]);
            break;
        case Step::join:
            insert(slots[step.slot], needed[i + 1]);
            needed[i] = needed[i + 1];
            break;
        }
    }

    // Forwards, what is in hand: at least that.
    std::map<Index, std::shared_ptr<const Pairs>> kept;
    auto& lists = plane.pairs_;
    lists[0] = std::make_shared<const Pairs>(std::move(needed[0]));
    std::size_t last = count; // window
    for (std::size_t i = 0; i < count; ++i) {
        const StepShape& step = steps[i];
        const Pairs& wanted = needed[i + 1];
        lists[i + 1] = lists[i];
        switch (step.step) {
        case Step::pointwise:
            break;
        case Step::save:
            kept[step.slot] = lists[i];
            break;
        case Step::load:
            lists[i + 1] = kept[step.slot];
            break;
        case Step::window: {
            const Axis& window = (*step.window)[axis];
            if (!(*lists[i] == wanted)) lists[i + 1] = std::make_shared<const Pairs>(wanted);
            const bool as_before = last < count && lists[last] == lists[i] && lists[last + 1] == lists[i + 1] &&
                                   (*steps[last].window)[axis] == window;
            plane.readings_[i] = as_before
                                     ? plane.readings_[last]
                                     : std::make_shared<const Reading>(read_through(window, *lists[i], *lists[i + 1]));
            last = i;
            break;
        }
        case Step::join: {
            const Pairs &in_hand = *lists[i], &other = *kept[step.slot];
            plane.in_place[i] = in_hand == wanted && other == wanted;
            if (!(in_hand == wanted)) lists[i + 1] = std::make_shared<const Pairs>(wanted);
            for (std::size_t j = 0; j < wanted.p.size(); ++j) {
                plane.in_hand[i].push_back(in_hand.find(wanted.p[j], wanted.q[j]));
                plane.in_slot[i].push_back(other.find(wanted.p[j], wanted.q[j]));
            }
            break;
        }
        }
    }
    return plane;
}

std::vector<Pairs> planes_before(const Axis& axis, const std::vector<const Pairs*>& behind, bool wraps) {
    std::map<Index, std::set<Pair>> planes;
    for (const Pairs* pairs : behind)
        for (std::size_t i = 0; i < pairs->p.size(); ++i)
            for (Index a = 0; a < axis.taps; ++a)
                for (Index b = 0; b < axis.taps; ++b) {
                    const Index p = axis.source(pairs->p[i], a), q = axis.source(pairs->q[i], b);
                    if (p < 0 || q < 0) continue;
                    const Index offset = wraps && q < p ? q - p + axis.inputs : q - p;
                    planes[offset].emplace(p, q);
                }
    std::vector<Pairs> found;
    for (const auto& [offset, pairs] : planes) found.push_back(pairs_of(pairs));
    return found;
}

} // namespace fastntk
