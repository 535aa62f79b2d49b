"""A kernel against rows that stay, that users hold: `net.ntk.prepare(Y)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.progress import Progress
from ..layers.base import Layer
from ..layers.migration import check_kernel, refuse
from . import blocks, computation, input_gradients
from .prepared import PreparedRows

if TYPE_CHECKING:
    from .operator import KernelOperator


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PreparedKernel:
    """A kernel against rows Y that stay, as `Kernel.prepare` gives it: call it with data, ``prepared(X)``.

    Several threads may call it at once. It pickles as the kernel and Y, which are prepared again where it is loaded.

    Attributes
    ----------
    layers : tuple of Layer
    kind : {"nngp", "ntk"}
        Of the kernel.
    rows : PreparedRows
        The rows Y, compiled.

    Notes
    -----
    What a row of X gets does not depend on the rows it is asked with, nor on what was asked before: not a bit where all
    norms are in the range of Y's, or activations have closed forms, and otherwise not beyond the tolerance of their
    expansion. Large results that are evaluated as one polynomial apart, see `univariate` of `Kernel.__call__`, and
    images and sequences, of which the last bits may differ.
    """

    layers: tuple[Layer, ...]
    kind: Literal["nngp", "ntk"]
    rows: PreparedRows

    @refuse(check_kernel)
    def __call__(
        self,
        X: ArrayLike,
        *,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        max_memory: int | str | None = None,
        univariate: bool = True,
    ) -> NDArray[Any]:
        """Kernel between all samples of X and all of Y, of shape (n, m): arguments and errors as `Kernel.__call__`."""
        wanted = self.rows.wanted if dtype is None else dtype
        return computation.into(
            self.layers, X, self.rows, self.kind,
            out=out, dtype=wanted, progress=progress, max_memory=max_memory, univariate=univariate,
        )[0]  # fmt: skip

    def vjp(self, X: ArrayLike, G: ArrayLike, *, progress: Progress = False) -> NDArray[np.float64]:
        """Derivative of sum(G * kernel(X, Y)) in X, for G of shape (n, m): of shape (n, d), as `Kernel.vjp` has it.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> kernel, Y = fastntk.mlp(depth=3, sigma_b=0.1).nngp, np.eye(4)
        >>> X, G = np.ones((2, 4)), np.ones((2, 4))
        >>> bool(np.allclose(kernel.prepare(Y).vjp(X, G), kernel.vjp(X, G, Y, wrt="inputs")[0]))
        True
        """
        return input_gradients.contract_rows(self.layers, X, G, self.rows, self.kind, progress=progress)

    def input_gradient(self, x: ArrayLike) -> NDArray[np.float64]:
        """Derivatives of the kernel between one point and all of Y in the point, as `Kernel.input_gradient` has them.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> fastntk.mlp(depth=3).nngp.prepare(np.eye(4)).input_gradient(np.ones(4)).shape
        (4, 4)
        """
        return input_gradients.slopes_at(self.layers, x, self.rows, self.kind)

    def operator(self, X: ArrayLike, *, dtype: DTypeLike | None = None, progress: Progress = False) -> KernelOperator:
        """Kernel as a linear operator, as `Kernel.operator` gives it.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> prepared = fastntk.mlp(depth=3).ntk.prepare(np.eye(4))
        >>> bool(np.allclose(prepared.operator(np.ones((1, 4))) @ np.ones(4), prepared(np.ones((1, 4))).sum()))
        True
        """
        from .operator import KernelOperator

        wanted = self.rows.wanted if dtype is None else dtype
        return KernelOperator(blocks.KernelMatrix(self.layers, X, self.rows, self.kind, wanted), 0.0, progress)

    def __repr__(self) -> str:
        return f"PreparedKernel({self.rows.samples} rows, {self.kind!r} of {len(self.layers)} layers)"
