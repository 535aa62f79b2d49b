// NumPy arrays as the plain views of cpp/core. Shapes and types were checked in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "../core/request.hpp"

namespace fastntk::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T>;

template <class T>
Index row_stride(const Array<T>& matrix) {
    return matrix.strides(0) / static_cast<Index>(sizeof(T));
}

inline std::variant<Rows<float>, Rows<double>> rows_view(const py::array& x, const Array<double>& inverse_norm) {
    if (py::isinstance<Array<float>>(x)) {
        const auto rows = x.cast<Array<float>>();
        return Rows<float>{rows.data(), row_stride(rows), inverse_norm.data()};
    }
    const auto rows = x.cast<Array<double>>();
    return Rows<double>{rows.data(), row_stride(rows), inverse_norm.data()};
}

inline Array<double> to_array(const std::vector<Extended>& values) {
    Array<double> result(static_cast<py::ssize_t>(values.size()));
    std::transform(values.begin(), values.end(), result.mutable_data(), [](Extended x) { return static_cast<double>(x); });
    return result;
}

template <class T>
MatrixView<T> output_view(std::optional<Array<T>>& out) {
    if (!out) return {};
    return {out->mutable_data(), row_stride(*out), out->strides(1) / static_cast<Index>(sizeof(T))};
}

} // namespace fastntk::bindings
