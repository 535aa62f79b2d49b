// The Python module fastntk._core: a table of contents. No arithmetic and no checks live here.
#include <omp.h>

#include <algorithm>

#include "../core/cpu.hpp"
#include "../core/elementwise.hpp"
#include "../core/engine.hpp"
#include "../core/hermite.hpp"
#include "../core/matvec.hpp"
#include "../core/prepared.hpp"
#include "../core/rows.hpp"
#include "gradients.hpp"
#include "limits.hpp"
#include "mixed.hpp"
#include "planes.hpp"
#include "requests.hpp"

namespace fastntk::bindings {
namespace {

template <class T>
void run_compute(const std::string& isa, int threads, const Program<T>& program, const py::array& x,
                 const Array<double>& inverse_norm_x, const std::optional<py::array>& y,
                 const Array<double>& inverse_norm_y, const First& first, const Array<double>& centre,
                 const Prepared<T>* prepared, std::optional<Array<T>> nngp,
                 std::optional<Array<T>> ntk, py::object progress) {
    Request<T> request = make_request(program, x, inverse_norm_x, y, inverse_norm_y, first, centre, prepared);
    request.nngp = output_view(nngp);
    request.ntk = output_view(ntk);
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        const WithoutGil released;
        compute(request, kernels_of<T>(*select_kernels(isa)), threads, monitor);
    }
    monitor.finish();
}

// K V and K^T U: `right` and `left` as [vector][sample], `forward` and `backward` likewise, or None.
template <class T>
void run_kernel_times(const std::string& isa, int threads, const Program<T>& program, const py::array& x,
                      const Array<double>& inverse_norm_x, const std::optional<py::array>& y,
                      const Array<double>& inverse_norm_y, const First& first, const Array<double>& centre,
                      const Prepared<T>* prepared, bool is_ntk,
                      const std::optional<Array<double>>& right, std::optional<Array<double>> forward,
                      const std::optional<Array<double>>& left, std::optional<Array<double>> backward, py::object progress) {
    const Request<T> request = make_request(program, x, inverse_norm_x, y, inverse_norm_y, first, centre, prepared);
    Factors factors;
    factors.width = right ? right->shape(0) : left->shape(0);
    if (right) factors.right = right->data();
    if (forward) factors.forward = forward->mutable_data();
    if (left) factors.left = left->data();
    if (backward) factors.backward = backward->mutable_data();
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        const WithoutGil released;
        kernel_times(request, is_ntk, factors, kernels_of<T>(*select_kernels(isa)), threads, monitor);
    }
    monitor.finish();
}

template <class T>
void require_shape(const Array<T>& array, std::initializer_list<Index> shape, const char* what) {
    if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim()) || !(array.flags() & py::array::c_style))
        throw py::value_error(std::string("the shape or order of ") + what + " does not fit the samples.");
}

template <class T>
void run_matrix_times(const std::string& isa, int threads, const Array<T>& matrix, bool transposed, const Array<double>& v,
                      Array<double>& out) {
    require_shape(v, {v.shape(0), matrix.shape(transposed ? 0 : 1)}, "vectors");
    require_shape(out, {v.shape(0), matrix.shape(transposed ? 1 : 0)}, "products");
    double* const target = out.mutable_data();
    const WithoutGil released; // the arrays are held by the arguments
    matrix_times(matrix.data(), row_stride(matrix), matrix.shape(0), matrix.shape(1), transposed, v.data(), v.shape(0), target,
                 kernels_of<T>(*select_kernels(isa)), threads);
}

// The inner products of the rows times inverse_norm minus centre.
template <class T>
void run_product(const std::string& isa, int threads, const py::array& x, const Array<double>& inverse_norm_x,
                 const std::optional<py::array>& y, const Array<double>& inverse_norm_y, const Array<double>& centre,
                 std::optional<Array<T>> out) {
    const KernelSet& set = *select_kernels(isa);
    const Program<T> nothing(*set.samples, 1, {});
    Request<T> request = make_request(nothing, x, inverse_norm_x, y, inverse_norm_y, {}, centre);
    request.nngp = output_view(out);
    PythonMonitor monitor{py::none()};
    {
        const WithoutGil released; // the arrays are held by the arguments
        product(request, kernels_of<T>(set), threads, monitor);
    }
    monitor.finish();
}

