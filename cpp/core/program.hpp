// From layers to the flat program of the engine, with its tables of per-sample numbers: O(samples) a layer.
//
// The diagonals K(x, x) and Theta(x, x) are followed in extended precision (where the platform has it)
// whatever the precision of the kernel: an error made here would repeat in every layer. It is done here
// and not in NumPy because on small inputs the overhead of NumPy calls would be most of the time.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "computed.hpp"
#include "kernels.hpp"
#include "quadrature.hpp"
#include "tangent.hpp"

namespace fastntk {

// An op and what it needs of each sample: tables as a matrix [table][sample].
template <class T>
struct Op {
    OpCode code;
    bool nonnegative; // rho >= 0 for every pair that reaches this op
    std::vector<T> parameters;
    std::vector<T> tables;
    Index table_count;
    Index values;     // tables but for those that only gradients need
    Index directions; // the parameters that reach this op, in gradients
    std::shared_ptr<const QuadratureRule> rule = nullptr; // of the op quadrature

    // Of a pair, roughly, in multiply-adds: closed forms are some 5 ns, and most tables are terms of a series.
    double work() const { return 50 + 4 * static_cast<double>(table_count) + (rule ? rule->work() : 0); }

    // On a strip of pairs; p and q point to the tables of sample p and of the samples q.
    void apply(const Kernels<T>& kernels, const T* p, const T* q, Index q_stride, Index length, T* gap, T* ntk) const {
        if (rule) rule->apply(*p, q, length, gap, ntk);
        else kernels.ops[static_cast<int>(code)][op_variant(nonnegative, ntk != nullptr)]({parameters.data(), p, q, q_stride, length}, gap, ntk);
    }
};

template <class T>
class Program {
public:
    // Samples with K(x, x) = variance at the input, where Theta = 0.
    //
    // For derivatives in some parameters too, give directions: a parameter moves sigma_w and sigma_b of the Dense
    // layers, in their order, by these numbers. What is relative to the mean of all samples is so to that of some,
    // the reference, or to the first.
    using Direction = std::vector<double>;
    explicit Program(std::vector<Extended> variance, std::vector<Direction> directions = {},
                     std::vector<Index> reference = {});

    // K <- sigma_b^2 + sigma_w^2 K, Theta <- K + sigma_w^2 Theta; not trainable: Theta <- sigma_w^2 Theta.
    void dense(double sigma_w, double sigma_b, bool trainable);

    // Activations: Theta <- F'(K) Theta, K <- F(K).
    void piecewise_linear(double a, double b); // slopes for x < 0 and x > 0
    void rectified_monomial(int degree);       // max(x, 0)^degree, 0 to 3
    void sign();
    void erf(double a, double b, double c);    // a erf(b x) + c
    void smooth(std::string_view name, std::span<const double> arguments); // by its name in smooth.cpp

    // Any other, by what was computed of each sample.
    void expansion(const Computed& computed); // cpp/isa/series.hpp
    void pieces(const Computed& computed);    // cpp/isa/pieces.hpp
    void quadrature(std::shared_ptr<const QuadratureRule> rule);

    // Whether the network is a function of the gap alone: all ops that look at samples saw equal ones.
    bool univariate() const { return univariate_; }

    // One op (cpp/isa/univariate.hpp) instead of all.
    void replace_ops(const std::vector<double>& parameters);

    Index op_count() const { return static_cast<Index>(ops_.size()); }
    Index samples() const { return static_cast<Index>(variance_.size()); }
    const std::vector<Op<T>>& ops() const { return ops_; }
    const std::vector<Extended>& variance() const { return variance_; }
    const std::vector<Extended>& ntk() const { return ntk_; }
    bool with_gradient() const { return !directions_.empty(); }
    Index directions() const { return static_cast<Index>(directions_.size()); }

    // What the output needs of each sample: standard deviations, and in gradients d log K(x, x) in every direction.
    std::vector<std::vector<T>> output_tables() const;

    // The first sample whose K(x, x), or Theta(x, x) if it is wanted, left the range of numbers up to `most` and normal
    // ones from `least` on, at the output, or one that matters on the way; -1 if none. By Cauchy-Schwarz no other pair
    // is too large then. What is 0 is no underflow.
    Index first_out_of_range(Extended least, Extended most, bool with_ntk) const;

    // What activations are made of: an op, with the derivatives of its tables in gradients; F(q, q) = variance(q) and
    // F'(q, q) = slope(q) of every sample; that rho >= 0 is sure from here on; that a sample left the range.
    void emit(OpCode code, std::vector<T> parameters = {}, std::vector<T> tables = {}, Index table_count = 0,
              const std::vector<T>& table_slopes = {});
    template <class Variance, class Slope>
    void activate(const Variance& variance, const Slope& slope);
    void set_nonnegative(bool sure) { nonnegative_ = nonnegative_ || sure; }
    void overflow(std::size_t sample) { variance_[sample] = std::numeric_limits<Extended>::infinity(); }

private:
    // What its numbers alone do not tell of a sample: whether K and Theta are not 0, however small; whether the engine
    // cannot tell how similar it is to others, K being too small, or how large Theta is relative to K.
    struct Fate {
        bool variance = false, ntk = false;
        bool faint = false, ntk_faint = false;
    };
    void follow_ntk(std::size_t sample);

    void push(Op<T> op);
    void concatenate(OpCode code, Extended constant, std::size_t parameter);
    template <Index parts>
    void emit_computed(OpCode code, const Computed& computed);

    std::vector<Extended> variance_, ntk_;
    std::vector<Fate> fates_;
    std::vector<Index> reference_;
    std::vector<Extended> carried_; // of the weights' rounding, see concatenate
    std::vector<Op<T>> ops_;
    std::vector<Direction> directions_;
    std::vector<std::vector<Extended>> log_slopes_; // d log K(x, x) [direction][sample]
    std::size_t dense_layers_ = 0;
    Index reached_ = 0; // how many of the directions have moved a layer so far
    bool nonnegative_ = false;
    bool univariate_ = true;
};

template <class T>
double program_work(const Program<T>& program) {
    double work = 0;
    for (const Op<T>& op : program.ops()) work += op.work();
    return work;
}

// variance(q) = F(q, q) and slope(q) = F'(q, q) of every sample.
template <class T>
template <class Variance, class Slope>
void Program<T>::activate(const Variance& variance, const Slope& slope) {
    const bool vanishes = variance(Extended(1)) == 0, constant = slope(Extended(1)) == 0;
    for (std::size_t i = 0; i < variance_.size(); ++i) {
        ntk_[i] *= slope(variance_[i]);
        const Extended next = variance(variance_[i]);
        fates_[i].variance = next > 0 || (fates_[i].variance && !vanishes);
        fates_[i].ntk = fates_[i].ntk && !constant;
        if (with_gradient()) {
            const Tangent at_q = variance(Tangent{variance_[i], variance_[i]});
            const Extended elasticity = at_q.v > 0 ? at_q.d / at_q.v : 0;
            for (auto& log_slope : log_slopes_) log_slope[i] *= elasticity;
        }
        // Once beyond all range a sample stays there: some activations would bring it back.
        variance_[i] = std::isfinite(variance_[i]) ? next : std::numeric_limits<Extended>::infinity();
        follow_ntk(i);
    }
}

} // namespace fastntk
