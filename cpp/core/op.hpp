// An op of a program, what it needs of each sample, and a strip of pairs that it acts on.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels.hpp"
#include "quadrature.hpp"
#include "window.hpp"

namespace fastntk {

// The state of a strip of pairs, with what is kept of it while branches are computed: slots of gaps and of Theta each.
template <class T>
struct Strip {
    T* gap;
    T* ntk; // nullptr if it is not wanted
    Index length;
    T* slots;
    Index stride;
    Index self; // where both samples are one and the same, if from 0 on

    T* gap_slot(Index slot) const { return slots + 2 * slot * stride; }
    T* ntk_slot(Index slot) const { return ntk ? gap_slot(slot) + stride : nullptr; }
    Strip part(Index begin, Index count) const {
        return {gap + begin, ntk ? ntk + begin : nullptr, count, slots ? slots + begin : nullptr, stride, self - begin};
    }
};

// What a window of positions does to strips of pairs, see cpp/core/plane_kernels.hpp; tables of the standard deviation of what
// it reads are those of the op, here are those of what it gives: the deviation, and its inverse. All are in units of a sample,
// whose inverse is its scale, of the size of its deviations: those of one that is much brighter lose nothing beside the other's.
template <class T>
struct WindowOp {
    Window window;
    LinearForm<T> form;
    std::vector<T> behind;
};

struct Mix; // mixing.hpp

// Tables as a matrix [table][sample]. Samples of several positions are a sample each, [position][sample].
template <class T>
struct Op {
    OpCode code;
    bool nonnegative = false; // rho >= 0 for every pair that reaches this op
    std::vector<T> parameters = {};
    std::vector<T> tables = {};
    Index table_count = 0;
    Index values = 0;     // tables but for those that only gradients need
    Index directions = 0; // the parameters that reach this op, in gradients
    Index slot = -1;      // what is kept, or comes back, or is the other part
    std::shared_ptr<const QuadratureRule> rule = nullptr; // of the op quadrature
    std::shared_ptr<const WindowOp<T>> window = nullptr;  // of the op window
    std::vector<T> scales = {};                           // of samples, by windows and averages
    std::shared_ptr<const Mix> mix = nullptr;             // of the op mix

    // Of a pair, roughly, in multiply-adds: closed forms are some 5 ns, and most tables are terms of a series.
    double work() const { return 50 + 4 * static_cast<double>(table_count) + (rule ? rule->work() : 0); }

    // p and q point to the tables of sample p and of the samples q.
    void apply(const Kernels<T>& kernels, const T* p, const T* q, Index q_stride, const Strip<T>& s) const {
        const StripArguments<T> arguments{parameters.data(), p, q, q_stride, s.length};
        const int variant = op_variant(nonnegative, s.ntk != nullptr);
        switch (code) {
        case OpCode::save:
            std::copy_n(s.gap, s.length, s.gap_slot(slot));
            if (s.ntk) std::copy_n(s.ntk, s.length, s.ntk_slot(slot));
            return;
        case OpCode::load:
            std::copy_n(s.gap_slot(slot), s.length, s.gap);
            if (s.ntk) std::copy_n(s.ntk_slot(slot), s.length, s.ntk);
            return;
        case OpCode::add: return kernels.add[variant](arguments, s.gap_slot(slot), s.ntk_slot(slot), s.gap, s.ntk);
        case OpCode::multiply: return kernels.multiply[variant](arguments, s.gap_slot(slot), s.ntk_slot(slot), s.gap, s.ntk);
        case OpCode::quadrature: return rule->apply(*p, q, s.length, s.gap, s.ntk);
        default: break;
        }
        // A sample has one mask: to itself it is as similar as before.
        const bool masked = code == OpCode::dropout && s.self >= 0 && s.self < s.length;
        const T gap = masked ? s.gap[s.self] : T(0), ntk = masked && s.ntk ? s.ntk[s.self] : T(0);
        kernels.ops[static_cast<int>(code)][variant](arguments, s.gap, s.ntk);
        if (masked) {
            s.gap[s.self] = gap;
            if (s.ntk) s.ntk[s.self] = ntk;
        }
    }
};

} // namespace fastntk