// A method of a program that takes what Python computed of each sample.
template <class P>
auto computed_op(void (P::*method)(const Computed&)) {
    return [method](P& program, std::vector<double> parameters, const Array<double>& tables,
                    const Array<double>& variance, const Array<double>& slope,
                    const std::optional<Array<double>>& powers, const std::optional<Array<double>>& table_slopes,
                    const std::optional<Array<double>>& elasticity) {
        const Index samples = program.samples(), count = tables.ndim() == 2 ? tables.shape(0) : -1;
        require_shape(tables, {count, samples}, "tables");
        require_shape(variance, {samples}, "variance");
        require_shape(slope, {samples}, "slope");
        if (powers) require_shape(*powers, {2, samples}, "powers");
        if (program.with_gradient()) {
            if (!table_slopes || !elasticity) throw py::value_error("a program with gradients needs those of the tables.");
            require_shape(*table_slopes, {count, samples}, "table_slopes");
            require_shape(*elasticity, {samples}, "elasticity");
        }
        (program.*method)({std::move(parameters), tables.data(), tables.shape(0), variance.data(), slope.data(),
                           powers ? powers->data() : nullptr, table_slopes ? table_slopes->data() : nullptr,
                           elasticity ? elasticity->data() : nullptr});
    };
}

// All rows of one program, ready for many requests.
template <class T>
std::unique_ptr<Prepared<T>> prepare(const std::string& isa, int threads, const Program<T>& program, const py::array& x,
                                     const Array<double>& inverse_norm, const Array<double>& centre) {
    const Request<T> request = make_request(program, x, inverse_norm, std::nullopt, inverse_norm, {}, centre);
    const WithoutGil released; // the arrays are held by the arguments
    return std::make_unique<Prepared<T>>(request, kernels_of<T>(*select_kernels(isa)), threads);
}

template <class T>
void add_prepared(py::module_& m, const char* name) {
    py::class_<Prepared<T>>(m, name).def(py::init(&prepare<T>), py::keep_alive<1, 4>(), py::arg(), py::arg(), py::arg(),
                                         py::arg().noconvert(), py::arg().noconvert(), py::arg().noconvert());
}

template <class P>
Array<double> per_sample(const P& program, void (P::*write)(double*) const) {
    Array<double> values(program.samples());
    (program.*write)(values.mutable_data());
    return values;
}

RowNorms rows_of(const Array<double>& norms, Index features, const std::optional<Array<double>>& excess) {
    RowNorms rows{{norms.data(), norms.data() + norms.shape(0)}, features};
    if (!excess) return rows;
    require_shape(*excess, {norms.shape(0)}, "excess");
    rows.excess = {excess->data(), excess->data() + excess->shape(0)};
    return rows;
}

template <class T>
Program<T> make_program(const std::string& isa, int threads, const Array<double>& norms, Index features,
                        std::vector<std::vector<double>> directions, const std::optional<Array<double>>& excess) {
    return {*select_kernels(isa)->samples, threads, rows_of(norms, features, excess), std::move(directions)};
}

template <class T>
void add_recipe(py::module_& m, const char* name) {
    py::class_<Recipe<T>>(m, name).def(
        "program", [](const Recipe<T>& recipe, const std::string& isa, int threads, const Array<double>& norms, Index features,
                      std::vector<std::vector<double>> directions) {
            auto program = make_program<T>(isa, threads, norms, features, std::move(directions), std::nullopt);
            const WithoutGil released; // the recipe is held by the arguments
            program.follow(recipe);
            return program;
        });
}

