// Memory that is not initialised.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace fastntk {

// Aligned to cache lines.
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

// As a vector, which can be copied.
template <class T>
struct LeaveAlone : std::allocator<T> {
    template <class U>
    struct rebind {
        using other = LeaveAlone<U>;
    };
    template <class U>
    void construct(U* p) {
        ::new (static_cast<void*>(p)) U;
    }
    template <class U, class... Arguments>
    void construct(U* p, Arguments&&... arguments) {
        ::new (static_cast<void*>(p)) U(std::forward<Arguments>(arguments)...);
    }
};
template <class T>
using Uninitialised = std::vector<T, LeaveAlone<T>>;

} // namespace fastntk
