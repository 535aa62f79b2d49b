#include "engine.hpp"

#include "kernel_tiles.hpp"

namespace fastntk {
namespace {

template <class T>
class Engine : public KernelTiles<T> {
public:
    using KernelTiles<T>::KernelTiles, KernelTiles<T>::write, KernelTiles<T>::request_;

    void finish(const Tile& tile, Scratch<T>& s) {
        if (!this->evaluate(tile, s, request_.nngp.data, request_.ntk.data)) return;
        if (request_.nngp.data) write(tile, s.gap.data(), request_.nngp);
        if (request_.ntk.data) write(tile, s.ntk.data(), request_.ntk);
    }
};

} // namespace

template <class T>
void compute(const Request<T>& request, const Kernels<T>& kernels, int threads, Monitor& monitor) {
    if (is_empty(request)) return;
    Engine<T> engine(request, kernels, threads, monitor, {.with_ntk = request.ntk.data != nullptr});
    engine.run([&](const auto& tile, auto& scratch) { engine.finish(tile, scratch); });
}

template <class T>
void product(const Request<T>& request, const Kernels<T>& kernels, int threads, Monitor& monitor) {
    if (is_empty(request)) return;
    Engine<T> engine(request, kernels, threads, monitor, {});
    engine.run([&](const auto& tile, auto& scratch) { engine.write(tile, scratch.gap.data(), request.nngp); });
}

template void compute(const Request<float>&, const Kernels<float>&, int, Monitor&);
template void compute(const Request<double>&, const Kernels<double>&, int, Monitor&);
template void product(const Request<float>&, const Kernels<float>&, int, Monitor&);
template void product(const Request<double>&, const Kernels<double>&, int, Monitor&);

} // namespace fastntk
