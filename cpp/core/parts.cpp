// The same layers for other samples with positions: part by part, such that what is followed of one stays in a cache of
// a core.
#include <algorithm>
#include <exception>
#include <functional>
#include <numeric>
#include <utility>

#include "program.hpp"
#include "team.hpp"

namespace fastntk {
namespace {

std::size_t size(Index count) { return static_cast<std::size_t>(count); }

// Of a sample at a position and an op, in multiply-adds.
constexpr double work_of_op = 200;

// Samples at positions of a part, about: some 100 bytes each.
constexpr Index samples_of_part = 12288;

// Rows of some numbers, `count` of them: `wide` apart in one array, `narrow` in another.
template <class V>
void copy_rows(const V* from, Index narrow, V* to, Index wide, Index count) {
    for (Index row = 0; row < count; ++row) std::copy_n(from + row * narrow, narrow, to + row * wide);
}

// Those of some items of all, [position][item].
std::vector<double> of_items(const double* all, Index items, Index first, Index count, Index positions) {
    std::vector<double> some(size(positions * count));
    for (Index position = 0; position < positions; ++position)
        std::copy_n(all + position * items + first, count, some.data() + position * count);
    return some;
}

} // namespace

template <class T>
std::unique_ptr<Program<T>> Program<T>::placed_again(int threads, const RowNorms& rows, const double* ntk) const {
    const Index positions = std::accumulate(begin_.begin(), begin_.end(), Index(1), std::multiplies<>()),
                items = static_cast<Index>(rows.norms.size()) / positions;
    auto whole = std::make_unique<Program>(kernels_, threads, RowNorms{{}, rows.features});
    const auto behind = whole->make_room(*this, items);
    if (items == 0) return whole;
    const double work = work_of_op * static_cast<double>(positions * items) * static_cast<double>(ops_.size());
    const int team_size = team(work, items, threads);
    const Index parts = std::clamp<Index>((positions * items + samples_of_part - 1) / samples_of_part, team_size,
                                          std::max<Index>(items, 1));
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(team_size)
    for (Index i = 0; i < parts; ++i) {
        try {
            const Index first = i * items / parts, count = (i + 1) * items / parts - first;
            const std::vector<double> norms = of_items(rows.norms.data(), items, first, count, positions);
            Program part(kernels_, 1, {norms, rows.features});
            part.place(begin_);
            if (ntk)
                part.begin_with(of_items(ntk, items, first, count, positions).data(), begin_units_, begin_nonnegative_);
            part.follow(recipe_);
            whole->take(part, first, behind);
        } catch (...) {
#pragma omp critical
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
    return whole;
}

// For what is known at the end, and for the ops of a model, of so many items; where of windows the tables behind them
// go.
template <class T>
std::vector<std::vector<T>*> Program<T>::make_room(const Program& model, Index items) {
    placed_ = true;
    items_ = items;
    samples_ = model.samples_ / model.items_ * items;
    slots_ = model.slots_;
    node_ = Node(size(samples_), 0);
    node_.positions = model.node_.positions;
    node_.nonnegative = model.node_.nonnegative;
    const auto numbers = [&](const auto& of_model) { return of_model.size() / size(model.items_) * size(items); };
    std::vector<std::vector<T>*> behind;
    for (const Op<T>& op : model.ops_) {
        Op<T>& own = ops_.emplace_back(op);
        own.tables.assign(numbers(op.tables), T(0));
        own.scales.assign(numbers(op.scales), T(0));
        behind.push_back(nullptr);
        if (!op.window) continue;
        const auto window = std::make_shared<WindowOp<T>>(
            WindowOp<T>{op.window->window, op.window->form, std::vector<T>(numbers(op.window->behind))});
        behind.back() = &window->behind;
        own.window = window;
    }
    return behind;
}

// That of items from the first one on.
template <class T>
void Program<T>::take(const Program& part, Index first, const std::vector<std::vector<T>*>& behind) {
    const auto copy = [&](const auto& from, auto& to) {
        if (!from.empty())
            copy_rows(from.data(), part.items_, to.data() + first, items_,
                      static_cast<Index>(from.size()) / part.items_);
    };
    for (std::size_t i = 0; i < ops_.size(); ++i) {
        copy(part.ops_[i].tables, ops_[i].tables);
        copy(part.ops_[i].scales, ops_[i].scales);
        if (behind[i]) copy(part.ops_[i].window->behind, *behind[i]);
    }
    for (const auto flags : {&Fates::variance, &Fates::ntk, &Fates::faint, &Fates::ntk_faint, &Fates::undirected,
                             &Fates::lost, &Fates::flat})
        copy(part.node_.fates.*flags, node_.fates.*flags);
    for (const auto& [from, to] : {std::pair(part.node_.variance.view(), node_.variance.view()),
                                   std::pair(part.node_.ntk.view(), node_.ntk.view())})
        for (const auto numbers : {&ScaledNumbers::high, &ScaledNumbers::low, &ScaledNumbers::power})
            copy_rows(from.*numbers, part.items_, to.*numbers + first, items_, part.samples_ / part.items_);
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
