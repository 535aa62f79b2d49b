// The tables of an op, in more than the precision of float where that is needed.
#pragma once

#include <utility>
#include <vector>

#include "program.hpp"

namespace fastntk {

// As cpp/isa/smooth.hpp reads them: in float each is the sum of two.
template <class T>
constexpr Index wide_parts = sizeof(T) == sizeof(float) ? 2 : 1;

// [table][part][sample], and for gradients (in double) the derivatives with respect to log q.
template <class T, Index parts = wide_parts<T>>
class WideTables {
public:
    WideTables(std::size_t samples, std::size_t tables, bool with_slopes)
        : samples_(samples), tables_(count * tables), values_(count * tables * samples),
          slopes_(with_slopes ? tables * samples : 0) {}

    void set(std::size_t table, std::size_t sample, Extended value) {
        const T high = static_cast<T>(value);
        values_[count * table * samples_ + sample] = high;
        if constexpr (count == 2)
            values_[(count * table + 1) * samples_ + sample] = static_cast<T>(value - static_cast<Extended>(high));
    }
    void set_slope(std::size_t table, std::size_t sample, Extended slope) {
        slopes_[table * samples_ + sample] = static_cast<T>(slope);
    }
    // What `entries` makes of a sample whose variance, in some unit, is q: an array, one number for each table.
    template <class Entries>
    void set(std::size_t sample, const Entries& entries, Extended q) {
        std::size_t table = 0;
        if (slopes_.empty()) {
            for (const Extended value : entries(q)) set(table++, sample, value);
        } else {
            for (const Tangent& value : entries(Tangent(q, q))) {
                set_slope(table, sample, value.d);
                set(table++, sample, value.v);
            }
        }
    }
    Index table_count() const { return static_cast<Index>(tables_); }
    std::vector<T> values() { return std::move(values_); }
    const std::vector<T>& slopes() const { return slopes_; }

private:
    static constexpr std::size_t count = static_cast<std::size_t>(parts);
    std::size_t samples_, tables_;
    std::vector<T> values_, slopes_;
};

} // namespace fastntk
