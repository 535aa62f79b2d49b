#include "program.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "wide_tables.hpp"

namespace fastntk {
namespace {

constexpr Extended pi = std::numbers::pi_v<Extended>;

constexpr Extended square(Extended x) { return x * x; }

} // namespace

template <class T>
Program<T>::Program(std::vector<Extended> variance)
    : variance_(std::move(variance)), ntk_(variance_.size(), 0), carried_(variance_.size(), 1) {}

template <class T>
void Program<T>::emit(OpCode code, std::vector<T> parameters, std::vector<T> tables, Index table_count) {
    ops_.push_back({code, nonnegative_, std::move(parameters), std::move(tables), table_count, nullptr});
    if (table_count > 0 && univariate_ && !variance_.empty()) {
        // Norms that are equal but for rounding differ by a few units of it.
        constexpr Extended rounding = 8 * static_cast<Extended>(std::numeric_limits<T>::epsilon());
        const auto [least, most] = std::minmax_element(variance_.begin(), variance_.end());
        univariate_ = *most - *least <= rounding * *least;
    }
}

template <class T>
void Program<T>::replace_ops(const std::vector<double>& parameters) {
    ops_.clear();
    std::vector<T> rounded;
    for (const double value : parameters) rounded.push_back(static_cast<T>(value));
    emit(OpCode::univariate, std::move(rounded));
}

// Joins the feature vector, of squared length K(x, x), and one feature of squared length `constant`:
// tables a; (a - mean a)/sqrt 2; (b - mean b)/sqrt 2; b/sqrt 2, with a^2 and b^2 their shares, a^2 + b^2 = 1.
//
// In a deep network a converges, and would be rounded the same way in every layer. So it is rounded such
// that its product over the layers so far is kept: carried is exact product / product of rounded numbers.
template <class T>
void Program<T>::concatenate(OpCode code, Extended constant) {
    const std::size_t n = variance_.size();
    std::vector<Extended> a(n), b(n);
    Extended mean_a = 0;
    Extended mean_b = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const Extended inverse = 1 / (variance_[i] + constant);
        mean_a += a[i] = std::sqrt(variance_[i] * inverse);
        mean_b += b[i] = std::sqrt(constant * inverse);
    }
    mean_a /= static_cast<Extended>(n);
    mean_b /= static_cast<Extended>(n);
    const Extended half = std::sqrt(Extended(0.5));
    std::vector<T> tables(4 * n);
    for (std::size_t i = 0; i < n; ++i) {
        const T rounded = static_cast<T>(a[i] * carried_[i]);
        carried_[i] = rounded >= std::numeric_limits<T>::min() ? a[i] * carried_[i] / static_cast<Extended>(rounded) : 1;
        tables[i] = rounded;
        tables[n + i] = static_cast<T>(half * (a[i] - mean_a));
        tables[2 * n + i] = static_cast<T>(half * (b[i] - mean_b));
        tables[3 * n + i] = static_cast<T>(half * b[i]);
    }
    emit(code, {}, std::move(tables), 4);
    for (Extended& q : variance_) q += constant;
}

template <class T>
void Program<T>::dense(double sigma_w, double sigma_b, bool trainable) {
    const Extended weight = square(sigma_w);
    const Extended bias = square(sigma_b);
    for (Extended& q : variance_) q *= weight;
    if (bias > 0) concatenate(trainable ? OpCode::dense : OpCode::offset, bias);
    else if (trainable) emit(OpCode::dense_bias_free);
    for (std::size_t i = 0; i < variance_.size(); ++i) ntk_[i] = weight * ntk_[i] + (trainable ? variance_[i] : 0);
}

// F(q, q) = q (a^2 + b^2) / 2.
template <class T>
void Program<T>::piecewise_linear(double a, double b) {
    const Extended square_sum = square(a) + square(b);
    const Extended bend = square_sum > 0 ? square(Extended(a) - b) / square_sum : 0;
    if (bend > 0) emit(OpCode::piecewise_linear, {static_cast<T>(bend)});
    set_nonnegative(bend >= 1);
    activate([=](Extended q) { return q * (square_sum / 2); }, [=](Extended) { return square_sum / 2; });
}

// F(q, q) = (2n - 1)!! q^n / 2; the ops' parameter is the gain q F'(q, q) / F(q, q) = n^2 / (2n - 1).
template <class T>
void Program<T>::rectified_monomial(int degree) {
    switch (degree) {
    case 0:
        emit(OpCode::step);
        activate([](Extended) { return Extended(0.5); }, [](Extended) { return Extended(0); });
        break;
    case 1:
        piecewise_linear(0, 1);
        break;
    case 2:
        emit(OpCode::rectified_square, {T(4) / T(3)});
        activate([](Extended q) { return 1.5L * q * q; }, [](Extended q) { return 2 * q; });
        break;
    case 3:
        emit(OpCode::rectified_cube, {T(9) / T(5)});
        activate([](Extended q) { return 7.5L * q * q * q; }, [](Extended q) { return 13.5L * q * q; });
        break;
    }
    set_nonnegative(true);
}

