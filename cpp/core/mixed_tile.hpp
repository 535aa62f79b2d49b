// A tile of pairs of nodes through a program that mixes them (mixing.hpp), which acts on all of it at once.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "node_tile.hpp"

namespace fastntk {

class MixedTile : public NodeTile {
public:
    MixedTile(const NodeInput& input, const KernelSet& set, bool with_ntk, int threads)
        : NodeTile(input, set.f64, with_ntk, threads), mixing_(*set.mixing) {}

    // Through the ops before `end` that were not run yet. False if it was stopped.
    template <class Stopped>
    bool run(std::size_t end, const Stopped& stopped) {
        const std::vector<Op<double>>& ops = input_.x.program().ops();
        while (next_ < end) {
            if (stopped()) return false;
            const Op<double>& op = ops[next_];
            if (op.code == OpCode::mix) {
                if (!mix(stopped)) return false;
            } else if (op.code == OpCode::save) {
                save(op.slot);
                ++next_;
            } else if (op.code == OpCode::load) {
                load(op.slot);
                ++next_;
            } else {
                std::size_t to = next_;
                while (to < end && ops[to].code != OpCode::mix && ops[to].code != OpCode::save && ops[to].code != OpCode::load) ++to;
                load_tables(next_, to);
                const Index together = rows_together(next_, to), some = round_up(16, together);
                const bool done = for_parts((rows() + some - 1) / some, [&](Index part, int) {
                    const Index last = std::min(rows(), (part + 1) * some);
                    for (Index r = part * some; r < last; r += together)
                        if (!through(next_, to, r, std::min(together, last - r), stopped)) return false;
                    return !stopped();
                });
                if (!done) return false;
                next_ = to;
            }
        }
        return true;
    }

    // Of a sample with itself, by the deviations of all nodes here: K at all pairs of nodes, one after the other.
    void own_covariances(const double* deviations, double* out) {
        covariances(deviations, deviations);
        for (Index r = 0; r < rows(); ++r, out += columns()) std::copy_n(k_.at(r * width_), columns(), out);
    }

    // And what K(x, x) and Theta(x, x) are behind what mixes nodes. False if it was stopped.
    template <class Stopped>
    bool own_mixed(const double* deviations, const Mix& mix, double* k, double* theta, const Stopped& stopped) {
        const Range behind = nodes(mix.starts, items_x_);
        const auto at = [](Index i) { return static_cast<std::size_t>(i); };
        covariances(deviations, deviations);
        if (mix.kind == Mix::Kind::pairs) attend(mix, mix);
        double* const products = one_.of(area(behind.count, width_));
        std::vector<double> roots(at(rows()));
        for (const auto& [field, out] : {std::pair(&k_, k), std::pair(&theta_, theta)}) {
            const double* const values = field->at(0);
            for (Index r = 0; r < rows(); ++r) roots[at(r)] = std::sqrt(values[r * (width_ + 1)]);
            const Index some = some_columns(width_, std::max<Index>(1, rows()));
            const bool done = mix.kind != Mix::Kind::matrix || for_parts((width_ + some - 1) / some, [&](Index part, int) {
                const Index c = part * some;
                return multiply_rows(mix, behind, x_.first, values + c, width_, std::min(some, width_ - c), products + c, width_, stopped);
            });
            if (!done) return false;
            for (Index node = behind.first; node < behind.end(); ++node) {
                const auto with_itself = [&](Index source) { return values[(source - x_.first) * (width_ + 1)]; };
                double sum = 0, size = 0;
                switch (mix.kind) {
                case Mix::Kind::matrix:
                    for (Index i = mix.rows[at(node)]; i < mix.rows[at(node) + 1]; ++i) {
                        sum += mix.weights[at(i)] * products[(node - behind.first) * width_ + mix.columns[at(i)] - x_.first];
                        size += std::abs(mix.weights[at(i)]) * roots[at(mix.columns[at(i)] - x_.first)];
                    }
                    if (sum < rounding_of_sums * size * size) sum = 0; // nodes that cancel: what is left is rounding
                    break;
                case Mix::Kind::window:
                    for (Index tap = 0; tap < mix.taps; ++tap) {
                        const Index source = mix.columns[at(tap * mix.starts.back() + node)];
                        if (source >= 0) sum += with_itself(source) / static_cast<double>(mix.taps);
                    }
                    break;
                case Mix::Kind::pairs: sum = with_itself(node); break;
                case Mix::Kind::shift:
                case Mix::Kind::recur: sum = mix.factor * with_itself(node) + mix.weights[0];
                }
                out[node] = std::max(sum, 0.0);
            }
        }
        return true;
    }

private:
    template <class Stopped>
    bool mix(const Stopped& stopped) {
        const Op<double>&of_x = input_.x.program().ops()[next_], &of_y = input_.y.program().ops()[next_];
        switch (of_x.mix->kind) {
        case Mix::Kind::matrix:
            if (!multiply_by(of_x, of_y, stopped)) return false;
            break;
        case Mix::Kind::shift:
        case Mix::Kind::pairs:
            covariances(of_x.tables.data(), of_y.tables.data());
            if (of_x.mix->kind == Mix::Kind::shift) shift(*of_x.mix, *of_y.mix);
            else attend(*of_x.mix, *of_y.mix);
            std::swap(gap_, k_);
            if (with_ntk_) std::swap(ntk_, theta_);
            from_covariances(of_x, behind_of(of_y), 0, rows());
            break;
        case Mix::Kind::window:
            if (!through_window(*of_x.mix, *of_y.mix, of_x.nonnegative, stopped)) return false;
            break;
        case Mix::Kind::recur:
            return recur(*of_x.mix, stopped);
        }
        ++next_;
        return true;
    }

