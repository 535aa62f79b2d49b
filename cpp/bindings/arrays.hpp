// NumPy arrays as the plain views of cpp/core. Shapes and types were checked in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>

#include "../core/request.hpp"

namespace fastntk::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T>;

template <class T>
Index row_stride(const Array<T>& matrix) {
    return matrix.strides(0) / static_cast<Index>(sizeof(T));
}

template <class In>
Rows<In> rows_of(const py::array& x, const Array<double>& inverse_norm) {
    return {static_cast<const In*>(x.data()), x.strides(0) / static_cast<Index>(sizeof(In)), inverse_norm.data()};
}

inline std::variant<Rows<float>, Rows<double>> rows_view(const py::array& x, const Array<double>& inverse_norm) {
    if (py::isinstance<Array<float>>(x)) return rows_of<float>(x, inverse_norm);
    return rows_of<double>(x, inverse_norm);
}

template <class T>
MatrixView<T> output_view(std::optional<Array<T>>& out) {
    if (!out) return {};
    return {out->mutable_data(), row_stride(*out), out->strides(1) / static_cast<Index>(sizeof(T))};
}

} // namespace fastntk::bindings
