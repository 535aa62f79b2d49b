// Derivatives of kernels, in parameters and in the inputs.
#pragma once

#include "../core/gradient.hpp"
#include "../core/input_gradient.hpp"
#include "requests.hpp"

namespace fastntk::bindings {

// Slopes of one kernel into an array (direction, row, column), or their sums weighted by a matrix; None: not wanted.
// Behind the slopes there may be the second derivatives.
inline Slopes slopes_of(Index directions, std::optional<Array<double>>& matrices, const std::optional<Array<double>>& weights,
                 std::optional<Array<double>>& sums) {
    constexpr Index size = sizeof(double);
    Slopes slopes;
    slopes.wanted = matrices || sums;
    if (matrices) {
        slopes.matrices = {matrices->mutable_data(), matrices->strides(1) / size, matrices->strides(2) / size};
        slopes.direction_stride = matrices->strides(0) / size;
        if (matrices->shape(0) > directions) {
            slopes.second = slopes.matrices;
            slopes.second.data += directions * slopes.direction_stride;
        }
    }
    if (sums) {
        slopes.weights = {weights->data(), weights->strides(0) / size, weights->strides(1) / size};
        slopes.sums = sums->mutable_data();
    }
    return slopes;
}

inline void run_gradient(const std::string& isa, int threads, const Program<double>& program, const py::array& x,
                  const Array<double>& inverse_norm_x, const std::optional<py::array>& y,
                  const Array<double>& inverse_norm_y, const First& first, const Array<double>& centre, std::optional<Array<double>> nngp,
                  std::optional<Array<double>> ntk, std::optional<Array<double>> nngp_slopes,
                  std::optional<Array<double>> ntk_slopes, const std::optional<Array<double>>& weights,
                  std::optional<Array<double>> nngp_sums, std::optional<Array<double>> ntk_sums, py::object progress) {
    Request<double> request = make_request(program, x, inverse_norm_x, y, inverse_norm_y, first, centre);
    request.nngp = output_view(nngp);
    request.ntk = output_view(ntk);
    const Slopes of_nngp = slopes_of(program.directions(), nngp_slopes, weights, nngp_sums),
                 of_ntk = slopes_of(program.directions(), ntk_slopes, weights, ntk_sums);
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        const WithoutGil released;
        compute_gradient(request, of_nngp, of_ntk, *select_kernels(isa), threads, monitor);
    }
    monitor.finish();
}

// Sums over the pairs into arrays, see input_gradient.hpp: `own` and `pull` of rows, and of columns unless None.
inline void run_input_gradient(const std::string& isa, int threads, const Program<double>& program, const py::array& x,
                        const Array<double>& inverse_norm_x, const std::optional<py::array>& y, const Array<double>& inverse_norm_y,
                        const First& first, const Array<double>& centre, const Prepared<double>* prepared, bool is_ntk,
                        const Array<double>& weights, const std::optional<Array<double>>& further_weights, Array<double>& along,
                        const Array<double>& unit, Array<double>& own, Array<double>& pull, const Array<double>& unit_columns,
                        std::optional<Array<double>> own_columns, std::optional<Array<double>> pull_columns, py::object progress) {
    const Request<double> request = make_request(program, x, inverse_norm_x, y, inverse_norm_y, first, centre, prepared);
    const auto matrix = [](const Array<double>& m) -> MatrixView<const double> {
        constexpr Index size = sizeof(double);
        return {m.data(), m.strides(0) / size, m.strides(1) / size};
    };
    const InputSlopes slopes{is_ntk,
                             matrix(weights),
                             further_weights ? matrix(*further_weights) : MatrixView<const double>{},
                             along.mutable_data(),
                             {unit.data(), own.mutable_data(), pull.mutable_data()},
                             {unit_columns.data(), own_columns ? own_columns->mutable_data() : nullptr,
                              pull_columns ? pull_columns->mutable_data() : nullptr}};
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        const WithoutGil released;
        compute_input_gradient(request, slopes, *select_kernels(isa), threads, monitor);
    }
    monitor.finish();
}

// Into an array (row, column, feature), for rows of these norms; and the kernel itself, unless None.
inline void run_input_slopes(const std::string& isa, int threads, const Program<double>& program, const py::array& x,
                      const Array<double>& inverse_norm_x, const std::optional<py::array>& y, const Array<double>& inverse_norm_y,
                      const First& first, const Array<double>& centre, const Prepared<double>* prepared, bool is_ntk,
                      const Array<double>& norms, std::optional<Array<double>> kernel, Array<double> out, py::object progress) {
    Request<double> request = make_request(program, x, inverse_norm_x, y, inverse_norm_y, first, centre, prepared);
    (is_ntk ? request.ntk : request.nngp) = output_view(kernel);
    PythonMonitor monitor(std::move(progress));
    {
        // Safe: the arrays are held by the arguments, and the monitor takes the GIL when it calls Python.
        const WithoutGil released;
        compute_input_slopes(request, is_ntk, norms.data(), out.mutable_data(), *select_kernels(isa), threads, monitor);
    }
    monitor.finish();
}

inline void add_gradients(py::module_& m) {
    const auto array = [] { return py::arg().noconvert(); };
    m.def("compute_gradient", run_gradient, py::arg(), py::arg(), py::arg(), array(), array(), array(), array(), py::arg(),
          array(), array(), array(), array(), array(), array(), array(), array(), py::arg());
    m.def("compute_input_gradient", run_input_gradient, py::arg(), py::arg(), py::arg(), array(), array(), array(), array(), py::arg(),
          array(), py::arg(), py::arg(), array(), array(), array(), array(), array(), array(), array(), array(), array(), py::arg());
    m.def("compute_input_slopes", run_input_slopes, py::arg(), py::arg(), py::arg(), array(), array(), array(), array(), py::arg(),
          array(), py::arg(), py::arg(), array(), array(), array(), py::arg());
}

} // namespace fastntk::bindings