    // Columns that go together through the matrix of a sample: those of all its nodes stay in the first-level cache.
    Index some_columns(Index width, Index nodes_of_it) const {
        constexpr Index numbers = 3072;
        return std::min(std::max(numbers / nodes_of_it / mixing_.lanes, Index{2}) * mixing_.lanes, width);
    }
    static Index longest(std::span<const Index> starts, const Range& items) {
        Index most = 1;
        for (Index i = items.first; i < items.end(); ++i) most = std::max(most, length(starts, i));
        return most;
    }

    // K and Theta, in k_ and theta_.
    void covariances(const double* deviations_x, const double* deviations_y) {
        load(deviations_y + y_.first, q_);
        double *const k = k_.of(area(rows(), width_)), *const theta = with_ntk_ ? theta_.of(area(rows(), width_)) : nullptr;
        mixing_.covariances({rows(), width_, width_, deviations_x + x_.first, q_.at(0)}, gap(), ntk(), k, theta, width_);
    }

    // Rows behind a matrix, whose sources are those from `first` on. Of large samples that takes seconds.
    template <class Stopped>
    bool multiply_rows(const Mix& mix, const Range& behind, Index first, const double* in, Index pitch, Index width, double* out,
                       Index out_pitch, const Stopped& stopped) const {
        constexpr Index some = 32;
        for (Index r = 0; r < behind.count; r += some) {
            if (stopped()) return false;
            const Index row = behind.first + r;
            mixing_.rows({std::min(some, behind.count - r), mix.rows.data() + row, mix.columns.data(), mix.alike.data() + row, mix.weights.data()},
                         first, in, pitch, width, out + r * out_pitch, out_pitch);
        }
        return true;
    }

