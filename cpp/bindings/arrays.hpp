// NumPy arrays as the plain views of cpp/core. Shapes and types were checked in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

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

// ops: (code, nonnegative, parameters, tables) each, the tables of shape (k, samples).
template <class T>
Program<T> program_view(const std::vector<std::tuple<int, bool, Array<T>, Array<T>>>& ops, const Array<T>& scale) {
    Program<T> program;
    program.scale = scale.data();
    for (const auto& [code, nonnegative, parameters, tables] : ops)
        program.ops.push_back({static_cast<OpCode>(code), nonnegative, parameters.data(), tables.data(),
                               tables.shape(0), row_stride(tables)});
    return program;
}

template <class T>
MatrixView<T> output_view(std::optional<Array<T>>& out) {
    if (!out) return {};
    return {out->mutable_data(), row_stride(*out), out->strides(1) / static_cast<Index>(sizeof(T))};
}

} // namespace fastntk::bindings
