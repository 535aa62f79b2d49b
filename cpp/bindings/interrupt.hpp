// The GIL, Ctrl-C and progress: the engine's monitor, as Python sees it.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <optional>
#include <thread>

#include "../core/request.hpp"

namespace fastntk::bindings {

namespace py = pybind11;

// Of a daemon thread that comes back to Python while the interpreter ends Python 3.11 to 3.13 make an end, by pthread_exit.
// That unwinds its frames, which may happen neither to a parallel region nor to a destructor. So it is caught where Python
// was called, and the thread sleeps as long as the process lives: what Python does from 3.14 on.
template <class Call>
auto outlive_python(const Call& call) {
    try {
        return call();
    } catch (...) { // nothing else is thrown through C
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

// Gives up the GIL while it lives.
class WithoutGil {
public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    ~WithoutGil() {
        outlive_python([this] { PyEval_RestoreThread(state_); });
    }

private:
    PyThreadState* state_;
};

// report() takes the GIL, lets pending signals raise, and calls `progress(fraction)` if there is one.
// What they raise is kept until the engine has stopped and the caller holds the GIL again.
class PythonMonitor final : public Monitor {
public:
    explicit PythonMonitor(py::object progress) : progress_(std::move(progress)) {}

    bool report(double done_fraction) override {
        const PyGILState_STATE state = outlive_python([] { return PyGILState_Ensure(); });
        if (outlive_python([] { return PyErr_CheckSignals(); }) == 0) show(done_fraction);
        if (PyErr_Occurred()) error_.emplace();
        PyGILState_Release(state);
        return !error_;
    }

    // To be called at the end, with the GIL.
    void finish() {
        if (!error_) show(1.0);
        if (PyErr_Occurred()) error_.emplace();
        if (error_) throw std::move(*error_);
    }

private:
    // Leaves what it raises set. Only plain C is between here and Python: see outlive_python.
    void show(double done_fraction) const {
        if (progress_.is_none()) return;
        outlive_python([&] {
            PyObject* const fraction = PyFloat_FromDouble(done_fraction);
            PyObject* const result = fraction ? PyObject_CallOneArg(progress_.ptr(), fraction) : nullptr;
            Py_XDECREF(fraction);
            Py_XDECREF(result);
        });
    }

    py::object progress_;
    std::optional<py::error_already_set> error_;
};

} // namespace fastntk::bindings
