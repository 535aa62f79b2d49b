// From layers to the flat program of the engine, with its tables of per-sample numbers: O(samples) a layer.
//
// The diagonals K(x, x) and Theta(x, x) are followed in more than the precision of the kernel (samples.hpp), here and not in
// NumPy because on small inputs the overhead of NumPy calls would be most of the time.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "computed.hpp"
#include "node.hpp"
#include "op.hpp"

namespace fastntk {

// Rows of the input by their Euclidean norms: K(x, x) = norm^2 / features; or, where features = 0, by K(x, x) itself. Of norms
// that were rounded there may be an excess: K(x, x) is (1 + excess) times that. Near a duplicate, derivatives are steep in it.
struct RowNorms {
    std::span<const double> norms;
    Index features;
    std::span<const double> excess = {};
};

// An activation with a closed form: what follows it (samples.hpp) and its op, if it has one. A table whose values are needed
// in more than the precision of float is the sum of two there: `parts`, as cpp/isa/smooth.hpp reads them.
template <class T>
constexpr Index wide_parts = sizeof(T) == sizeof(float) ? 2 : 1;
template <class T>
struct ActivationOp {
    ClosedForm form;
    std::array<double, activation_parameters> arguments = {};
    OpCode code = OpCode::count; // none
    std::vector<T> parameters = {};
    Index tables = 0, parts = 1;
    double smallest = 0, largest = 0, largest_variance = 0; // as in ActivationArguments
    bool nonnegative = false; // rho >= 0 is sure after it, whatever came before
};

template <class T>
class Program;

// Layers as they were given, for any samples.
template <class T>
struct Recipe {
    std::vector<std::function<void(Program<T>&)>> layers;
    bool with_means = false;
};

template <class T>
class Program {
public:
    // Samples at the input, where Theta = 0; who computes with them, and on how many threads.
    //
    // For derivatives in some parameters too, give directions: a parameter moves sigma_w and sigma_b of the Dense
    // layers, in their order, by these numbers. The tables of a sample are its own, whatever the others are.
    using Direction = std::vector<double>;
    Program(const SampleKernels& kernels, int threads, const RowNorms& rows, std::vector<Direction> directions = {});

    // K <- sigma_b^2 + sigma_w^2 K, Theta <- K + sigma_w^2 Theta; not trainable: Theta <- sigma_w^2 Theta.
    void dense(double sigma_w, double sigma_b, bool trainable);
    // In the standard parametrisation: Theta <- units K + (with a bias) 1 + sigma_w^2 Theta.
    void dense_standard(double sigma_w, double sigma_b, bool trainable, bool bias);
    void set_width(double units);

    // Samples with positions, which are a sample each here: [position][sample].
    void place(std::vector<Index> positions);
    const std::vector<Index>& positions() const { return node_.positions; }
    Index items() const { return items_; }
    // Behind averages K(x, x) is what was given, and Theta(x, x) this; rho >= 0 of all pairs, if it was of all before.
    void begin_with(const double* ntk, double units, bool nonnegative);
    bool nonnegative() const { return node_.nonnegative; }
    // K <- sigma_b^2 + sigma_w^2 times the mean over the taps of a window, Theta as of a Dense layer.
    void conv(const Window& window, double sigma_w, double sigma_b, bool trainable, bool standard, bool bias);
    // K and Theta of all positions: their means.
    void flatten();

    // Samples that are the nodes of larger ones, as many of each as it has, are mixed (mixing.hpp): what follows are nodes with
    // these K(x, x) and Theta(x, x).
    void mix(const Mix& given, const double* variance, const double* ntk);
    // All there is so far are Dense layers without bias. Then a matrix may mix the rows of the input, and these layers act on them
    // as before: it is no op.
    bool multiplies_input() const;
    // For who runs the ops there are: all that is needed for what is in hand now, and none that changes later.
    void settle();
    // A recurrence, by the program of its activation: for all nodes, with the variance of z. The numbers of a node are those of
    // its step, and `starts` are of samples.
    void recur(const Program& activation, std::vector<Index> starts, double sigma_w, double sigma_u, double sigma_b);

    // Branches: what follows a fork is one, until it is added (a fraction of it), or multiplied, to those before; then comes
    // the next one, at the node of the fork; or they join, and what they are together goes on.
    void fork();
    void add(double fraction);
    void multiply();
    void join();

