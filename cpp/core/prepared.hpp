// Samples that many requests have in common, made ready once: their packed rows, and their tables in the order of the ops.
#pragma once

#include <optional>

#include "panel.hpp"
#include "team.hpp"

namespace fastntk {

// Numbers of consecutive samples: table k starts at first + k * stride.
template <class T>
struct Tables {
    const T* first;
    Index stride;
};

template <class T>
class Prepared {
public:
    // The x of a request, whose program they are all samples of.
    Prepared(const Request<T>& request, const Kernels<T>& kernels, int threads)
        : program_(*request.x.program), stride_(stride_for(request.x.count + kernels.sliver)) {
        const Index count = request.x.count;
        if (round_up(count, kernels.sliver) * request.directions <= panel_bytes / Index{sizeof(T)}) {
            panel_.emplace(count, request.directions, kernels.sliver);
            const int threads_of_it = team(static_cast<double>(count * request.directions), count, threads);
#pragma omp parallel num_threads(threads_of_it)
            panel_->fill(kernels, request, request.x, 0, count, [] { return false; });
        }
        const std::vector<std::vector<T>> output = program_.output_tables();
        Index table_count = static_cast<Index>(output.size());
        for (const Op<T>& op : program_.ops()) table_count += op.table_count;
        tables_ = AlignedBuffer<T>(table_count * stride_);
        T* target = tables_.data();
        const auto append = [&](const T* table) {
            std::copy_n(table, count, target);
            std::fill(target + count, target + stride_, count > 0 ? target[count - 1] : T(0)); // see load_tables
            target += stride_;
        };
        for (const std::vector<T>& table : output) append(table.data());
        for (const Op<T>& op : program_.ops())
            for (Index k = 0; k < op.table_count; ++k) append(op.tables.data() + k * program_.samples());
    }

    const Program<T>& program() const { return program_; }

    // Those of the output, then those of every op; of strips that begin at a sample, and end less than a sliver after the last.
    Tables<T> tables(Index sample) const { return {tables_.data() + sample, stride_}; }

    // nullptr where the rows are too many: then every request packs them.
    const Panel<T>* panel() const { return panel_ ? &*panel_ : nullptr; }

private:
    // An odd number of cache lines: the tables of a sample are in different sets of a cache.
    static Index stride_for(Index count) {
        constexpr Index line = 64 / Index{sizeof(T)};
        return (round_up(count, line) / line | 1) * line;
    }

    const Program<T>& program_;
    Index stride_;
    std::optional<Panel<T>> panel_;
    AlignedBuffer<T> tables_;
};

} // namespace fastntk