template <class T>
void add_program(py::module_& m, const char* name) {
    using P = Program<T>;
    py::class_<P>(m, name)
        .def(py::init(&make_program<T>), py::arg(), py::arg(), py::arg(), py::arg() = 0, py::arg() = std::vector<std::vector<double>>(),
             py::arg() = py::none())
        .def_property_readonly("with_gradient", &P::with_gradient)
        .def("follow_inputs", &P::follow_inputs)
        .def("dense", &P::dense)
        .def("dense_standard", &P::dense_standard)
        .def("set_width", &P::set_width)
        .def("fork", &P::fork)
        .def("add", &P::add)
        .def("multiply", &P::multiply)
        .def("join", &P::join)
        .def("follow_means", &P::follow_means)
        .def_property_readonly("with_means", &P::with_means)
        .def("set_mean",
             [](P& p, const Array<double>& mean, const Array<double>& slope) {
                 require_shape(mean, {p.samples()}, "mean");
                 require_shape(slope, {p.samples()}, "slope");
                 p.set_mean(mean.data(), slope.data());
             })
        .def("limit_ntk", &P::limit_ntk)
        .def("layer_norm", &P::layer_norm)
        .def("normalise_nodes", [](P& p, double eps, const Array<Index>& starts) { p.normalise_nodes(eps, indices(starts)); })
        .def("place", &P::place)
        .def_property_readonly("positions", &P::positions)
        .def("begin_with",
             [](P& p, const Array<double>& ntk, double units, bool nonnegative) {
                 require_shape(ntk, {p.samples()}, "ntk");
                 p.begin_with(ntk.data(), units, nonnegative);
             })
        .def_property_readonly("nonnegative", &P::nonnegative)
        .def("conv",
             [](P& p, const std::vector<Array<Index>>& sources, double sigma_w, double sigma_b, bool trainable, bool standard, bool bias) {
                 p.conv(window_of(sources, p.positions()), sigma_w, sigma_b, trainable, standard, bias);
             })
        .def("flatten", &P::flatten)
        .def("mix_nodes",
             [](P& p, const Mix& mix, const Array<double>& variance, const Array<double>& ntk) {
                 require_shape(variance, {mix.starts.back()}, "variance");
                 require_shape(ntk, {mix.starts.back()}, "ntk");
                 p.mix(mix, variance.data(), ntk.data());
             })
        .def_property_readonly("multiplies_input", &P::multiplies_input)
        .def("settle", &P::settle)
        .def("recur_nodes", [](P& p, const P& activation, const Array<Index>& starts, double sigma_w, double sigma_u,
                         double sigma_b) { p.recur(activation, indices(starts), sigma_w, sigma_u, sigma_b); })
        .def("dropout", &P::dropout)
        .def("first_lost", &P::first_lost)
        .def("why_lost", &P::why_lost)
        .def("piecewise_linear", &P::piecewise_linear)
        .def("rectified_monomial", &P::rectified_monomial)
        .def("sign", &P::sign)
        .def("erf", &P::erf)
        .def("smooth", [](P& p, const std::string& op,
                          const std::vector<double>& arguments) { p.smooth(op, arguments); })
        .def("expansion", computed_op(&P::expansion), py::arg(), py::arg(), py::arg(), py::arg(), py::arg() = py::none(),
             py::arg() = py::none(), py::arg() = py::none())
        .def("pieces", computed_op(&P::pieces), py::arg(), py::arg(), py::arg(), py::arg(), py::arg() = py::none(),
             py::arg() = py::none(), py::arg() = py::none())
        .def("quadrature",
             [](P& p, const std::string& function, const std::vector<double>& parameters,
                const std::vector<double>& nodes, const std::vector<double>& weights) {
                 if (nodes.size() != weights.size()) throw py::value_error("nodes and weights differ in number.");
                 p.quadrature(std::make_shared<QuadratureRule>(scalar_function(function, parameters), nodes, weights));
             })
        .def("replace_ops", &P::replace_ops)
        .def("again", [](const P& p, int threads, const Array<double>& norms, Index features, const std::optional<Array<double>>& ntk,
                         const std::optional<Array<double>>& excess) {
            if (ntk) require_shape(*ntk, {norms.shape(0)}, "ntk");
            const RowNorms rows = rows_of(norms, features, excess);
            const WithoutGil released; // the arrays are held by the arguments
            return p.again(threads, rows, ntk ? ntk->data() : nullptr);
        }, py::arg(), py::arg(), py::arg(), py::arg() = py::none(), py::arg() = py::none())
        .def("recipe", &P::recipe)
        .def_property_readonly("univariate", &P::univariate)
        .def_property_readonly("op_count", &P::op_count)
        .def("first_out_of_range", &P::first_out_of_range)
        .def("scale_pairs", [](const P& p, Array<double>& values) { p.scale_pairs(values.mutable_data()); }, py::arg().noconvert())
        .def_property_readonly("variance", [](const P& p) { return per_sample(p, &P::variance); })
        .def_property_readonly("variance_slope", [](const P& p) { return per_sample(p, &P::variance_slope); })
        .def_property_readonly("ntk", [](const P& p) { return per_sample(p, &P::ntk); });
    // noconvert: a converted array would be a temporary, and what is written to it lost.
    const auto array = [] { return py::arg().noconvert(); };
    // A name of their own: to find that a program is of the other type takes longer than a small kernel.
    const std::string of_type = sizeof(T) == sizeof(float) ? "_float32" : "_float64";
    m.def(("compute" + of_type).c_str(), run_compute<T>, py::arg(), py::arg(), py::arg(), array(), array(), array(), array(), py::arg(),
          array(), py::arg(), array(), array(), py::arg());
    m.def(("kernel_times" + of_type).c_str(), run_kernel_times<T>, py::arg(), py::arg(), py::arg(), array(), array(), array(), array(),
          py::arg(), array(), py::arg(), py::arg(), array(), array(), array(), array(), py::arg());
    m.def("matrix_times", run_matrix_times<T>, py::arg(), py::arg(), array(), py::arg(), array(), array());
    m.def("product", run_product<T>, py::arg(), py::arg(), array(), array(), array(), array(), array(), array());
}

