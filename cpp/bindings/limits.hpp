// What bench/roofline.py measures the machine by.
#pragma once

#include "../core/limits.hpp"
#include "requests.hpp"

namespace fastntk::bindings {

template <class T>
void run_last_op(const std::string& isa, const Program<T>& program, bool apply, Index repetitions, const Array<T>& gap) {
    if (program.ops().empty()) throw py::value_error("a program without ops.");
    if (gap.size() > program.samples()) throw py::value_error("more gaps than samples.");
    const WithoutGil released; // program and array are held by the arguments
    repeat_last_op(program, kernels_of<T>(*select_kernels(isa)), apply, repetitions, gap.data(), gap.size());
}

inline void add_limits(py::module_& m) {
    m.def("multiply_adds", [](const std::string& isa, int threads, bool is_float, Index steps) {
        const WithoutGil released;
        return multiply_adds(limits_of(*select_kernels(isa)), threads, is_float, steps);
    });
    m.def("fill", [](const std::string& isa, int threads, Array<float>& out, float value, bool streaming) {
        float* const data = out.mutable_data();
        const Index length = out.size();
        const WithoutGil released; // the array is held by the arguments
        fill(limits_of(*select_kernels(isa)), threads, value, data, length, streaming);
    }, py::arg(), py::arg(), py::arg().noconvert(), py::arg(), py::arg());
    m.def("total", [](const std::string& isa, int threads, const Array<float>& x) {
        const WithoutGil released; // the array is held by the arguments
        return total(limits_of(*select_kernels(isa)), threads, x.data(), x.size());
    }, py::arg(), py::arg(), py::arg().noconvert());
    m.def("repeat_last_op", run_last_op<float>, py::arg(), py::arg(), py::arg(), py::arg(), py::arg().noconvert());
    m.def("repeat_last_op", run_last_op<double>, py::arg(), py::arg(), py::arg(), py::arg(), py::arg().noconvert());
}

} // namespace fastntk::bindings
