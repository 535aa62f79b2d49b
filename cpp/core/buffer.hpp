// Scratch memory aligned to cache lines, not initialised.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace fastntk {

template <class T>
class AlignedBuffer {
public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::ptrdiff_t size)
        : data_(static_cast<T*>(::operator new(static_cast<std::size_t>(size) * sizeof(T), alignment))) {}

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }

private:
    static constexpr std::align_val_t alignment{64};
    struct Free {
        void operator()(T* p) const { ::operator delete(p, alignment); }
    };
    std::unique_ptr<T, Free> data_;
};

} // namespace fastntk