template <class T>
void run_elementwise(const std::string& isa, const Program<T>& program, Array<T>& gap, Array<T>& ntk) {
    T* const gaps = gap.mutable_data();
    T* const ntks = ntk.mutable_data();
    const Index count = gap.size();
    const WithoutGil released; // program and arrays are held by the arguments
    apply_elementwise(program, kernels_of<T>(*select_kernels(isa)), count, gaps, ntks);
}

// Norms of the rows; their inverses, 0 for zero rows; whether all norms can be squared; whether none is 0.
template <class In>
std::tuple<Array<double>, Array<double>, bool, bool> norms(const Array<In>& x, int threads) {
    Array<double> norm(x.shape(0));
    Array<double> inverse(x.shape(0));
    double* const out = norm.mutable_data();
    double* const out_inverse = inverse.mutable_data();
    RowSummary summary;
    {
        const WithoutGil released; // x and the results are held by this frame
        summary = row_norms(x.data(), row_stride(x), x.shape(0), x.shape(1), threads, out, out_inverse);
    }
    return {norm, inverse, summary.squarable, summary.nonzero};
}

// See rows.hpp.
Array<double> excess_of_squares(const py::array& x, const Array<double>& norms, const Array<double>& inverse_norm, int threads) {
    Array<double> excess(x.shape(0));
    double* const out = excess.mutable_data();
    const auto view = rows_view(x, inverse_norm);
    const Index count = x.shape(0), features = x.shape(1);
    const double* const given = norms.data();
    const WithoutGil released; // the arrays are held by the arguments and this frame
    std::visit([&](const auto& rows) { square_excess(rows, count, features, threads, given, out); }, view);
    return excess;
}

// The mean of every so manyeth row of some matrices, over its norm, and the norms of these rows: matrices with their norms, the
// inverses of these, and the steps. One direction more is that of zero rows.
using Sampled = std::tuple<py::array, Array<double>, Array<double>, Index>;
std::pair<Array<double>, Array<double>> centre(const std::vector<Sampled>& samples, bool zero_rows) {
    const Index features = std::get<0>(samples.at(0)).shape(1), directions = features + zero_rows;
    Index total = 0;
    for (const auto& [x, norms, inverse, step] : samples) total += (x.shape(0) + step - 1) / step;
    Array<double> mean(directions), norms_of_all(total);
    double *const sum = mean.mutable_data(), *norm = norms_of_all.mutable_data();
    std::fill_n(sum, directions, 0.0);
    for (const auto& [x, norms, inverse, step] : samples) {
        const Index count = x.shape(0);
        for (Index i = 0; i < count; i += step) *norm++ = norms.data()[i];
        const auto view = rows_view(x, inverse);
        const WithoutGil released; // the arrays are held by the arguments and this frame
        // clang 14 captures no name of a structured binding but so.
        std::visit([&, step = step](const auto& rows) { add_unit_rows(rows, count, features, directions, step, sum); }, view);
    }
    for (Index k = 0; k < directions; ++k) sum[k] /= static_cast<double>(std::max<Index>(total, 1));
    return {mean, norms_of_all};
}