    // K <- (K - mean mean') / sqrt((K(x, x) - mean^2 + eps) (K(x', x') - mean'^2 + eps)), Theta likewise. To be known means have
    // to be followed from the beginning.
    void follow_means() { recipe_.with_means = true; }
    bool with_means() const { return recipe_.with_means; }
    // Of all positions of a sample together: K(x, x) is its mean over them.
    void layer_norm(double eps, bool of_all = false);
    // So of nodes, of which those from starts[i] to starts[i + 1] are of a sample.
    void normalise_nodes(double eps, const std::vector<Index>& starts);
    // K, Theta <- K / (1 - p), Theta / (1 - p) of a sample with itself.
    void dropout(double p);
    // The mean of a unit behind an activation that was computed elsewhere, and its derivative in log q.
    void set_mean(const double* mean, const double* slope);
    // Before an activation: of samples whose variance is below the smallest it is computed for Theta / K may not be larger.
    void limit_ntk(double smallest, double most);

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

    // The layers, for programs of other samples; none if some were computed of each sample, elsewhere.
    std::unique_ptr<Recipe<T>> recipe() const { return computed_ ? nullptr : std::make_unique<Recipe<T>>(recipe_); }
    void follow(const Recipe<T>& recipe);

    // The same layers for other rows, like this program; none if some were computed of each sample, elsewhere. Behind
    // averages with their Theta(x, x). Of samples with positions nothing can follow.
    std::unique_ptr<Program> again(int threads, const RowNorms& rows, const double* ntk = nullptr) const;

    // Whether the network is a function of the gap alone: all ops that look at samples saw equal ones.
    bool univariate() const { return univariate_; }

    // One op (cpp/isa/univariate.hpp) instead of all.
    void replace_ops(const std::vector<double>& parameters);

    // Before some were fused into one.
    Index op_count() const { return static_cast<Index>(ops_.size()) + fused_; }
    Index samples() const { return samples_; }
    const std::vector<Op<T>>& ops() const { return ops_; }
    bool with_gradient() const { return !directions_.empty(); }
    Index directions() const { return static_cast<Index>(directions_.size()); }
    // In place of parameters: along the gap of a pair at the input; along log q of the first samples, those of rows; and, if there
    // is a third direction, along that of the others.
    // For second derivatives too, ops have tables of d log F(q, q) / d log q.
    void follow_inputs(Index rows, bool second);
    bool along_inputs() const { return along_inputs_; }

    // K(x, x) and Theta(x, x): infinite, or 0, beyond the range of double.
    void variance(double* out) const { kernels_.rounded(0, samples_, node_.variance.view(), out); }
    void ntk(double* out) const { kernels_.rounded(0, samples_, node_.ntk.view(), out); }
    // Along inputs: d log K(x, x) / d log q of the rows.
    void variance_slope(double* out) const { std::copy_n(node_.log_slopes.at(1).high(), samples_, out); }
    // Of 2n samples, values_i <- values_i times the standard deviations of samples i and n + i.
    void scale_pairs(double* values) const { kernels_.scale_pairs(samples_ / 2, node_.variance.view(), values); }

    // What the output needs of each sample: standard deviations, and in gradients d log K(x, x) in every direction.
    std::vector<std::vector<T>> output_tables() const;

    // The first sample whose K(x, x), or Theta(x, x) if it is wanted, left the range of numbers up to `most` and normal
    // ones from `least` on, at the output, or one that matters on the way; -1 if none. By Cauchy-Schwarz no other pair
    // is too large then. What is 0 is no underflow.
    Index first_out_of_range(double least, double most, bool with_ntk) const;

    // The first sample that a layer cannot act on, for K alone or Theta too, and -1 if there is none; why one is lost, if it is,
    // and why any are: bits of node.hpp.
    Index first_lost(bool with_ntk) const;
    unsigned char why_lost(Index sample) const { return node_.fates.lost.at(static_cast<std::size_t>(sample)); }
    unsigned char why_some_are_lost() const;

    // The roots of K(x, x).
    Uninitialised<double> deviations() const;