    // K <- A K A'^T and Theta likewise, from gaps to gaps: some columns at a time are mixed, sample by sample, and transposed;
    // then as many rows, by the matrices of the others.
    template <class Stopped>
    bool multiply_by(const Op<double>& of_x, const Op<double>& of_y, const Stopped& stopped) {
        const Mix &a = *of_x.mix, &b = *of_y.mix;
        const Level before = level_;
        const Index old_width = width_, first_x = x_.first, first_y = y_.first, fields = with_ntk_ ? 2 : 1;
        load(of_y.tables.data() + first_y, q_);
        set_level({a.starts, b.starts});
        const Index tall = round_up(std::max<Index>(1, rows()), mixing_.lanes); // of what is transposed
        double* const turned[] = {k_.of(old_width * tall), with_ntk_ ? theta_.of(old_width * tall) : nullptr};

        const Index most = longest(before.x, items_x_), first_some = some_columns(old_width, most);
        double* const all_in = one_.of(threads_ * fields * most * first_some);
        double* const all_out = other_.of(threads_ * fields * tall * first_some);
        const bool mixed = for_parts((old_width + first_some - 1) / first_some, [&](Index part, int thread) {
            const Index some = first_some, c = part * some, width = std::min(some, old_width - c);
            double *const in = all_in + thread * fields * most * some, *const out = all_out + thread * fields * tall * some;
            for (Index i = items_x_.first; i < items_x_.end(); ++i) {
                const Range sources = nodes(before.x, {i, 1}), behind = nodes(level_.x, {i, 1});
                const Index from = (sources.first - first_x) * old_width + c;
                mixing_.covariances({sources.count, width, old_width, of_x.tables.data() + sources.first, q_.at(c)}, gap() + from,
                                    with_ntk_ ? ntk() + from : nullptr, in, in + most * some, some);
                for (Index field = 0; field < fields; ++field)
                    if (!multiply_rows(a, behind, sources.first, in + field * most * some, some, width,
                                       out + (field * tall + behind.first - x_.first) * some, some, stopped))
                        return false;
            }
            for (Index field = 0; field < fields; ++field)
                transpose(out + field * tall * some, some, rows(), width, turned[field] + c * tall, tall);
            return true;
        });
        if (!mixed) return false;

        make_room();
        const Index then_some = some_columns(tall, longest(before.y, items_y_));
        double* const outs = other_.of(threads_ * width_ * then_some);
        const double* const q = behind_of(of_y);
        return for_parts((tall + then_some - 1) / then_some, [&](Index part, int thread) {
            const Index some = then_some, c = part * some, width = std::min(some, tall - c);
            double* const out = outs + thread * width_ * some;
            double* const target[] = {gap() + c * width_, with_ntk_ ? ntk() + c * width_ : nullptr};
            for (Index field = 0; field < fields; ++field) {
                for (Index i = items_y_.first; i < items_y_.end(); ++i) {
                    const Range sources = nodes(before.y, {i, 1}), behind = nodes(level_.y, {i, 1});
                    if (!multiply_rows(b, behind, sources.first, turned[field] + (sources.first - first_y) * tall + c, tall, width,
                                       out + (behind.first - y_.first) * some, some, stopped))
                        return false;
                }
                transpose(out, some, columns(), width, target[field], width_);
            }
            from_covariances(of_x, q, c, std::min(width, rows() - c));
            return true;
        });
    }

    // The columns of the target that are nobody's are 0.
    void transpose(double* source, Index pitch, Index row_count, Index column_count, double* target, Index target_pitch) const {
        std::fill(source + row_count * pitch, source + target_pitch * pitch, 0.0);
        mixing_.transpose(source, pitch, target_pitch, column_count, target, target_pitch);
    }

    // body(nodes of the one sample, nodes of the other), as rows and columns of the tile.
    template <class Body>
    void for_pairs_of_samples(const Body& body) const {
        Range of_x{0, 0};
        for (Index i = items_x_.first; i < items_x_.end(); ++i, of_x.first += of_x.count) {
            of_x.count = length(level_.x, i);
            Range of_y{0, 0};
            for (Index j = items_y_.first; j < items_y_.end(); ++j, of_y.first += of_y.count) {
                of_y.count = length(level_.y, j);
                body(of_x, of_y);
            }
        }
    }

