// What the engine is asked for, from arrays.
#pragma once

#include "../core/cpu.hpp"
#include "arrays.hpp"
#include "interrupt.hpp"

namespace fastntk::bindings {

template <class T>
const Kernels<T>& kernels_of(const KernelSet& set) {
    if constexpr (sizeof(T) == sizeof(float)) return set.f32;
    else return set.f64;
}

// y is None for a symmetric kernel. `first` says where the rows of x and of y begin among the samples of the program, or of
// what was prepared.
using First = std::pair<Index, Index>;
template <class T>
Request<T> make_request(const Program<T>& program, const py::array& x, const Array<double>& inverse_norm_x,
                        const std::optional<py::array>& y, const Array<double>& inverse_norm_y, const First& first,
                        const Array<double>& centre, const Prepared<T>* prepared = nullptr) {
    Request<T> request;
    request.x = {rows_view(x, inverse_norm_x), x.shape(0), first.first, &program, nullptr};
    request.symmetric = !y.has_value();
    if (y) request.y = {rows_view(*y, inverse_norm_y), y->shape(0), first.second, prepared ? &prepared->program() : &program, prepared};
    request.features = x.shape(1);
    request.directions = centre.shape(0);
    request.centre = centre.data();
    return request;
}

} // namespace fastntk::bindings