// [order][point], for ascending orders.
Array<double> hermite_table(const std::string& isa, int threads, const Array<double>& z,
                            const Array<std::int64_t>& orders) {
    Array<double> table({orders.shape(0), z.shape(0)});
    double* const out = table.mutable_data();
    {
        const WithoutGil released; // the arrays are held by the arguments and this frame
        hermite_functions(*select_kernels(isa), threads, z.data(), z.shape(0), orders.data(), orders.shape(0), out);
    }
    return table;
}

// Gaps of pairs of a covariance and two variances.
Array<double> pair_gaps(const std::string& isa, const Array<double>& c, const Array<double>& q1, const Array<double>& q2) {
    Array<double> gap(c.shape(0));
    select_kernels(isa)->samples->gaps(c.shape(0), c.data(), q1.data(), q2.data(), gap.mutable_data());
    return gap;
}

Array<double> inverse_lengths(const std::string& isa, const Array<double>& q1, const Array<double>& q2) {
    Array<double> inverse(q1.shape(0));
    select_kernels(isa)->samples->inverse_lengths(q1.shape(0), q1.data(), q2.data(), inverse.mutable_data());
    return inverse;
}

// Numbers as the sum of two rows, in place.
void double_double(const std::string& isa, int which, Array<double>& x, Array<double>& y) {
    const auto numbers = [](Array<double>& a) { return WideNumbers{a.mutable_data(0), a.mutable_data(1)}; };
    if (!select_kernels(isa)->samples->double_double(which, x.shape(1), numbers(x), numbers(y)))
        throw py::index_error("no function of that number");
}

std::vector<std::string> supported_names() {
    std::vector<std::string> names;
    for (const KernelSet* set : supported_kernels()) names.emplace_back(set->name);
    return names;
}

} // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    py::detail::npy_api::get(); // not in the first call, which would give up the GIL for it: see outlive_python
    add_program<float>(m, "ProgramFloat32");
    add_program<double>(m, "ProgramFloat64");
    add_recipe<float>(m, "RecipeFloat32");
    add_recipe<double>(m, "RecipeFloat64");
    add_prepared<float>(m, "PreparedFloat32");
    add_prepared<double>(m, "PreparedFloat64");
    add_planes<float>(m, "Float32");
    add_planes<double>(m, "Float64");
    add_mixed(m);
    const auto array = [] { return py::arg().noconvert(); };
    m.def("run_elementwise", run_elementwise<float>, py::arg(), py::arg(), array(), array());
    m.def("run_elementwise", run_elementwise<double>, py::arg(), py::arg(), array(), array());
    add_gradients(m);
    add_limits(m);
    m.def("row_norms", norms<float>, array(), py::arg());
    m.def("row_norms", norms<double>, array(), py::arg());
    m.def("square_excess", excess_of_squares, array(), array(), array(), py::arg());
    m.def("centre", centre);
    m.def("hermite_functions", hermite_table, py::arg(), py::arg(), array(), array());
    m.def("pair_gaps", pair_gaps);
    m.def("inverse_lengths", inverse_lengths);
    m.def("double_double", double_double, py::arg(), py::arg(), array(), array());
    m.def("has_scalar_function", [](const std::string& function) {
        const std::vector<double> any(3, 1.0);
        return static_cast<bool>(scalar_function(function, any).phi);
    });
    m.def("supported_instruction_sets", supported_names);
    m.def("max_threads", omp_get_max_threads);
    m.attr("version") = FASTNTK_VERSION;
    m.attr("compiler") = FASTNTK_COMPILER;
}

} // namespace fastntk::bindings
