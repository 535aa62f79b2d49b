// Tables of an op in more than the precision of float.
#pragma once

#include <utility>
#include <vector>

#include "program.hpp"

namespace fastntk {

// As cpp/isa/smooth.hpp reads them, [table][sample]: in float each is the sum of two.
template <class T>
class WideTables {
public:
    WideTables(std::size_t samples, std::size_t tables)
        : samples_(samples), tables_(count * tables), values_(count * tables * samples) {}

    void set(std::size_t table, std::size_t sample, Extended value) {
        const T high = static_cast<T>(value);
        values_[count * table * samples_ + sample] = high;
        if constexpr (count == 2)
            values_[(count * table + 1) * samples_ + sample] = static_cast<T>(value - static_cast<Extended>(high));
    }
    Index table_count() const { return static_cast<Index>(tables_); }
    std::vector<T> take() { return std::move(values_); }

private:
    static constexpr std::size_t count = sizeof(T) == sizeof(float) ? 2 : 1;
    std::size_t samples_, tables_;
    std::vector<T> values_;
};

} // namespace fastntk
