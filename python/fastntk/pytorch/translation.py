"""The function that users call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from .._checks.arguments import one_of
from .._checks.shown import shown
from ..networks.sequential import Sequential

if TYPE_CHECKING:
    from .deviations import Deviation


def from_torch(
    module: Any,
    sigma_w: Deviation | Sequence[Deviation] = None,
    sigma_b: Deviation | Sequence[Deviation] = None,
    *,
    parametrization: Literal["standard", "ntk"] = "standard",
) -> Sequential:
    r"""Make the infinitely wide network that a PyTorch module is an instance of.

    Parameters
    ----------
    module : torch.nn.Module
        Of one argument, a batch of samples. Its forward is followed by ``torch.fx``; sums, products, and ``torch.cat``
        of branches become `Sum` or `Residual`, `Product`, `Concat`. It is not changed.
    sigma_w, sigma_b : float, "measured", None, or sequence of those for each layer with weights, optional
        Standard deviations of the weights, times the root of the fan-in, and of the biases; of layers in the order in
        which forward calls them. None: those of PyTorch's own initialisation, sigma_w = 1/√3 and
        sigma_b = 1/√(3 N) with the fan-in N of the layer as it is; a layer whose numbers cannot have been
        drawn so, because it was trained or initialised otherwise, is refused. "measured": the root mean square of the
        numbers that are there, which of n numbers has a relative error of 1/√(2 n).
    parametrization : {"standard", "ntk"}, default "standard"
        "standard": Theta is that of PyTorch's gradients, in the weights themselves, and grows with the widths, which
        are those of the module. "ntk": that of weights N(0, 1) with factors in front. K is the same.

    Returns
    -------
    Sequential
        For samples whose channels are last: images are ``x.permute(0, 2, 3, 1)`` of what the module takes.

    Raises
    ------
    ValueError
        For what has no equal: one sentence with its path, such as "module 'features.3' is a MaxPool2d: ...". So are
        weights that are used twice, and forwards that look at numbers, or take or give more than one tensor.
    TypeError
        If it is no module.

    Notes
    -----
    K is the limit for widths that grow while the standard deviations stay what they are. Those of PyTorch's biases
    do not stay: they are 1/√(3 N), so that in wider and wider modules only the first layer would have any. The
    kernel here is that of the widths that the module has.

    A layer whose weights do not require gradients is ``trainable=False``. Dropout counts where it is in training mode,
    which modules are until ``module.eval()``. Gain and offset of normalisations have to be 1 and 0; that they are
    trained is left out, a part of Theta of the order of 1 / width of it.

    Examples
    --------
    >>> import fastntk, torch
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Linear(3, 512), nn.Tanh(), nn.Linear(512, 1, bias=False))
    >>> fastntk.from_torch(module, sigma_w=1.5, sigma_b=0.1, parametrization="ntk")
    Sequential(Dense(sigma_w=1.5, sigma_b=0.1), Activation('tanh'), Dense(sigma_w=1.5, sigma_b=0.0))
    >>> print(fastntk.from_torch(module)[2])
    Dense(sigma_w=0.5774, sigma_b=0.0, parametrization='standard', width=1)
    >>> fastntk.from_torch(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8)))
    Traceback (most recent call last):
    ValueError: module '1' is a BatchNorm1d: what it gives depends on the other samples of a batch; ...
    """
    one_of(parametrization, "parametrization", ("standard", "ntk"))
    try:
        from torch import nn
    except ImportError:
        nn = None
    if nn is None or not isinstance(module, nn.Module):
        hint = " Make one: module()." if isinstance(module, type) else ""
        raise TypeError(f"from_torch takes a torch.nn.Module, got {shown(module)}.{hint}")
    from .deviations import Weights
    from .joining import network
    from .tracing import traced

    graph = traced(module)
    return network(graph, Weights(graph.weighted, sigma_w, sigma_b, parametrization))