    // R of two nodes by where they are in their samples: each side knows it as far as its samples are long.
    struct Similarity {
        const Mix& longer;
        Similarity(const Mix& x, const Mix& y) : longer(x.columns.size() < y.columns.size() ? y : x) {}
        double operator()(Index p, Index q) const {
            const Index apart = longer.columns[static_cast<std::size_t>(p)] - longer.columns[static_cast<std::size_t>(q)];
            return longer.weights[static_cast<std::size_t>(apart < 0 ? -apart : apart)];
        }
    };

    void shift(const Mix& of_x, const Mix& of_y) {
        const Similarity similar(of_x, of_y);
        for_pairs_of_samples([&](const Range& x, const Range& y) {
            for (Index p = 0; p < x.count; ++p)
                for (Index q = 0; q < y.count; ++q) {
                    const Index at = (x.first + p) * width_ + y.first + q;
                    k_.at(0)[at] = of_x.factor * k_.at(0)[at] + similar(p, q);
                    if (with_ntk_) theta_.at(0)[at] = of_x.factor * theta_.at(0)[at] + similar(p, q);
                }
        });
    }

    // K^ = factor K + R, Theta^ likewise, V = K or K^, and its Theta: with sums <., .> over all pairs of nodes of two samples
    // K' = scale <K^, V> K^ + bias, Theta' = scale [(<K^, Theta_V> + <Theta^, V>) K^ + <K^, V> (Theta^ + 4 K^)] + bias.
    void attend(const Mix& of_x, const Mix& of_y) {
        const Similarity similar(of_x, of_y);
        const double factor = of_x.factor, values = of_x.shifts_values ? factor : 1, shifts = of_x.shifts_values ? 1 : 0;
        for_pairs_of_samples([&](const Range& x, const Range& y) {
            double both = 0, slopes = 0;
            const auto for_nodes = [&](const auto& body) {
                for (Index p = 0; p < x.count; ++p)
                    for (Index q = 0; q < y.count; ++q) {
                        const Index at = (x.first + p) * width_ + y.first + q;
                        double none = 0;
                        body(similar(p, q), *k_.at(at), with_ntk_ ? *theta_.at(at) : none);
                    }
            };
            for_nodes([&](double r, const double& k, const double& theta) {
                const double k_hat = factor * k + r, theta_hat = factor * theta + r, v = values * k + shifts * r;
                both += k_hat * v;
                slopes += k_hat * (values * theta + shifts * r) + theta_hat * v;
            });
            for_nodes([&](double r, double& k, double& theta) {
                const double k_hat = factor * k + r, theta_hat = factor * theta + r;
                k = of_x.scale * both * k_hat + of_x.bias;
                theta = of_x.scale * (slopes * k_hat + both * (theta_hat + 4 * k_hat)) + of_x.bias;
            });
        });
    }

    static Index length(std::span<const Index> starts, Index item) {
        return starts[static_cast<std::size_t>(item) + 1] - starts[static_cast<std::size_t>(item)];
    }

    // Gaps in place of K, in some rows.
    void from_covariances(const Op<double>& of_x, const double* q, Index r, Index count) {
        const double* const own = of_x.mix->behind.data() + x_.first + r;
        const Index all = level_.x.back();
        mixing_.from_covariances({count, width_, width_, own, q, own + all, q + width_, own + 2 * all, q + 2 * width_}, of_x.nonnegative,
                                 gap() + r * width_, ntk() ? ntk() + r * width_ : nullptr);
    }

    // Of columns behind what mixes nodes: standard deviations, their inverses and variances.
    const double* behind_of(const Op<double>& of_y) {
        double* const q = q_.of(3 * width_);
        for (Index t = 0; t < 3; ++t) fill(of_y.mix->behind.data() + t * level_.y.back() + y_.first, q + t * width_);
        return q;
    }

