// From layers to the flat program of the engine, with its tables of per-sample numbers: O(samples) a layer.
//
// The diagonals K(x, x) and Theta(x, x) are followed in more than the precision of the kernel (samples.hpp), here and not in
// NumPy because on small inputs the overhead of NumPy calls would be most of the time.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "computed.hpp"
#include "kernels.hpp"
#include "quadrature.hpp"
#include "samples.hpp"

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

// Numbers of every sample, see samples.hpp.
class WideColumn {
public:
    explicit WideColumn(std::size_t count = 0) : count_(count), numbers_(2 * count) {}
    WideNumbers view() { return {numbers_.data(), numbers_.data() + count_}; }
    const double* high() const { return numbers_.data(); }

private:
    std::size_t count_;
    std::vector<double> numbers_;
};

class ScaledColumn {
public:
    explicit ScaledColumn(std::size_t count) : count_(count), numbers_(3 * count) {}
    ScaledNumbers view() { return {numbers_.data(), numbers_.data() + count_, numbers_.data() + 2 * count_}; }
    // To read from.
    ScaledNumbers view() const { return const_cast<ScaledColumn*>(this)->view(); }

private:
    std::size_t count_;
    std::vector<double> numbers_;
};

// Rows of the input by their Euclidean norms: K(x, x) = norm^2 / features; or, where features = 0, by K(x, x) itself.
struct RowNorms {
    std::span<const double> norms;
    Index features;
};

// An activation with a closed form: what follows it (samples.hpp) and its op, if it has one. A table whose values are needed
// in more than the precision of float is the sum of two there: `parts`, as cpp/isa/smooth.hpp reads them.
template <class T>
constexpr Index wide_parts = sizeof(T) == sizeof(float) ? 2 : 1;
template <class T>
struct ActivationOp {
    ClosedForm form;
    std::array<double, 3> arguments = {};
    OpCode code = OpCode::count; // none
    std::vector<T> parameters = {};
    Index tables = 0, parts = 1;
    double smallest = 0, largest = 0, largest_variance = 0; // as in ActivationArguments
    bool nonnegative = false; // rho >= 0 is sure after it, whatever came before
};

template <class T>
class Program {
public:
    // Samples at the input, where Theta = 0; who computes with them, and on how many threads.
    //
    // For derivatives in some parameters too, give directions: a parameter moves sigma_w and sigma_b of the Dense
    // layers, in their order, by these numbers. What is relative to the mean of all samples is so to that of some,
    // the reference, or to the first; or, `like` another program of the same layers, to what it is relative to there: then
    // the tables of a sample are those it has, or would have, in that one.
    using Direction = std::vector<double>;
    Program(const SampleKernels& kernels, int threads, const RowNorms& rows, std::vector<Direction> directions = {},
            std::vector<Index> reference = {}, const Program* like = nullptr);

    // K <- sigma_b^2 + sigma_w^2 K, Theta <- K + sigma_w^2 Theta; not trainable: Theta <- sigma_w^2 Theta.
    void dense(double sigma_w, double sigma_b, bool trainable);

    // Activations: Theta <- F'(K) Theta, K <- F(K).
    void piecewise_linear(double a, double b); // slopes for x < 0 and x > 0
    void rectified_monomial(int degree);       // max(x, 0)^degree, 0 to 3
    void sign();
    void erf(double a, double b, double c);    // a erf(b x) + c
    void smooth(std::string_view name, std::span<const double> arguments); // by its name in smooth.cpp
    void activate(const ActivationOp<T>& activation);

    // Any other, by what was computed of each sample.
    void expansion(const Computed& computed); // cpp/isa/series.hpp
    void pieces(const Computed& computed);    // cpp/isa/pieces.hpp
    void quadrature(std::shared_ptr<const QuadratureRule> rule);

    // The same layers for other rows, like this program; none if some were computed of each sample, elsewhere.
    std::unique_ptr<Program> again(int threads, const RowNorms& rows) const;

