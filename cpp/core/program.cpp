#include "program.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "wide_tables.hpp"

namespace fastntk {
namespace {

using std::atan2, std::fmax, std::sqrt; // of Extended; those of Tangent are found by their argument

constexpr Extended pi = std::numbers::pi_v<Extended>;

constexpr Extended square(Extended x) { return x * x; }

constexpr std::size_t no_parameter = static_cast<std::size_t>(-1);

} // namespace

template <class T>
Program<T>::Program(std::vector<Extended> variance, std::vector<Direction> directions, std::vector<Index> reference)
    : variance_(std::move(variance)), ntk_(variance_.size(), 0), fates_(variance_.size()), reference_(std::move(reference)),
      carried_(variance_.size(), 1), directions_(std::move(directions)), log_slopes_(directions_.size(), std::vector<Extended>(variance_.size(), 0)) {
    for (std::size_t i = 0; i < variance_.size(); ++i) fates_[i].variance = variance_[i] > 0;
}

// The engine has Theta / K of a sample as a number of T.
template <class T>
void Program<T>::follow_ntk(std::size_t i) {
    if (!fates_[i].ntk || !(variance_[i] > 0)) return;
    if (!(ntk_[i] <= std::numeric_limits<T>::max() * variance_[i])) ntk_[i] = std::numeric_limits<Extended>::infinity();
    if (ntk_[i] < std::numeric_limits<T>::min() * variance_[i]) fates_[i].ntk_faint = true;
}

// In gradients the derivatives of the tables follow them, and then d log q along every direction.
template <class T>
void Program<T>::emit(OpCode code, std::vector<T> parameters, std::vector<T> tables, Index table_count,
                      const std::vector<T>& table_slopes) {
    const Index values = table_count;
    if (with_gradient() && table_count > 0) {
        tables.insert(tables.end(), table_slopes.begin(), table_slopes.end());
        for (Index k = 0; k < reached_; ++k)
            for (const Extended slope : log_slopes_[static_cast<std::size_t>(k)]) tables.push_back(static_cast<T>(slope));
        table_count = 2 * values + reached_;
    }
    push({code, nonnegative_, std::move(parameters), std::move(tables), table_count, values, reached_, nullptr});
}

template <class T>
void Program<T>::push(Op<T> op) {
    const Index table_count = op.table_count;
    ops_.push_back(std::move(op));
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
void Program<T>::concatenate(OpCode code, Extended constant, std::size_t parameter) {
    const std::size_t n = variance_.size();
    std::vector<Extended> a(n), b(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Extended inverse = 1 / (variance_[i] + constant);
        a[i] = std::sqrt(variance_[i] * inverse);
        b[i] = std::sqrt(constant * inverse);
    }
    // Differences are what matters: any number near most samples is right.
    const auto mean = [&](const std::vector<Extended>& v) {
        Extended sum = 0;
        for (const Index i : reference_) sum += v[static_cast<std::size_t>(i)];
        return reference_.empty() ? v.front() : sum / static_cast<Extended>(reference_.size());
    };
    const Extended mean_a = n > 0 ? mean(a) : 0;
    const Extended mean_b = n > 0 ? mean(b) : 0;
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
    // In gradients two tables for each direction: the derivatives of a and of b/sqrt 2.
    for (Index k = 0; k < reached_; ++k) {
        auto& log_slope = log_slopes_[static_cast<std::size_t>(k)];
        const Extended moved = parameter == no_parameter ? 0 : Extended(directions_[static_cast<std::size_t>(k)][parameter]);
        std::vector<T> slopes(2 * n);
        for (std::size_t i = 0; i < n; ++i) {
            const Extended next = square(a[i]) * log_slope[i] + 2 * b[i] * moved / std::sqrt(variance_[i] + constant);
            slopes[i] = static_cast<T>(a[i] * (log_slope[i] - next) / 2);
            slopes[n + i] = static_cast<T>(half * (moved / std::sqrt(variance_[i] + constant) - b[i] * next / 2));
            log_slope[i] = next;
        }
        tables.insert(tables.end(), slopes.begin(), slopes.end());
    }
    push({code, nonnegative_, {}, std::move(tables), 4 + 2 * reached_, 4, reached_, nullptr});
    // Of less than that part of K nothing is seen any more, not even through a chaotic network.
    constexpr Extended unseen = 1e-25L;
    for (std::size_t i = 0; i < n; ++i) {
        fates_[i].faint = fates_[i].faint && !(variance_[i] < unseen * constant);
        variance_[i] += constant;
        fates_[i].variance = true;
    }
}

template <class T>
void Program<T>::dense(double sigma_w, double sigma_b, bool trainable) {
    const Extended weight = square(sigma_w);
    const Extended bias = square(sigma_b);
    const std::size_t layer = dense_layers_++;
    // Directions come in the order of the first layer they move.
    const auto moves = [&](const Direction& d) { return d[2 * layer] != 0 || d[2 * layer + 1] != 0; };
    while (reached_ < directions() && moves(directions_[static_cast<std::size_t>(reached_)])) ++reached_;
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        variance_[i] *= weight;
        fates_[i].variance = fates_[i].variance && sigma_w != 0;
        // Where K vanishes so do its derivatives: they are products with K.
        for (std::size_t k = 0; k < directions_.size(); ++k)
            log_slopes_[k][i] = variance_[i] > 0 ? log_slopes_[k][i] + 2 * directions_[k][2 * layer] / Extended(sigma_w) : 0;
    }
    if (bias > 0) concatenate(trainable ? OpCode::dense : OpCode::offset, bias, 2 * layer + 1);
    else if (trainable) emit(OpCode::dense_bias_free);
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        ntk_[i] = weight * ntk_[i] + (trainable ? variance_[i] : 0);
        Fate& fate = fates_[i];
        fate.ntk = (fate.ntk && sigma_w != 0) || (trainable && fate.variance);
        if (trainable) fate.ntk_faint = false; // next to K
        follow_ntk(i);
    }
}

