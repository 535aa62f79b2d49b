// What of the engine of planes Python sees.
#pragma once

#include "../core/cpu.hpp"
#include "../core/planes.hpp"
#include "arrays.hpp"
#include "interrupt.hpp"

namespace fastntk::bindings {

inline Axis axis_of(const Array<Index>& sources, Index inputs) {
    if (sources.ndim() != 2 || !(sources.flags() & py::array::c_style)) throw py::value_error("sources must be a matrix (outputs, taps).");
    Axis axis{inputs, sources.shape(0), sources.shape(1), {sources.data(), sources.data() + sources.size()}};
    for (const Index source : axis.sources)
        if (source < -1 || source >= inputs) throw py::index_error("a source of a window");
    return axis;
}

inline Window window_of(const std::vector<Array<Index>>& sources, const std::vector<Index>& positions) {
    if (sources.size() != positions.size()) throw py::value_error("a window has not the axes of the positions.");
    Window window;
    for (std::size_t i = 0; i < sources.size(); ++i) window.push_back(axis_of(sources[i], positions[i]));
    return padded(std::move(window));
}

// Of an average the positions before it, its sources, and the weights, of each axis.
using GivenPool = std::tuple<std::vector<Index>, std::vector<Array<Index>>, std::vector<std::vector<double>>>;

template <class T>
void add_planes(py::module_& m, const std::string& dtype) {
    const std::string lower = "f" + dtype.substr(1);
    using Network = PlaneNetwork<T>;
    using Side = PlaneSide<T>;
    using Later = std::vector<const Program<double>*>;
    py::class_<Network>(m, ("PlaneNetwork" + dtype).c_str())
        .def(py::init([](const Program<T>& first, const Later& later, const std::vector<GivenPool>& given, const std::vector<Index>& positions, Index channels) {
            std::vector<Pool> pools;
            for (const auto& [before, sources, weights] : given) {
                Pool pool{window_of(sources, before), weights};
                pool.weights.insert(pool.weights.begin(), most_axes - weights.size(), {1.0});
                pools.push_back(std::move(pool));
            }
            if (pools.size() != later.size() && pools.size() != later.size() + 1) throw py::value_error("there is an average before each later stage.");
            Lengths lengths{1, 1, 1};
            std::copy(positions.begin(), positions.end(), lengths.end() - static_cast<std::ptrdiff_t>(positions.size()));
            return Network(first, later, std::move(pools), lengths, channels);
        }))
        .def_property_readonly("lanes", &Network::lanes)
        .def_property_readonly("scratch", &Network::scratch)
        .def_property_readonly("numbers", &Network::numbers)
        .def_property_readonly("takes_any_pairs", &Network::takes_any_pairs)
        .def_property_readonly("work", &Network::work);
    py::class_<Side>(m, ("PlaneSide" + dtype).c_str())
        .def(py::init([](const Network& network, const Program<T>& first, const Later& later, const Array<T>& x, bool rows, Index lanes) {
            const auto& begin = network.first.lengths[0];
            if (x.ndim() != 2 || x.shape(0) != first.items() || x.shape(1) != begin[0] * begin[1] * begin[2] * network.channels || !(x.flags() & py::array::c_style))
                throw py::value_error("x does not fit the network.");
            const WithoutGil released; // the arrays are held by the arguments
            return std::make_unique<Side>(network, first, later, x.data(), rows, lanes);
        }));
    m.def(("compute_planes_" + lower).c_str(),
          [](const std::string& isa, int threads, const Network& network, const Side& x, const Side& y, std::pair<Index, Index> first, bool symmetric,
             std::optional<Array<T>> nngp, std::optional<Array<T>> ntk, py::object progress) {
              const PlaneRequest<T> request{network, x, y, first.first, first.second, symmetric, output_view(nngp), output_view(ntk)};
              PythonMonitor monitor(std::move(progress));
              {
                  const WithoutGil released;
                  compute_planes(request, *select_kernels(isa), threads, monitor);
              }
              monitor.finish();
          });
    m.def(("plane_variances_" + lower).c_str(), [](const std::string& isa, int threads, const Network& network, const Side& side) {
        Index positions = 1;
        for (const Axis& axis : network.pools.back().window) positions *= axis.outputs;
        Array<double> k(positions * side.items), theta(positions * side.items);
        double *const of_k = k.mutable_data(), *const of_theta = theta.mutable_data();
        PythonMonitor monitor(py::none{});
        {
            const WithoutGil released;
            plane_variances(network, side, *select_kernels(isa), threads, monitor, of_k, of_theta);
        }
        monitor.finish();
        return std::pair(k, theta);
    });
}

} // namespace fastntk::bindings
