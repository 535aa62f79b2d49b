"""SelfAttention: every position looks at all positions of its sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import (
    finite_number,
    not_negative,
    one_of,
    positive,
    standard_deviation,
    true_or_false,
    whole_number,
)
from .base import Layer, Signal
from .migration import check_attention, refuse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Of positions, if there are any to give.
_POSITIONAL = ("position_sigma", "position_share", "position_decay", "position_in_values")


class Similarity(NamedTuple):
    """R of positions by how far apart they are: ``R(p, p') = table[|codes[p] - codes[p']|]``."""

    codes: NDArray[np.intp]
    table: NDArray[np.float64]

    def within(self, length: int) -> NDArray[np.float64]:
        """R of the first positions, so many."""
        codes = self.codes[:length]
        return self.table[np.abs(np.subtract.outer(codes, codes))]


@dataclass(frozen=True, init=False)
class SelfAttention(Layer):
    r"""Attention of infinitely many heads: what is at all positions of a sample, weighted by how like they are.

    A head gives ζ(Q Kᵀ / d) V, with queries Q, keys K and values V that are weights times what comes in, of d units
    each; the layer weights over all heads, and a bias. In the limit the weights of attention are those of a sample
    alone, G(x) = ζ(sigma_q sigma_k K̂(x, x)), and

    K' = sigma_o² sigma_v² G(x) K G(x')ᵀ + sigma_b², Theta' = sigma_o² sigma_v² G(x) (Theta + 2 K) G(x')ᵀ + sigma_b²,

    where K̂ = a K + b R has the positions, too, and K and Theta have them if `position_in_values`.

    Parameters
    ----------
    sigma_q, sigma_k : float, default 1.0
        Standard deviations of the weights of queries and keys, times the square root of the fan-in. Kernels depend on
        their product.
    sigma_v, sigma_o : float, default 1.0
        Those of values, and of the layer over all heads, likewise.
    sigma_b : float, default 0.0
        Standard deviation of the biases.
    mechanism : {"softmax", "identity", "relu", "abs"}, default "softmax"
        What ζ is, row by row; softmax over the positions of the sample.
    scaling : {"linear", "sqrt"}, default "linear"
        "linear": what is above, with one matrix for queries and keys, scores divided by their number of units. "sqrt":
        queries and keys of their own, scores divided by its root. Of the latter a kernel is known for "identity" alone,
        K' = s² <K̂, K> K̂ + sigma_b², with the sum <·, ·> over all pairs of positions of both samples and
        s = sigma_q sigma_k sigma_v sigma_o.
    position : {None, "sum", "concat"}
        Random features of positions, the same for all samples: none, added to what comes in (a = 1,
        b = position_sigma²), or units beside (a = 1 - position_share, b = position_share position_sigma²).
    position_sigma : float, default 1.0
        Their standard deviation.
    position_share : float, default 0.5
        Of "concat": how many of all units are theirs.
    position_decay : float > 0, optional
        R(p, p') = exp(-position_decay |p - p'|²), |·| the Euclidean distance in an image. By default R is 1 at the same
        position and 0 elsewhere, as of one-hot codes.
    position_in_values : bool, default False
        Whether values have them, too; Theta then has b R of their features, which are trained.
    width : int, optional
        Number of units of a finite network that this stands for, as for `Dense`.
    heads : int, optional
        Of that network, each with ``width // heads`` queries and values; kernels do not depend on it. By default one,
        which is enough for "linear", or about the root of the width for "sqrt".

    Raises
    ------
    ValueError, TypeError
        A parameter out of its range, or of positions without `position`; a scaling without a known kernel; samples that
        are vectors.

    Notes
    -----
    Sequences of different lengths are `Sequences`: padding is not needed and there is no mask. The order of positions
    matters only by `position`.

    References
    ----------
    Hron, Bahri, Sohl-Dickstein, Novak, "Infinite attention: NNGP and NTK for deep attention networks", ICML 2020,
    arXiv:2006.10540.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.SelfAttention(position="sum"), fastntk.GlobalAvgPool(), fastntk.Dense())
    >>> X = fastntk.Sequences([np.ones((3, 2)), np.ones((5, 2))])
    >>> fastntk.reference.nngp(net, X).shape
    (2, 2)
    """

    on_positions: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    sigma_q: float
    sigma_k: float
    sigma_v: float
    sigma_o: float
    sigma_b: float
    mechanism: Literal["softmax", "identity", "relu", "abs"]
    scaling: Literal["linear", "sqrt"]
    position: Literal["sum", "concat"] | None
    position_sigma: float
    position_share: float
    position_decay: float | None
    position_in_values: bool
    width: int | None
    heads: int | None

    @refuse(check_attention)
    def __init__(
        self,
        sigma_q: float = 1.0,
        sigma_k: float = 1.0,
        sigma_v: float = 1.0,
        sigma_o: float = 1.0,
        sigma_b: float = 0.0,
        mechanism: Literal["softmax", "identity", "relu", "abs"] = "softmax",
        scaling: Literal["linear", "sqrt"] = "linear",
        *,
        position: Literal["sum", "concat"] | None = None,
        position_sigma: float = 1.0,
        position_share: float = 0.5,
        position_decay: float | None = None,
        position_in_values: bool = False,
        width: int | None = None,
        heads: int | None = None,
    ) -> None:
        one_of(mechanism, "mechanism", ("softmax", "identity", "relu", "abs"))
        one_of(scaling, "scaling", ("linear", "sqrt"))
        one_of(position, "position", (None, "sum", "concat"))
        share = finite_number(position_share, "position_share")
        if not 0 < share < 1:
            raise ValueError(f"position_share must be between 0 and 1, got {share:g}.")
        for key, value in {
            "sigma_q": standard_deviation(sigma_q, "sigma_q"),
            "sigma_k": standard_deviation(sigma_k, "sigma_k"),
            "sigma_v": standard_deviation(sigma_v, "sigma_v"),
            "sigma_o": standard_deviation(sigma_o, "sigma_o"),
            "sigma_b": standard_deviation(sigma_b, "sigma_b"),
            "mechanism": str(mechanism),
            "scaling": str(scaling),
            "position": None if position is None else str(position),
            "position_sigma": not_negative(position_sigma, "position_sigma"),
            "position_share": share,
            "position_decay": None if position_decay is None else positive(position_decay, "position_decay"),
            "position_in_values": true_or_false(position_in_values, "position_in_values"),
            "width": None if width is None else whole_number(width, "width", least=1),
            "heads": None if heads is None else whole_number(heads, "heads", least=1),
        }.items():
            object.__setattr__(self, key, value)
        if self.width is not None and self.heads is not None and self.heads > self.width:
            raise ValueError(f"of {width} units none is left for each of {heads} heads.")
        if self.scaling == "sqrt" and self.mechanism != "identity":
            raise ValueError(
                f"of scaling='sqrt' a kernel is known for mechanism='identity' alone, got {mechanism!r}; use "
                "scaling='linear'."
            )
        idle = [name for name in _POSITIONAL if name in self._changed and not self._uses(name)]
        if idle:
            wanted = "'concat'" if self.position else "'sum' or 'concat'"
            raise ValueError(f"{idle[0]} is for position={wanted}, got position={position!r}.")

    def _uses(self, name: str) -> bool:
        return self.position == "concat" if name == "position_share" else self.position is not None

    @property
    def _changed(self) -> dict[str, Any]:
        """What is not as by default, of all but the standard deviations."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if name in _DEFAULTS and value != _DEFAULTS[name]}

    def __repr__(self) -> str:
        sigmas = (f"{name}={getattr(self, name)!r}" for name in ("sigma_q", "sigma_k", "sigma_v", "sigma_o", "sigma_b"))
        return f"SelfAttention({', '.join([*sigmas, *(f'{name}={value!r}' for name, value in self._changed.items())])})"

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Its standard deviations."""
        names = ("sigma_q", "sigma_k", "sigma_v", "sigma_o", "sigma_b")
        return {name: getattr(self, name) for name in (*names, *(["position_sigma"] if self.position else []))}

    @property
    def signed(self) -> tuple[str, ...]:  # type: ignore[override]
        """Scores are products of these, not of their squares."""
        return ("sigma_q", "sigma_k") if self.scaling == "linear" else ()

    def with_values(self, **values: Any) -> SelfAttention:
        """One with other values of some parameters."""
        return SelfAttention(**{**{field.name: getattr(self, field.name) for field in fields(self)}, **values})

    @property
    def shares(self) -> tuple[float, float]:
        """Weights a and b of what comes in, and of the similarity of positions, in K̂."""
        if self.position is None:
            return 1.0, 0.0
        own = self.position_share if self.position == "concat" else 1.0
        return (1.0 - own if self.position == "concat" else 1.0), own * self.position_sigma**2

    def similarity(self, grid: tuple[int, ...]) -> Similarity:
        """R of positions along axes of these lengths.

        Codes have a digit for each axis, of a base in which differences of digits are another number each.
        """
        bases = [max(2 * length - 1, 1) for length in grid]
        codes = np.zeros(1, np.intp)
        for length, base in zip(grid, bases, strict=True):
            codes = np.add.outer(codes * base, np.arange(length)).ravel()
        apart = np.arange(codes.max(initial=0) + 1)
        squares = np.zeros(len(apart))
        for base in reversed(bases):
            digit = (apart + base // 2) % base - base // 2
            squares += digit**2
            apart = (apart - digit) // base
        near = squares == 0 if self.position_decay is None else np.exp(-self.position_decay * squares)
        return Similarity(codes, np.asarray(near, np.float64))

    def weights(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """G of a sample whose K̂ at all pairs of its positions is k."""
        scores = self.sigma_q * self.sigma_k * k
        if self.mechanism == "softmax":
            scores -= scores.max(axis=-1, keepdims=True, initial=-math.inf)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            return scores
        if self.mechanism == "relu":
            return np.maximum(scores, 0)
        return np.abs(scores) if self.mechanism == "abs" else scores

    def _all_weights(
        self, kernels: NDArray[np.float64], lengths: NDArray[np.intp], similarity: Similarity | None
    ) -> NDArray[np.float64]:
        """G of all samples in place of their K, one after the other; at once of those of one length, side by side."""
        ends, end = np.flatnonzero(np.diff(lengths, append=-1)) + 1, 0
        for begin, stop in zip((0, *ends), ends, strict=False):
            length, first = int(lengths[begin]), end
            end = first + (stop - begin) * length**2
            k = kernels[first:end].reshape(stop - begin, length, length)
            if similarity is not None:
                k *= self.shares[0]
                k += similarity.within(length)
            k[...] = self.weights(k)
        return kernels

    def emit(self, program: Any, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine, that mixes nodes."""
        starts = program.starts
        a, b = self.shares
        similarity = self.similarity(max(program.grids, key=math.prod, default=(0,)))
        similarity = similarity._replace(table=b * similarity.table)
        if self.scaling == "sqrt":
            scale = (self.sigma_q * self.sigma_k * self.sigma_v * self.sigma_o) ** 2
            program.attend(a, similarity, self.position_in_values, scale, self.sigma_b**2)
            if self.width is not None:
                program.set_width(self.width)
            return
        if self.position and self.position_in_values:
            program.shift(a, similarity)
        added = self.position is not None and not self.position_in_values
        weights = self._all_weights(program.own_kernels(), np.diff(starts), similarity if added else None)
        program.dense(self.sigma_v, 0.0, True)
        program.mix(_block_diagonal(weights, starts), starts)
        program.dense(self.sigma_o, self.sigma_b, True)
        if self.width is not None:
            program.set_width(self.width)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian units at the same positions."""
        if signal.positions == ():
            raise ValueError(
                "attention is between the positions of a sample, and what comes in are vectors, without any: sequences "
                "are fastntk.Sequences(list of arrays) or arrays (samples, length, channels)."
            )
        adds = self.position is not None and self.position_in_values and self.position_sigma > 0
        looks = self.mechanism == "softmax" or self.sigma_q * self.sigma_k > 0  # else all weights are 0
        passed = looks and self.sigma_v > 0 and self.sigma_o > 0 and (adds or not signal.vanishes)
        width = math.inf if self.width is None else self.width
        return Signal(signal.positions, width, "gaussian", "zero", "fresh", self.sigma_b == 0 and not passed)


#: What its text leaves out.
_DEFAULTS = {
    "mechanism": "softmax",
    "scaling": "linear",
    "position": None,
    "position_sigma": 1.0,
    "position_share": 0.5,
    "position_decay": None,
    "position_in_values": False,
    "width": None,
    "heads": None,
}


def _block_diagonal(entries: NDArray[np.float64], starts: NDArray[np.intp]) -> csr_array:
    """Square blocks as one matrix, from their rows, one after the other."""
    from scipy.sparse import csr_array

    lengths = np.diff(starts)
    per_row = np.repeat(lengths, lengths)
    rows = np.concatenate((np.zeros(1, np.intp), np.cumsum(per_row)))
    columns = np.arange(len(entries)) + np.repeat(np.repeat(starts[:-1], lengths) - rows[:-1], per_row)
    return csr_array((entries, columns, rows), shape=(int(starts[-1]), int(starts[-1])))
