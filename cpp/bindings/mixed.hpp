// What of the engine of mixed nodes Python sees.
#pragma once

#include <algorithm>

#include "../core/cpu.hpp"
#include "../core/mixed.hpp"
#include "arrays.hpp"
#include "interrupt.hpp"

namespace fastntk::bindings {

// Rows of nodes, the inverse norms, the starts of samples, and their program.
using GivenNodes = std::tuple<py::array, Array<double>, Array<Index>>;

inline NodeSamples node_samples(const GivenNodes& given, const Program<double>& program) {
    const auto& [rows, inverse, starts] = given;
    if (rows.ndim() != 2 || starts.ndim() != 1 || starts.shape(0) < 1 || starts.data()[starts.shape(0) - 1] != rows.shape(0) || inverse.shape(0) != rows.shape(0))
        throw py::value_error("the nodes do not fit their samples.");
    return {{rows_view(rows, inverse), rows.shape(0), 0, &program, nullptr}, {starts.data(), starts.data() + starts.shape(0)}};
}

inline NodeInput node_input(const Program<double>& x, const GivenNodes& of_x, const Program<double>& y, const GivenNodes& of_y, bool symmetric, const Array<double>& centre) {
    return {node_samples(of_x, x), node_samples(of_y, y), symmetric, std::get<0>(of_x).shape(1), centre.shape(0), centre.data()};
}

inline std::vector<Index> indices(const Array<Index>& array) { return {array.data(), array.data() + array.size()}; }

// A matrix as those of scipy.sparse.csr_array, from the nodes of samples, that begin at `before`, to others.
inline Mix matrix(const Array<Index>& before, const Array<Index>& starts, const Array<Index>& rows, const Array<Index>& columns, const Array<double>& weights, bool nonnegative) {
    Mix mix{.kind = Mix::Kind::matrix, .starts = indices(starts), .nonnegative = nonnegative, .rows = indices(rows), .columns = indices(columns), .weights = {weights.data(), weights.data() + weights.size()}};
    const auto count = static_cast<Index>(mix.columns.size());
    if (mix.starts.empty() || before.size() != starts.size() || mix.rows.size() != static_cast<std::size_t>(mix.starts.back()) + 1 || mix.rows.front() != 0 || mix.rows.back() != count || mix.weights.size() != mix.columns.size())
        throw py::value_error("the matrix does not fit the nodes.");
    if (!std::ranges::is_sorted(mix.rows)) throw py::value_error("the rows of a matrix do not follow each other.");
    for (Index item = 0; item + 1 < starts.size(); ++item) {
        const auto at = [&](Index node) { return mix.columns.begin() + mix.rows[static_cast<std::size_t>(node)]; };
        const Index first = before.data()[item], end = before.data()[item + 1];
        if (!std::all_of(at(starts.data()[item]), at(starts.data()[item + 1]), [&](Index column) { return first <= column && column < end; }))
            throw py::value_error("an edge is between nodes of two samples.");
    }
    mix.see_alike();
    return mix;
}

inline Mix shift(const Array<Index>& starts, double factor, const Array<Index>& codes, const Array<double>& table) {
    return {.kind = Mix::Kind::shift, .starts = indices(starts), .columns = indices(codes),
            .weights = {table.data(), table.data() + table.size()}, .factor = factor};
}

inline Mix pairs(const Array<Index>& starts, double factor, const Array<Index>& codes, const Array<double>& table, bool shifts_values,
                 double scale, double bias) {
    Mix mix = shift(starts, factor, codes, table);
    mix.kind = Mix::Kind::pairs;
    mix.shifts_values = shifts_values;
    mix.scale = scale;
    mix.bias = bias;
    return mix;
}

// Sources of the taps of each new node, [tap][node].
inline Mix window_mix(const Array<Index>& starts, const Array<Index>& sources) {
    Mix mix{.kind = Mix::Kind::window, .starts = indices(starts), .columns = indices(sources), .taps = sources.shape(0)};
    if (sources.ndim() != 2 || mix.starts.empty() || sources.shape(1) != mix.starts.back()) throw py::value_error("the window does not fit the nodes.");
    return mix;
}

// call(monitor) without the GIL, then what signals and `progress` raised. Arrays are held by the arguments of who calls.
template <class Call>
void interruptible(const Call& call, py::object progress = py::none()) {
    PythonMonitor monitor(std::move(progress));
    {
        const WithoutGil released;
        call(monitor);
    }
    monitor.finish();
}

inline void add_mixed(py::module_& m) {
    py::class_<Mix>(m, "Mix");
    m.def("mix_matrix", matrix);
    m.def("mix_shift", shift);
    m.def("mix_window", window_mix);
    m.def("mix_pairs", pairs);
    py::class_<OwnTiles>(m, "OwnTiles")
        .def(py::init([](const std::string& isa, int threads, const Program<double>& program, const GivenNodes& nodes, const Array<double>& centre) {
                 const NodeInput input = node_input(program, nodes, program, nodes, true, centre);
                 const KernelSet& set = *select_kernels(isa);
                 std::unique_ptr<OwnTiles> made;
                 interruptible([&](Monitor& monitor) { made = std::make_unique<OwnTiles>(input, set, threads, monitor); });
                 return made;
             }),
             py::keep_alive<1, 4>(), py::keep_alive<1, 5>(), py::keep_alive<1, 6>())
        .def("advance", [](OwnTiles& own) { interruptible([&](Monitor& monitor) { own.advance(monitor); }); })
        .def("covariances",
             [](OwnTiles& own) {
                 Array<double> k(own.pairs());
                 double* const out = k.mutable_data();
                 interruptible([&](Monitor& monitor) { own.covariances(out, monitor); });
                 return k;
             })
        .def("mixed", [](OwnTiles& own, const Mix& mix) {
            Array<double> k(mix.starts.back()), theta(mix.starts.back());
            double *const of_k = k.mutable_data(), *const of_theta = theta.mutable_data();
            interruptible([&](Monitor& monitor) { own.mixed(mix, of_k, of_theta, monitor); });
            return std::pair(k, theta);
        });
    m.def("compute_mixed", [](const std::string& isa, int threads, const Program<double>& x, const GivenNodes& of_x, const Program<double>& y, const GivenNodes& of_y,
                              bool symmetric, const Array<double>& centre, std::optional<Array<double>> nngp, std::optional<Array<double>> ntk, py::object progress) {
        const MixedRequest request{node_input(x, of_x, y, of_y, symmetric, centre), output_view(nngp), output_view(ntk)};
        interruptible([&](Monitor& monitor) { compute_mixed(request, *select_kernels(isa), threads, monitor); }, std::move(progress));
    });
}

} // namespace fastntk::bindings
