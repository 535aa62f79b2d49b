// Ctrl-C and progress: the engine's monitor, as Python sees it.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "../core/request.hpp"

namespace fastntk::bindings {

namespace py = pybind11;

// report() takes the GIL, lets pending signals raise, and calls `progress(fraction)` if there is one.
// What they raise is kept until the engine has stopped and the caller holds the GIL again.
class PythonMonitor final : public Monitor {
public:
    explicit PythonMonitor(py::object progress) : progress_(std::move(progress)) {}

    bool report(double done_fraction) override {
        py::gil_scoped_acquire acquired;
        try {
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (!progress_.is_none()) progress_(done_fraction);
        } catch (py::error_already_set& error) {
            error_.emplace(std::move(error));
        }
        return !error_;
    }

    // To be called at the end, with the GIL.
    void finish() {
        if (error_) throw std::move(*error_);
        if (!progress_.is_none()) progress_(1.0);
    }

private:
    py::object progress_;
    std::optional<py::error_already_set> error_;
};

} // namespace fastntk::bindings