// F(q, q) = q (a^2 + b^2) / 2.
template <class T>
void Program<T>::piecewise_linear(double a, double b) {
    const Extended square_sum = square(a) + square(b);
    const Extended bend = square_sum > 0 ? square(Extended(a) - b) / square_sum : 0;
    if (bend > 0) emit(OpCode::piecewise_linear, {static_cast<T>(bend)});
    set_nonnegative(bend >= 1);
    activate([=](auto q) { return q * (square_sum / 2); }, [=](Extended) { return square_sum / 2; });
}

// F(q, q) = (2n - 1)!! q^n / 2; the ops' parameter is the gain q F'(q, q) / F(q, q) = n^2 / (2n - 1).
template <class T>
void Program<T>::rectified_monomial(int degree) {
    switch (degree) {
    case 0:
        emit(OpCode::step);
        activate([](auto) { return Extended(0.5); }, [](Extended) { return Extended(0); });
        break;
    case 1:
        piecewise_linear(0, 1);
        break;
    case 2:
        emit(OpCode::rectified_square, {T(4) / T(3)});
        activate([](auto q) { return Extended(1.5) * q * q; }, [](Extended q) { return 2 * q; });
        break;
    case 3:
        emit(OpCode::rectified_cube, {T(9) / T(5)});
        activate([](auto q) { return Extended(7.5) * q * q * q; }, [](Extended q) { return 13.5L * q * q; });
        break;
    }
    set_nonnegative(true);
}

template <class T>
void Program<T>::sign() {
    emit(OpCode::sign);
    activate([](auto) { return Extended(1); }, [](Extended) { return Extended(0); });
}

// With Q = 2 b^2 q and sin A = Q / (1 + Q): F(q, q) = a^2 (2/pi) A + c^2, F'(q, q) = (4 a^2 b^2 / pi) / sqrt(1 + 2Q).
template <class T>
void Program<T>::erf(double a, double b, double c) {
    const Extended factor = 2 * square(b);
    const auto angle = [](auto big_q) { return atan2(big_q, sqrt(1 + 2 * big_q)); };
    // Below this Q erf is linear to rounding and its normalised dual does not depend on Q; and the
    // squares of the tables stay in range.
    const Extended least = Extended(0.1) * std::numeric_limits<T>::epsilon();
    const auto entries = [&](auto big_q) {
        const auto rest = 1 / (1 + big_q);
        const auto sine = big_q * rest;
        const auto cosine = sqrt(1 + 2 * big_q) * rest;
        const auto root = sqrt(angle(big_q));
        return std::array{sine, rest, cosine, sine * cosine, root, 1 / root, 1 - sqrt(sine) / root};
    };
    WideTables<T, 1> tables(variance_.size(), 7, with_gradient());
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        // 1 - sin A has to be a normal number of T.
        if (factor * variance_[i] > 1 / Extended(std::numeric_limits<T>::min())) overflow(i);
        tables.set(i, entries, fmax(factor * variance_[i], least));
    }
    emit(OpCode::erf, {}, tables.values(), 7, tables.slopes());
    activate([=](auto q) { return square(a) * (2 / pi) * angle(factor * q); },
             [=](Extended q) { return square(2 * Extended(a) * b) / pi / std::sqrt(1 + 2 * factor * q); });
    if (c != 0) concatenate(OpCode::offset, square(c), no_parameter);
}