    // Whether the network is a function of the gap alone: all ops that look at samples saw equal ones.
    bool univariate() const { return univariate_; }

    // One op (cpp/isa/univariate.hpp) instead of all.
    void replace_ops(const std::vector<double>& parameters);

    Index op_count() const { return static_cast<Index>(ops_.size()); }
    Index samples() const { return samples_; }
    const std::vector<Op<T>>& ops() const { return ops_; }
    bool with_gradient() const { return !directions_.empty(); }
    Index directions() const { return static_cast<Index>(directions_.size()); }

    // K(x, x) and Theta(x, x): infinite, or 0, beyond the range of double.
    void variance(double* out) const { kernels_.rounded(0, samples_, variance_.view(), out); }
    void ntk(double* out) const { kernels_.rounded(0, samples_, ntk_.view(), out); }
    // Of 2n samples, values_i <- values_i times the standard deviations of samples i and n + i.
    void scale_pairs(double* values) const { kernels_.scale_pairs(samples_ / 2, variance_.view(), values); }

    // What the output needs of each sample: standard deviations, and in gradients d log K(x, x) in every direction.
    std::vector<std::vector<T>> output_tables() const;

    // The first sample whose K(x, x), or Theta(x, x) if it is wanted, left the range of numbers up to `most` and normal
    // ones from `least` on, at the output, or one that matters on the way; -1 if none. By Cauchy-Schwarz no other pair
    // is too large then. What is 0 is no underflow.
    Index first_out_of_range(double least, double most, bool with_ntk) const;

private:
    // What the numbers alone do not tell of samples: whether K and Theta are not 0, however small; whether the engine
    // cannot tell how similar one is to others, K being too small, or how large Theta is relative to K.
    struct Fates {
        std::vector<unsigned char> variance, ntk;
        std::vector<unsigned char> faint, ntk_faint;
    };
    template <class Run>
    void for_samples(double work, const Run& run) const; // run(begin, end), on several threads where there is work for them
    Diagonals diagonals(Index begin, Index end) { return {begin, end, variance_.view(), ntk_.view()}; }

    template <class Layer>
    void remember(const Layer& layer) {
        if (!is_like_) layers_.emplace_back(layer);
    }
    void offset(double sigma);
    void join(OpCode code, double sigma_w, double sigma_b, bool trainable, std::size_t layer);
    void emit_shares(OpCode code, WideNumbers a, WideNumbers b);
    void move_slopes(double sigma_w, double sigma_b, std::size_t layer, WideNumbers a, WideNumbers b);
    void follow_ntk();
    void follow_computed(const double* variance, const double* slope, const double* powers);
    void overflow(std::size_t sample);
    void see_samples();
    template <class Value>
    void set_tables(std::vector<T>& tables, Index count, Index parts, const Value& value) const;
    void emit(OpCode code, std::vector<T> parameters, std::vector<T> tables = {}, Index table_count = 0,
              const double* slopes = nullptr, Index slope_count = 0);
    void emit_computed(OpCode code, const Computed& computed, Index parts);

    const SampleKernels& kernels_;
    int threads_;
    Index samples_;
    ScaledColumn variance_, ntk_;
    Fates fates_;
    std::vector<Index> reference_;
    // What the shares of every Dense layer are relative to; and those of the program that this one is like.
    std::vector<std::array<double, 2>> centres_, given_centres_;
    bool is_like_;
    WideColumn a_, b_;            // shares of the last layer with bias
    std::vector<double> carried_; // of the weights' rounding, see ShareArguments
    std::vector<Op<T>> ops_;
    std::vector<std::function<void(Program&)>> layers_; // as they were given
    bool computed_ = false;                             // some were, of each sample
    std::vector<Direction> directions_;
    std::vector<WideColumn> log_slopes_; // d log K(x, x) of each direction
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

} // namespace fastntk
