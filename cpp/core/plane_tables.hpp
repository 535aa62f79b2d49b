// What a stage of a network, between two averages, is for the engine of planes, and the numbers of samples that it
// reads.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "buffer.hpp"
#include "plane_plan.hpp"
#include "program.hpp"

namespace fastntk {

using Lengths = std::array<Index, most_axes>;

// Where the numbers of an op are among those of a sample; of windows also those behind it, and of some its scale.
struct OpPlace {
    Index tables = 0, positions = 0, start = 0, behind = 0, positions_behind = 0, scale = 0;
};

// The ops of a stage without their tables, and where those are.
template <class T>
struct Stage {
    std::vector<Op<T>> ops;
    std::vector<StepShape> steps;
    std::vector<OpPlace> places;
    std::vector<Lengths> lengths; // of the axes of positions, before each op and at the end
    Index end = 0;                // where the deviations at the end are
    Index numbers = 0;            // of a sample
    Index slots = 0;

    // The axes of positions at the beginning.
    Stage(const Program<T>& program, const Lengths& begin) : slots(program.slots()) {
        lengths.push_back(begin);
        std::vector<Lengths> kept(static_cast<std::size_t>(slots));
        for (const Op<T>& op : program.ops()) {
            Lengths at = lengths.back();
            const Index positions = at[0] * at[1] * at[2];
            OpPlace place{op.table_count, positions, numbers, 0, 0, 0};
            numbers += op.table_count * positions;
            StepShape step{Step::pointwise, op.slot, nullptr};
            if (op.window) {
                step = {Step::window, -1, &op.window->window};
                for (std::size_t axis = 0; axis < most_axes; ++axis) at[axis] = op.window->window[axis].outputs;
                place.behind = numbers;
                place.positions_behind = at[0] * at[1] * at[2];
                numbers += 2 * place.positions_behind;
            } else if (op.code == OpCode::save) {
                step.step = Step::save;
                kept[static_cast<std::size_t>(op.slot)] = at;
            } else if (op.code == OpCode::load) {
                step.step = Step::load;
                at = kept[static_cast<std::size_t>(op.slot)];
            } else if (op.code == OpCode::add || op.code == OpCode::multiply) {
                step.step = Step::join;
            }
            place.scale = numbers;
            numbers += op.scales.empty() ? 0 : 1;
            ops.push_back({op.code,
                           op.nonnegative,
                           op.parameters,
                           {},
                           op.table_count,
                           op.values,
                           0,
                           op.slot,
                           op.rule,
                           op.window,
                           {}});
            steps.push_back(step);
            places.push_back(place);
            lengths.push_back(at);
        }
        end = numbers;
        numbers += positions_at_end();
    }

    Index positions_at_end() const { return lengths.back()[0] * lengths.back()[1] * lengths.back()[2]; }
};

// Of windows and averages all positions of a table are side by side, of other ops all tables of a position.
template <class T>
bool is_by_table(const Op<T>& op) {
    return op.window || op.code == OpCode::average;
}

// The numbers of some samples, of one stage: as rows, one sample after the other, and in lanes, [block][number][lane].
template <class T>
class StageTables {
public:
    StageTables(const Stage<T>& stage, const Program<T>& program, bool with_rows, Index lanes)
        : numbers_(stage.numbers), lanes_(lanes), items_(program.items()), with_rows_(with_rows),
          rows_(with_rows ? items_ * numbers_ : 0),
          blocks_(lanes ? (items_ + lanes - 1) / lanes * lanes * numbers_ : 0) {
        const Uninitialised<double> roots = program.deviations();
        const std::vector<T> end(roots.begin(), roots.end());
        for (std::size_t i = 0; i < stage.ops.size(); ++i) {
            const Op<T>& op = program.ops()[i];
            const OpPlace& place = stage.places[i];
            put(op.tables.data(), place.tables, place.positions, place.start, is_by_table(op));
            if (op.window) put(op.window->behind.data(), 2, place.positions_behind, place.behind, true);
            if (!op.scales.empty()) put(op.scales.data(), 1, 1, place.scale, true);
        }
        put(end.data(), 1, stage.positions_at_end(), stage.end, true);
    }

    Index numbers() const { return numbers_; }
    const T* row(Index item) const { return rows_.data() + item * numbers_; }
    const T* block(Index item) const { return blocks_.data() + item / lanes_ * lanes_ * numbers_; }

private:
    void put(const T* tables, Index count, Index positions, Index start, bool by_table) {
        for (Index t = 0; t < count; ++t)
            for (Index position = 0; position < positions; ++position) {
                const T* const source = tables + (t * positions + position) * items_;
                const Index in_row = start + (by_table ? t * positions + position : position * count + t);
                if (with_rows_)
                    for (Index i = 0; i < items_; ++i) rows_.data()[i * numbers_ + in_row] = source[i];
                for (Index first = 0; lanes_ && first < items_; first += lanes_) {
                    T* const target = blocks_.data() + first * numbers_ + (start + t * positions + position) * lanes_;
                    const Index some = std::min(lanes_, items_ - first);
                    std::copy_n(source + first, some, target);
                    std::fill(target + some, target + lanes_, source[items_ - 1]); // any sample
                }
            }
    }

    Index numbers_, lanes_, items_;
    bool with_rows_;
    AlignedBuffer<T> rows_, blocks_;
};

// The features, [sample][position][channel] as they are given, in the units of each sample.
template <class T>
class Features {
public:
    Features(const T* x, const std::vector<T>& scales, Index items, Index numbers, bool with_rows, Index lanes)
        : numbers_(numbers), lanes_(lanes), rows_(with_rows ? items * numbers : 0),
          blocks_(lanes ? (items + lanes - 1) / lanes * lanes * numbers : 0) {
        for (Index i = 0; with_rows && i < items; ++i)
            for (Index k = 0; k < numbers; ++k)
                rows_.data()[i * numbers + k] = x[i * numbers + k] * scales[static_cast<std::size_t>(i)];
        for (Index first = 0; lanes && first < items; first += lanes)
            for (Index l = 0; l < lanes; ++l) {
                const Index item = std::min(first + l, items - 1); // any, where there is none
                for (Index k = 0; k < numbers; ++k)
                    blocks_.data()[first * numbers + k * lanes + l] =
                        x[item * numbers + k] * scales[static_cast<std::size_t>(item)];
            }
    }

    Index numbers() const { return numbers_; }
    const T* row(Index item) const { return rows_.data() + item * numbers_; }
    const T* block(Index item) const { return blocks_.data() + item / lanes_ * lanes_ * numbers_; }

private:
    Index numbers_, lanes_;
    AlignedBuffer<T> rows_, blocks_;
};

// Numbers of the first and of the second sample of the pairs in the lanes.
template <class T>
struct LanesOfBoth {
    Index numbers, lanes;
    AlignedBuffer<T> p, q;
    LanesOfBoth(Index number_count, Index lane_count)
        : numbers(number_count), lanes(lane_count), p(numbers * lanes), q(numbers * lanes) {}

    void copy(const T* block, const std::vector<Index>& of_p, const std::vector<Index>& of_q) {
        for (Index i = 0; i < numbers * lanes; i += lanes)
            for (Index l = 0; l < lanes; ++l) {
                p.data()[i + l] = block[i + of_p[static_cast<std::size_t>(l)]];
                q.data()[i + l] = block[i + of_q[static_cast<std::size_t>(l)]];
            }
    }
};

} // namespace fastntk