template <class T>
template <Index parts>
void Program<T>::emit_computed(OpCode code, const Computed& computed) {
    std::vector<T> parameters;
    for (const double value : computed.parameters) parameters.push_back(static_cast<T>(value));
    WideTables<T, parts> tables(variance_.size(), static_cast<std::size_t>(computed.table_count), with_gradient());
    for (std::size_t entry = 0; entry < variance_.size() * static_cast<std::size_t>(computed.table_count); ++entry) {
        const std::size_t table = entry / variance_.size(), sample = entry % variance_.size();
        if (!(std::abs(computed.tables[entry]) <= std::numeric_limits<T>::max())) overflow(sample);
        tables.set(table, sample, computed.tables[entry]);
        if (with_gradient()) tables.set_slope(table, sample, computed.table_slopes[entry]);
    }
    emit(code, std::move(parameters), tables.values(), tables.table_count(), tables.slopes());
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        ntk_[i] *= computed.slope[i];
        variance_[i] = std::isfinite(variance_[i]) ? computed.variance[i] : std::numeric_limits<Extended>::infinity();
        fates_[i].variance = computed.variance[i] > 0 || (fates_[i].variance && computed.table_count > 0);
        fates_[i].ntk = fates_[i].ntk && computed.slope[i] > 0;
        follow_ntk(i);
        for (auto& log_slope : log_slopes_) log_slope[i] *= computed.elasticity[i];
    }
    nonnegative_ = false; // coefficients of one order may differ in sign between variances
}

template <class T>
void Program<T>::expansion(const Computed& computed) {
    check_expansion(computed);
    emit_computed<1>(OpCode::expansion, computed);
}

template <class T>
void Program<T>::pieces(const Computed& computed) {
    check_pieces(computed);
    // Samples without any coefficient are those that it cannot follow.
    const std::size_t n = variance_.size(), coefficients = 4 * static_cast<std::size_t>(computed.parameters[0]);
    for (std::size_t i = 0; i < n; ++i) {
        bool known = false;
        for (std::size_t k = 0; k < coefficients; ++k) known = known || computed.tables[k * n + i] != 0;
        fates_[i].faint = fates_[i].faint || (fates_[i].variance && !known);
    }
    emit_computed<wide_parts<T>>(OpCode::pieces, computed);
}

template <class T>
void Program<T>::quadrature(std::shared_ptr<const QuadratureRule> rule) {
    std::vector<T> tables;
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        tables.push_back(static_cast<T>(variance_[i]));
        if (!(variance_[i] <= std::numeric_limits<T>::max())) overflow(i);
        if (variance_[i] < std::numeric_limits<T>::min()) fates_[i].faint = fates_[i].variance;
    }
    push({OpCode::quadrature, nonnegative_, {}, std::move(tables), 1, 1, 0, rule});
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        const double q = static_cast<double>(variance_[i]);
        ntk_[i] *= rule->slope(q);
        variance_[i] = std::isfinite(variance_[i]) ? rule->variance(q) : std::numeric_limits<Extended>::infinity();
        fates_[i].variance = variance_[i] > 0;
        fates_[i].ntk = ntk_[i] > 0;
        follow_ntk(i);
    }
    nonnegative_ = false; // the rule may miss by a little
}

template <class T>
std::vector<std::vector<T>> Program<T>::output_tables() const {
    std::vector<std::vector<T>> tables(1);
    for (const Extended q : variance_) tables[0].push_back(static_cast<T>(std::sqrt(q)));
    for (const auto& log_slope : log_slopes_) tables.emplace_back(log_slope.begin(), log_slope.end());
    return tables;
}

template <class T>
Index Program<T>::first_out_of_range(Extended least, Extended most, bool with_ntk) const {
    const auto fits = [=](Extended value, bool nonzero) { return value <= most && (value >= least || !nonzero); };
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        const Fate& fate = fates_[i];
        if (fate.faint || !fits(variance_[i], fate.variance)) return static_cast<Index>(i);
        if (with_ntk && (fate.ntk_faint || !fits(ntk_[i], fate.ntk))) return static_cast<Index>(i);
    }
    return -1;
}

template class Program<float>;
template class Program<double>;

} // namespace fastntk