    template <class Stopped>
    bool through_window(const Mix& of_x, const Mix& of_y, bool nonnegative, const Stopped& stopped) {
        const Index first_x = x_.first, first_y = y_.first, old_width = width_;
        set_level({of_x.starts, of_y.starts});
        const Index taps = of_x.taps, all_x = level_.x.back(), all_y = level_.y.back();
        double* const shares = q_.of(taps * width_);
        sources_.assign(static_cast<std::size_t>(taps * width_), 0);
        for (Index tap = 0; tap < taps; ++tap) {
            fill(of_y.behind.data() + tap * all_y + y_.first, shares + tap * width_);
            for (Index c = 0; c < columns(); ++c) {
                const Index source = of_y.columns[static_cast<std::size_t>(tap * all_y + y_.first + c)];
                if (source >= 0) sources_[static_cast<std::size_t>(tap * width_ + c)] = source - first_y;
            }
        }
        std::vector<const double*> gaps(static_cast<std::size_t>(taps)), ntks(static_cast<std::size_t>(taps));
        shares_.resize(static_cast<std::size_t>(taps));
        double *const new_gap = k_.of(area(rows(), width_)), *const new_ntk = with_ntk_ ? theta_.of(area(rows(), width_)) : nullptr;
        for (Index r = 0; r < rows(); ++r) {
            if (r % 16 == 0 && stopped()) return false;
            for (Index tap = 0; tap < taps; ++tap) {
                const auto at = static_cast<std::size_t>(tap * all_x + x_.first + r), t = static_cast<std::size_t>(tap);
                const Index source = of_x.columns[at] >= 0 ? of_x.columns[at] - first_x : 0;
                shares_[t] = of_x.behind[at];
                gaps[t] = gap() + source * old_width;
                ntks[t] = ntk() ? ntk() + source * old_width : nullptr;
            }
            mixing_.window({taps, width_, gaps.data(), ntks.data(), shares_.data(), shares, sources_.data()}, nonnegative,
                           new_gap + r * width_, new_ntk ? new_ntk + r * width_ : nullptr);
        }
        std::swap(gap_, k_);
        if (with_ntk_) std::swap(ntk_, theta_);
        return true;
    }

    // Row by row: each goes on from the one of the step before, at the steps before of the others.
    template <class Stopped>
    bool recur(const Mix& mix, const Stopped& stopped) {
        load_tables(next_, next_ + 1);
        double* const shares = one_.of(3 * width_);
        std::copy_n(q_.at(0), 3 * width_, shares);
        shares_.assign(p_.at(0), p_.at(3 * rows()));
        const std::size_t from = next_ + 1, to = from + mix.inside;
        load_tables(from, to);
        // With a number in front, of which nothing counts.
        double* const before = other_.of(4 * (width_ + kernels_.sliver));
        double *const gap_before = before, *const ntk_before = before + 2 * (width_ + kernels_.sliver);
        Index r = 0;
        for (Index i = items_x_.first; i < items_x_.end(); ++i) {
            std::fill_n(before, 4 * (width_ + kernels_.sliver), 0.0);
            for (Index t = 0; t < length(level_.x, i); ++t, ++r) {
                if (stopped()) return false;
                const double* const share = shares_.data() + 3 * r;
                double *const gap_row = gap() + r * width_, *const ntk_row = ntk() ? ntk() + r * width_ : nullptr;
                mixing_.recur({share[0], share[1], share[2], shares, shares + width_, shares + 2 * width_, gap_before, ntk_before, width_},
                              gap_row, ntk_row);
                if (!through(from, to, r, 1, stopped)) return false;
                std::copy_n(gap_row, columns(), gap_before + 1);
                if (ntk_row) std::copy_n(ntk_row, columns(), ntk_before + 1);
            }
        }
        next_ = to;
        return true;
    }

    const MixKernels& mixing_;
    Room one_, other_;
    std::vector<double> shares_;
    std::vector<Index> sources_;
};

} // namespace fastntk
