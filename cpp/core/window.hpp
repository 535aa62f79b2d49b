// Windows of positions: which of them a convolution, or a pool, takes together.
#pragma once

#include <vector>

#include "samples.hpp"

namespace fastntk {

// Most axes of positions; those that a network does not have are of one position.
constexpr std::size_t most_axes = 3;

// Along one axis: tap o of output position P is input position sources[P * taps + o], or -1 outside.
struct Axis {
    Index inputs = 1, outputs = 1, taps = 1;
    std::vector<Index> sources = {0};

    Index source(Index output, Index tap) const { return sources[static_cast<std::size_t>(output * taps + tap)]; }
    bool operator==(const Axis&) const = default;
};

using Window = std::vector<Axis>; // most_axes of them, the last one innermost

// With axes of one position before those that there are.
inline Window padded(Window window) {
    window.insert(window.begin(), most_axes - window.size(), Axis{});
    return window;
}

inline Index inputs_of(const Window& window) {
    Index count = 1;
    for (const Axis& axis : window) count *= axis.inputs;
    return count;
}
inline Index outputs_of(const Window& window) {
    Index count = 1;
    for (const Axis& axis : window) count *= axis.outputs;
    return count;
}
inline Index taps_of(const Window& window) {
    Index count = 1;
    for (const Axis& axis : window) count *= axis.taps;
    return count;
}

} // namespace fastntk
