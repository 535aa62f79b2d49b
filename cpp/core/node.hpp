// What is followed of every sample at a node of the network.
#pragma once

#include <utility>
#include <vector>

#include "buffer.hpp"
#include "samples.hpp"

namespace fastntk {

// Numbers of every sample, see samples.hpp.
class WideColumn {
public:
    explicit WideColumn(std::size_t count = 0) : WideColumn(count, Uninitialised<double>(2 * count, 0.0)) {}
    // To be written.
    static WideColumn unwritten(std::size_t count) { return {count, Uninitialised<double>(2 * count)}; }
    WideNumbers view() { return {numbers_.data(), numbers_.data() + count_}; }
    const double* high() const { return numbers_.data(); }

private:
    WideColumn(std::size_t count, Uninitialised<double> numbers) : count_(count), numbers_(std::move(numbers)) {}

    std::size_t count_;
    Uninitialised<double> numbers_;
};

class ScaledColumn {
public:
    explicit ScaledColumn(std::size_t count = 0) : ScaledColumn(count, Uninitialised<double>(3 * count, 0.0)) {}
    // To be written.
    static ScaledColumn unwritten(std::size_t count) { return {count, Uninitialised<double>(3 * count)}; }
    ScaledNumbers view() { return {numbers_.data(), numbers_.data() + count_, numbers_.data() + 2 * count_}; }
    std::size_t size() const { return count_; }
    // To read from.
    ScaledNumbers view() const { return const_cast<ScaledColumn*>(this)->view(); }

private:
    ScaledColumn(std::size_t count, Uninitialised<double> numbers) : count_(count), numbers_(std::move(numbers)) {}

    std::size_t count_;
    Uninitialised<double> numbers_;
};

// Of less than that part of K nothing is seen any more, not even through a chaotic network.
constexpr double unseen = 1e-25;

// Why a sample is lost, as bits: a trained bias is 0 at first where K is 0, and Theta over K has no meaning; a layer divides by
// what is nothing but rounding; or by 0.
constexpr unsigned char lost_in_ntk = 1, lost_in_rounding = 2, lost_to_zero = 4;

// What the numbers alone do not tell of samples: whether K and Theta are not 0, however small; whether the engine cannot tell
// how similar one is to others, K being too small, or how large Theta is relative to K; whether K is 0 and its branches
// come from different directions; why a layer cannot act on it, if one cannot; whether all units are one number.
struct Fates {
    std::vector<unsigned char> variance, ntk, faint, ntk_faint, undirected, lost, flat;
    explicit Fates(std::size_t count = 0)
        : variance(count), ntk(count), faint(count), ntk_faint(count), undirected(count), lost(count), flat(count) {}
};

// Of a unit: Gaussian; the input, or behind an activation, which another activation takes for a Gaussian; or none.
enum class Law { gaussian, given, other };

struct Node {
    ScaledColumn variance, ntk;
    Fates fates;
    std::vector<double> carried;        // of the weights' rounding, see ShareArguments
    std::vector<WideColumn> log_slopes; // d log K(x, x) of each direction
    // The mean of a unit, where it is followed and not 0, and its derivative in each direction; at the input it is not known.
    ScaledColumn mean;
    std::vector<std::vector<double>> mean_slopes;
    bool has_mean = false, knows_mean = false;
    Law law = Law::given;
    bool nonnegative = false; // rho >= 0 of all pairs
    double units = 0;         // of the layer before, or features; 0 where it is not known
    std::vector<Index> positions; // along each axis, of samples that have several

    Node() = default;
    Node(std::size_t count, std::size_t directions)
        : variance(count), ntk(count), fates(count), carried(count), log_slopes(directions, WideColumn(count)) {}
};

} // namespace fastntk
