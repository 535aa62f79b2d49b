// The Python module fastntk._core: a table of contents. No arithmetic and no checks live here.
#include <omp.h>

#include "../core/concatenation.hpp"
#include "../core/cpu.hpp"
#include "../core/engine.hpp"
#include "../core/rows.hpp"
#include "arrays.hpp"
#include "interrupt.hpp"

namespace fastntk::bindings {
namespace {

template <class T>
const Kernels<T>& kernels_of(const KernelSet& set) {
    if constexpr (sizeof(T) == sizeof(float)) return set.f32;
    else return set.f64;
}

template <class T>
using Entry = bool (*)(const Request<T>&, const Kernels<T>&, int, Monitor&);

template <class T>
using Ops = std::vector<std::tuple<int, bool, Array<T>, Array<T>>>;

// y is None for a symmetric kernel. Tables and scale have the samples of x first, then those of y.
template <class T, Entry<T> entry>
void run(const std::string& isa, int threads, const Ops<T>& ops, const Array<T>& scale, const py::array& x,
         const Array<double>& inverse_norm_x, const std::optional<py::array>& y, const Array<double>& inverse_norm_y,
         const Array<double>& centre, std::optional<Array<T>> nngp, std::optional<Array<T>> ntk, py::object progress) {
    Request<T> request;
    request.program = program_view<T>(ops, scale);
    request.x = {rows_view(x, inverse_norm_x), x.shape(0), 0};
    request.symmetric = !y.has_value();
    if (y) request.y = {rows_view(*y, inverse_norm_y), y->shape(0), x.shape(0)};
    request.features = x.shape(1);
    request.directions = centre.shape(0);
    request.centre = centre.data();
    request.nngp = output_view(nngp);
    request.ntk = output_view(ntk);
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        py::gil_scoped_release released;
        entry(request, kernels_of<T>(*select_kernels(isa)), threads, monitor);
    }
    monitor.rethrow();
}

// The op on single pairs: gap and ntk, in place. Sample i of tables_1 meets sample i of tables_2.
void run_op(const std::string& isa, int code, const Array<double>& parameters, const Array<double>& tables_1,
            const Array<double>& tables_2, Array<double>& gap, Array<double>& ntk) {
    const auto op = select_kernels(isa)->f64.ops[code][op_variant(false, true)];
    const Index stride = row_stride(tables_1);
    std::vector<double> p(static_cast<std::size_t>(tables_1.shape(0)));
    for (Index i = 0; i < gap.shape(0); ++i) {
        for (std::size_t k = 0; k < p.size(); ++k) p[k] = tables_1.data()[static_cast<Index>(k) * stride + i];
        op({parameters.data(), p.data(), tables_2.data() + i, row_stride(tables_2), 1}, gap.mutable_data() + i,
           ntk.mutable_data() + i);
    }
}

template <class T>
void concatenate(const Array<long double>& signal, const Array<long double>& length, long double constant,
                 Array<long double>& carried, Array<T>& tables) {
    concatenation_tables(signal.data(), length.data(), constant, signal.shape(0), carried.mutable_data(),
                         tables.mutable_data());
}

template <class In>
Array<double> norms(const Array<In>& x, int threads) {
    Array<double> result(x.shape(0));
    double* const out = result.mutable_data();
    {
        py::gil_scoped_release released; // x and result are held by this frame
        row_norms(x.data(), row_stride(x), x.shape(0), x.shape(1), threads, out);
    }
    return result;
}

// Adds to sum, in place.
Index add_units(const py::array& x, const Array<double>& inverse_norm, Index most, Array<double>& sum) {
    const auto view = rows_view(x, inverse_norm);
    return std::visit(
        [&](const auto& rows) {
            return add_unit_rows(rows, x.shape(0), x.shape(1), sum.shape(0), most, sum.mutable_data());
        },
        view);
}

std::vector<std::string> supported_names() {
    std::vector<std::string> names;
    for (const KernelSet* set : supported_kernels()) names.emplace_back(set->name);
    return names;
}

} // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.def("compute", run<float, compute<float>>);
    m.def("compute", run<double, compute<double>>);
    m.def("product", run<float, product<float>>);
    m.def("product", run<double, product<double>>);
    m.def("run_op", run_op);
    m.def("concatenation_tables", concatenate<float>);
    m.def("concatenation_tables", concatenate<double>);
    m.def("row_norms", norms<float>);
    m.def("row_norms", norms<double>);
    m.def("add_unit_rows", add_units);
    m.def("supported_instruction_sets", supported_names);
    m.def("max_threads", omp_get_max_threads);

    py::dict codes;
    const char* const names[] = {"dense", "dense_bias_free", "offset", "piecewise_linear", "step",
                                 "sign",  "rectified_square", "rectified_cube", "erf"};
    static_assert(std::size(names) == static_cast<std::size_t>(OpCode::count));
    for (int code = 0; code < static_cast<int>(OpCode::count); ++code) codes[names[code]] = code;
    m.attr("op_codes") = codes;
    m.attr("version") = FASTNTK_VERSION;
    m.attr("compiler") = FASTNTK_COMPILER;
}

} // namespace fastntk::bindings
