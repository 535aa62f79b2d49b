#include "computed.hpp"

#include <stdexcept>
#include <string>

namespace fastntk {
namespace {

void require(bool right, const char* what) {
    if (!right) throw std::invalid_argument(std::string("an op that was computed of each sample has the wrong ") + what + ".");
}

// A parameter that counts something, from 0 to most.
Index count(double value, Index most, const char* what) {
    require(value >= 0 && value <= static_cast<double>(most), what);
    const Index whole = static_cast<Index>(value);
    require(static_cast<double>(whole) == value, what);
    return whole;
}

constexpr Index many = Index(1) << 24; // as far as float counts

// The columns of one series: exponents, levels, multiples and five that are only read. Powers are made up to the level of
// the last step, so that no earlier one may be higher; there is no step from the last term.
void check_series(const double* columns, Index terms) {
    const double *level = columns + terms, *multiple = columns + 2 * terms;
    Index reached = 0;
    for (Index r = 0; r + 1 < terms; ++r) {
        const Index next = count(level[r], most_levels - 1, "levels");
        require(next >= reached, "order of levels");
        reached = next;
        count(multiple[r], most_multiples, "multiples");
        require(next > 0 || multiple[r] <= 1, "multiples");
    }
}

} // namespace

void check_expansion(const Computed& computed) {
    const std::vector<double>& p = computed.parameters;
    const Index size = static_cast<Index>(p.size());
    require(size >= 5, "number of parameters");
    const Index distances = count(p[0], many, "number of tables"), even = count(p[1], many, "number of terms"),
                odd = count(p[2], many, "number of terms"), bends = count(p[3], 2, "bends");
    require(size == 5 + series_columns * (even + odd), "number of parameters");
    require(computed.table_count == distances + even + odd + (bends > 0 ? 2 : 0), "number of tables");
    check_series(p.data() + 5, even);
    check_series(p.data() + 5 + series_columns * even, odd);
}

Index check_pieces(const Computed& computed) {
    const std::vector<double>& p = computed.parameters;
    require(p.size() >= 2, "number of parameters");
    const Index terms = count(p[0], many, "number of terms"), kinks = count(p[1], many, "number of thresholds");
    require(static_cast<Index>(p.size()) == 2 + 2 * kinks + mehler_parameters, "number of parameters");
    const double* const mehler = p.data() + 2 + 2 * kinks;
    const Index wide = 4 * terms + kinks * kink_tables + (mehler[5] >= 0 ? 1 : 0);
    Index more = 0;
    for (int kind = 0; kind < 4; ++kind) more += count(mehler[kind], most_orders, "number of terms");
    require(mehler[5] < 1 && (mehler[5] < 0 || terms == 3), "reach");
    require(computed.table_count == wide + more, "number of tables");
    return wide;
}

} // namespace fastntk