template <class T>
void Program<T>::sign() {
    emit(OpCode::sign);
    activate([](Extended) { return Extended(1); }, [](Extended) { return Extended(0); });
}

// With Q = 2 b^2 q and sin A = Q / (1 + Q): F(q, q) = a^2 (2/pi) A + c^2, F'(q, q) = (4 a^2 b^2 / pi) / sqrt(1 + 2Q).
template <class T>
void Program<T>::erf(double a, double b, double c) {
    const Extended factor = 2 * square(b);
    const auto angle = [](Extended big_q) { return std::atan2(big_q, std::sqrt(1 + 2 * big_q)); };
    // Below this Q erf is linear to rounding and its normalised dual does not depend on Q; and the
    // squares of the tables stay in range.
    const Extended least = Extended(0.1) * std::numeric_limits<T>::epsilon();
    const std::size_t n = variance_.size();
    std::vector<T> tables(7 * n);
    for (std::size_t i = 0; i < n; ++i) {
        // 1 - sin A has to be a normal number of T.
        if (factor * variance_[i] > 1 / Extended(std::numeric_limits<T>::min()))
            variance_[i] = std::numeric_limits<Extended>::infinity();
        const Extended big_q = std::fmax(factor * variance_[i], least);
        const Extended rest = 1 / (1 + big_q);
        const Extended sine = big_q * rest;
        const Extended cosine = std::sqrt(1 + 2 * big_q) * rest;
        const Extended root = std::sqrt(angle(big_q));
        const Extended loss = 1 - std::sqrt(sine) / root;
        std::size_t entry = i;
        for (const Extended value : {sine, rest, cosine, sine * cosine, root, 1 / root, loss}) {
            tables[entry] = static_cast<T>(value);
            entry += n;
        }
    }
    emit(OpCode::erf, {}, std::move(tables), 7);
    activate([=](Extended q) { return square(a) * (2 / pi) * angle(factor * q); },
             [=](Extended q) { return square(2 * Extended(a) * b) / pi / std::sqrt(1 + 2 * factor * q); });
    if (c != 0) concatenate(OpCode::offset, square(c));
}

template <class T>
void Program<T>::emit_computed(OpCode code, const Computed& computed, std::vector<T> tables) {
    std::vector<T> parameters;
    for (const double value : computed.parameters) parameters.push_back(static_cast<T>(value));
    const Index count = samples() > 0 ? static_cast<Index>(tables.size()) / samples() : 0;
    emit(code, std::move(parameters), std::move(tables), count);
    const Extended* variance = computed.variance;
    const Extended* slope = computed.slope;
    activate([&](Extended) { return *variance++; }, [&](Extended) { return *slope++; });
    nonnegative_ = false; // coefficients of one order may differ in sign between variances
}

template <class T>
void Program<T>::expansion(const Computed& computed) {
    std::vector<T> tables;
    for (Index i = 0; i < computed.table_count * samples(); ++i) tables.push_back(static_cast<T>(computed.tables[i]));
    emit_computed(OpCode::expansion, computed, std::move(tables));
}

template <class T>
void Program<T>::pieces(const Computed& computed) {
    WideTables<T> tables(variance_.size(), static_cast<std::size_t>(computed.table_count));
    const double* value = computed.tables;
    for (std::size_t table = 0; table < static_cast<std::size_t>(computed.table_count); ++table)
        for (std::size_t i = 0; i < variance_.size(); ++i) tables.set(table, i, *value++);
    emit_computed(OpCode::pieces, computed, tables.take());
}

template <class T>
void Program<T>::quadrature(std::shared_ptr<const QuadratureRule> rule) {
    std::vector<T> tables;
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        tables.push_back(static_cast<T>(variance_[i]));
        if (!(variance_[i] <= std::numeric_limits<T>::max())) overflow(i);
    }
    emit(OpCode::quadrature, {}, std::move(tables), 1);
    ops_.back().rule = rule;
    activate([&](Extended q) { return Extended(rule->variance(static_cast<double>(q))); },
             [&](Extended q) { return Extended(rule->slope(static_cast<double>(q))); });
    nonnegative_ = false; // the rule may miss by a little
}

template <class T>
std::vector<T> Program<T>::scale() const {
    std::vector<T> result;
    for (const Extended q : variance_) result.push_back(static_cast<T>(std::sqrt(q)));
    return result;
}

template <class T>
Index Program<T>::first_overflow() const {
    constexpr Extended most = std::numeric_limits<T>::max();
    for (std::size_t i = 0; i < variance_.size(); ++i)
        if (!(variance_[i] <= most && ntk_[i] <= most)) return static_cast<Index>(i);
    return -1;
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
