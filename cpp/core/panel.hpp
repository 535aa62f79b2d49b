// A panel: consecutive samples, centred, rounded and packed once, and read by every tile that needs them.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "request.hpp"

namespace fastntk {

constexpr Index panel_bytes = Index{20} << 20; // two panels at a time

constexpr Index round_up(Index x, Index multiple) { return (x + multiple - 1) / multiple * multiple; }

// Features per pass of the micro-kernel: blocks of equal depth, so that two slivers stay in the L1 cache.
constexpr Index deepest_block = 144;
constexpr Index depth_of_block(Index directions) {
    const Index blocks = (directions + deepest_block - 1) / deepest_block;
    return (directions + blocks - 1) / blocks;
}

template <class T>
void pack_rows(const Kernels<T>& kernels, const Samples<T>& samples, Index first, Index count, Index features,
               Index begin, Index end, const double* centre, T* packed, double* half_norm) {
    if (const auto* rows = std::get_if<Rows<float>>(&samples.rows))
        kernels.pack_float(*rows, first, count, features, begin, end, centre, packed, half_norm);
    else
        kernels.pack_double(std::get<Rows<double>>(samples.rows), first, count, features, begin, end, centre,
                            packed, half_norm);
}

// Layout: [depth block][sliver][feature in block][row in sliver].
template <class T>
class Panel {
public:
    Panel(Index capacity, Index directions, Index sliver)
        : directions_(directions), depth_(depth_of_block(directions)), sliver_(sliver), packed_(round_up(capacity, sliver) * directions),
          half_norm_(round_up(capacity, sliver)) {}

    // Called by every thread of a team; ends with a barrier. Gives up where stopped() says so.
    template <class Stopped>
    void fill(const Kernels<T>& kernels, const Request<T>& request, const Samples<T>& samples, Index first, Index count,
              const Stopped& stopped) {
        const Index padded = round_up(count, sliver_);
#pragma omp single
        {
            first_ = first;
            count_ = count;
        }
#pragma omp for schedule(static)
        for (Index start = 0; start < padded; start += sliver_) {
            if (stopped()) continue;
            double half[max_sliver] = {};
            for (Index begin = 0; begin < directions_; begin += depth_) {
                const Index end = std::min(begin + depth_, directions_);
                pack_rows(kernels, samples, first + start, std::min(sliver_, count - start),
                          request.features, begin, end, request.centre,
                          packed_.data() + padded * begin + start * (end - begin), half);
            }
            for (Index lane = 0; lane < sliver_; ++lane)
                half_norm_.data()[start + lane] = static_cast<T>(half[lane]);
        }
    }

    const T* block(Index sample, Index begin, Index end) const {
        return packed_.data() + round_up(count_, sliver_) * begin + (sample - first_) * (end - begin);
    }
    const T* half_norm(Index sample) const { return half_norm_.data() + (sample - first_); }

    static constexpr Index max_sliver = 48;

private:
    Index directions_;
    Index depth_;
    Index sliver_;
    Index first_ = 0;
    Index count_ = 0;
    AlignedBuffer<T> packed_;
    AlignedBuffer<T> half_norm_;
};

} // namespace fastntk