    // What ops keep of a strip.
    Index slots() const { return slots_; }

private:
    template <class Run>
    void for_samples(double work, const Run& run) const; // run(begin, end), on several threads where there is work for them
    template <class Body>
    void for_items(const Body& body) const;
    Diagonals diagonals(Index begin, Index end) { return {begin, end, node_.variance.view(), node_.ntk.view()}; }
    Diagonals all() { return diagonals(0, samples_); }

    template <class Layer>
    void remember(const Layer& layer) {
        if (remembers_) recipe_.layers.emplace_back(layer);
    }
    // A fork: the node there; what the branches so far are together. Their strips are in slots, or, if that is pending, in hand.
    struct Frame {
        Node start;
        std::optional<Node> whole;
        Index slot, whole_slot;
        bool pending = false;
        std::vector<double> units = {}, fractions = {}; // of the branches so far
        std::size_t branch = 0; // ops before this branch
    };

    std::unique_ptr<Program> placed_again(int threads, const RowNorms& rows, const double* ntk) const;
    std::vector<std::vector<T>*> make_room(const Program& model, Index items);
    void take(const Program& part, Index first, const std::vector<std::vector<T>*>& behind);
    void behind_window(const Window& window);
    void to(Node node);
    std::vector<double> scales_of_items(const Uninitialised<double>& roots) const;
    std::vector<T> behind(const Uninitialised<double>& roots, const std::vector<double>& scales) const;
    void push_window(Window window, const Uninitialised<double>& before, const LinearForm<T>& form);
    void normalise_all(double eps);
    void divide_by(const ScaledNumbers& mean, double eps);
    void offset(double constant);
    void require_gaussian() const;
    void become_gaussian();
    void unpend();
    void put_together(OpCode code, double fraction);
    void fuse_block(Index slot);
    void fuse_hidden();
    void join_fates(bool is_sum, Fates& f, const Fates& g);
    void join_slopes(bool is_sum, Node& first, Node& second, Op<T>& op);
    void keep_mean(const ActivationOp<T>& op);
    void keep_flat();
    void take_mean();
    void add_to_mean(double constant);
    void subtract_mean(double eps);
    void join_means(bool is_sum, Node& first, Node& second);
    void linear(OpCode code, double sigma_w, double sigma_b, bool trainable, std::size_t layer);
    std::size_t next_layer();
    void reach_samples();
    std::vector<T> share_tables(WideNumbers a, WideNumbers b, double* carried, const double* carried_b = nullptr);
    void move_slopes(double sigma_w, double sigma_b, std::size_t layer, WideNumbers a, WideNumbers b);
    void follow_ntk(Node& node);
    void follow_computed(const double* variance, const double* slope, const double* powers);
    void overflow(std::size_t sample);
    void see_samples();
    void see_numbers(const double* numbers);
    void set_tables(std::vector<T>& tables, Index count, Index parts, const double* high, const double* low) const;
    void emit(OpCode code, std::vector<T> parameters, std::vector<T> tables = {}, Index table_count = 0,
              const double* slopes = nullptr, Index slope_count = 0, const double* elasticity = nullptr);
    void emit_computed(OpCode code, const Computed& computed, Index wide); // so many of the tables in wide_parts
    void push(Op<T> op);

    const SampleKernels& kernels_;
    int threads_;
    Index samples_, items_;
    Node node_;
    std::vector<Frame> frames_;
    Index slots_ = 0, fused_ = 0;
    std::vector<double> given_mean_, given_mean_slope_; // of the activation that comes next
    bool remembers_ = true;
    WideColumn a_, b_; // shares of the last layer with bias
    std::vector<Op<T>> ops_;
    Recipe<T> recipe_;
    bool computed_ = false; // some layers were, of each sample
    std::vector<Direction> directions_;
    std::size_t dense_layers_ = 0;
    Index reached_ = 0; // how many of the directions have moved a layer so far
    bool along_inputs_ = false, second_ = false;
    bool univariate_ = true;
    std::size_t sealed_ = 0;   // ops that are not fused with those that come
    bool placed_ = false;      // samples have positions
    std::vector<Index> begin_; // those they began with
    double begin_units_ = 0;   // and behind averages their units
    bool begin_nonnegative_ = false;
    bool reads_input_ = false; // the only op does
    bool moved_ = false;       // K is not that of the input any more
};

template <class T>
double program_work(const Program<T>& program) {
    double work = 0;
    for (const Op<T>& op : program.ops()) work += op.work();
    return work;
}

} // namespace fastntk
