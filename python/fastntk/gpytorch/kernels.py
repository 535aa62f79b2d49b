"""Kernels as modules of GPyTorch: those sigmas of a network that are not 0 are their parameters."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from gpytorch.constraints import Interval, Positive
from gpytorch.kernels import Kernel
from gpytorch.priors import Prior

from .._checks.arguments import one_of
from .._checks.shown import shown
from ..inference.fitting.sigmas import Sigmas
from ..layers.scale import Scale
from ..networks.sequential import Sequential, checked
from ..samples import Ragged
from .autograd import kernel_matrix
from .sets import Family


class _NetworkKernel(Kernel):  # type: ignore[misc]
    """A kernel of an infinitely wide network; `NNGPKernel` says its parameters."""

    _kind: ClassVar[Literal["nngp", "ntk"]]

    is_stationary = False

    def __init__(
        self,
        net: Sequential,
        *,
        hyperparameters: Literal["shared", "all"] = "shared",
        sigma_w_prior: Prior | None = None,
        sigma_w_constraint: Interval | None = None,
        sigma_b_prior: Prior | None = None,
        sigma_b_constraint: Interval | None = None,
        ard_num_dims: int | None = None,
        lengthscale_prior: Prior | None = None,
        lengthscale_constraint: Interval | None = None,
        batch_shape: torch.Size | None = None,
        active_dims: tuple[int, ...] | None = None,
    ) -> None:
        one_of(hyperparameters, "hyperparameters", ("shared", "all"))
        sigmas = Sigmas(checked(net), None, None, hyperparameters, "fixed")
        if not len(sigmas):
            raise ValueError(f"net has no sigma above 0, so the kernel would have no parameters: got {shown(net)}.")
        if ard_num_dims is None and not (lengthscale_prior is None and lengthscale_constraint is None):
            raise ValueError("a prior or a constraint of lengthscales needs ard_num_dims, the number of features.")
        if ard_num_dims is not None and isinstance(net[0], Scale):
            raise ValueError("net begins with Scale, which ard_num_dims would be once more: leave one of them out.")
        super().__init__(
            ard_num_dims=ard_num_dims, batch_shape=batch_shape, active_dims=active_dims,
            lengthscale_prior=lengthscale_prior, lengthscale_constraint=lengthscale_constraint,
        )  # fmt: skip
        if ard_num_dims is not None and lengthscale_constraint is None:
            self.initialize(lengthscale=1.0)
        self._family = Family(sigmas, self._kind)
        self._kinds = [key.rpartition("__")[2] for key in sigmas.keys]
        given = {"sigma_w": (sigma_w_prior, sigma_w_constraint), "sigma_b": (sigma_b_prior, sigma_b_constraint)}
        for kind in dict.fromkeys((*given, *self._kinds)):
            self._register(kind, *given.get(kind, (None, None)))

    def _register(self, kind: str, prior: Prior | None, constraint: Interval | None) -> None:
        """Make the free sigmas of a kind a parameter, which starts where the network has them."""
        here = self._family.sigmas.values[np.array(self._kinds) == kind]
        if not len(here):
            if prior is not None or constraint is not None:
                raise ValueError(f"every {kind} of net is 0 and stays 0, so it takes no prior and no constraint.")
            return
        self.register_parameter(f"raw_{kind}", torch.nn.Parameter(torch.zeros(*self.batch_shape, len(here))))
        self.register_constraint(f"raw_{kind}", Positive() if constraint is None else constraint)
        if constraint is None or constraint.initial_value is None:
            self._initialize(kind, torch.from_numpy(here))
        if prior is not None:
            if not isinstance(prior, Prior):
                raise TypeError(f"{kind}_prior must be a gpytorch.priors.Prior, got {shown(prior)}.")
            self.register_prior(f"{kind}_prior", prior, partial(_get, kind), partial(_set, kind))

    def _positive(self, kind: str) -> torch.Tensor:
        return self.constraint_for_parameter_name(f"raw_{kind}").transform(getattr(self, f"raw_{kind}"))

    def _initialize(self, kind: str, value: torch.Tensor | float) -> None:
        raw = getattr(self, f"raw_{kind}")
        constraint = self.constraint_for_parameter_name(f"raw_{kind}")
        self.initialize(**{f"raw_{kind}": constraint.inverse_transform(torch.as_tensor(value, dtype=raw.dtype))})

    @property
    def sigma_w(self) -> torch.Tensor:
        """Free sigma_w, of shape (*batch_shape, 1), or (*batch_shape, layers) with ``hyperparameters="all"``."""
        return self._positive("sigma_w")

    @sigma_w.setter
    def sigma_w(self, value: torch.Tensor | float) -> None:
        self._initialize("sigma_w", value)

    @property
    def sigma_b(self) -> torch.Tensor:
        """Free sigma_b, likewise."""
        return self._positive("sigma_b")

    @sigma_b.setter
    def sigma_b(self, value: torch.Tensor | float) -> None:
        self._initialize("sigma_b", value)

    @property
    def has_lengthscale(self) -> bool:
        """Whether features are divided by lengthscales."""
        return self.ard_num_dims is not None

    def _values(self) -> torch.Tensor:
        """Free sigmas in the order of the network, of shape (*batch_shape, p)."""
        columns = {kind: iter(self._positive(kind).unbind(-1)) for kind in dict.fromkeys(self._kinds)}
        return torch.stack([next(columns[kind]) for kind in self._kinds], -1)

    def to_network(self) -> Sequential:
        """Make the network whose kernel this is now: its sigmas, behind a `fastntk.Scale` if there are lengthscales.

        Raises
        ------
        ValueError
            If the kernel has batches.
        """
        if self.batch_shape:
            raise ValueError(
                f"a kernel of batch_shape {tuple(self.batch_shape)} is of several networks: take one, "
                "kernel[0].to_network()."
            )
        net = self._family.sigmas.with_values(self._values().detach().double().numpy())
        if not self.has_lengthscale:
            return net
        return Sequential(Scale(1 / self.lengthscale.detach().double().numpy()[0]), net)

    def __call__(self, *samples: Any, **options: Any) -> Any:
        """The kernel of tensors, which GPyTorch evaluates when it is needed."""
        for x in samples:
            if isinstance(x, Ragged):
                raise TypeError(
                    f"kernels of GPyTorch are of tensors, got {type(x).__name__}: fastntk.inference takes those."
                )
        return super().__call__(*samples, **options)

    def forward(
        self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, last_dim_is_batch: bool = False, **_: Any
    ) -> torch.Tensor:
        """Kernel of batches (*batch, n, d) and (*batch, m, d): (*batch, n, m), or its diagonal, (*batch, n).

        With `last_dim_is_batch` every feature is a batch of its own, the last.
        """
        given, values = [x1] if x1 is x2 else [x1, x2], self._values()
        if self.has_lengthscale:
            given = [x / self.lengthscale for x in given]
        if last_dim_is_batch:
            given, values = [x.transpose(-1, -2).unsqueeze(-1) for x in given], values.unsqueeze(-2)
        if diag:  # every sample is a set of its own
            given, values = [x.unsqueeze(-2) for x in given], values.unsqueeze(-2)
        matrix = kernel_matrix(self._family, values, *given)
        return matrix[..., 0, 0] if diag else matrix

    def extra_repr(self) -> str:
        """What it is of now; of several networks at first."""
        if self.batch_shape:
            return shown(self._family.sigmas.net)
        net = self.to_network()
        return shown(net.with_parameters([float(f"{value:.6g}") for _, _, value in net.parameters]))


def _get(kind: str, kernel: _NetworkKernel) -> torch.Tensor:
    """What a prior is of; a lambda would not pickle."""
    return getattr(kernel, kind)


def _set(kind: str, kernel: _NetworkKernel, value: torch.Tensor) -> None:
    setattr(kernel, kind, value)


class NNGPKernel(_NetworkKernel):
    """NNGP kernel of an infinitely wide network, for GPyTorch's Gaussian processes and BoTorch's models.

    Parameters
    ----------
    net : Sequential
        Any network for samples that are vectors; one of images begins with `fastntk.Reshape`.
    hyperparameters : {"shared", "all"}, default "shared"
        Which parameters there are: one for all sigma_w and one for all sigma_b, told by the first that is not 0, to
        which the others keep their ratios; or those of every layer. A sigma of 0 is none and stays 0. What is not to be
        fitted: ``kernel.raw_sigma_w.requires_grad_(False)``.
    sigma_w_prior, sigma_b_prior : gpytorch.priors.Prior, optional
    sigma_w_constraint, sigma_b_constraint : gpytorch.constraints.Interval, optional
        Of the sigmas, by default Positive. They start where `net` has them, or at the constraint's initial value.
    ard_num_dims : int, optional
        Number of features, each to be divided by a lengthscale of its own, which starts at 1. None by default.
        Weights of a `fastntk.Scale` at the beginning of `net` are no parameters: they stay as they are.
    lengthscale_prior, lengthscale_constraint : optional
        Of the lengthscales, as for all kernels of GPyTorch.
    batch_shape : torch.Size, optional
        For as many kernels, each with parameters of its own.
    active_dims : tuple of int, optional
        Which features it is of.

    Attributes
    ----------
    sigma_w, sigma_b : tensor of shape (*batch_shape, k)
        Free sigmas, which can be set; `raw_sigma_w` and `raw_sigma_b` are the parameters. There is none of a kind that
        is 0 in every layer.

    Raises
    ------
    ValueError, TypeError
        If net is no network, has no sigma above 0, or an option fits nothing; as it is called, of tensors that are
        not of float32 or float64 on the CPU, and whatever the network's own kernel refuses.
    RuntimeError
        By PyTorch's backward, where a gradient is differentiated again.

    Notes
    -----
    Computed by ``net.nngp``, in the precision of the samples; derivatives in samples, sigmas and lengthscales by
    ``net.nngp.vjp``, in float64. Without x2, or where it equals x1, the result is exactly symmetric. Sets of a batch
    are computed in few calls where they are small or all beside the same samples, as acquisition functions have them.

    Standard deviations of other weights, sigma_u and the like, are parameters too: ``raw_sigma_u``, positive.

    PyTorch makes parameters in its default precision, float32: what becomes float64 later, as in BoTorch, has sigmas
    of seven digits.

    The sigmas of a last Dense layer are an output scale: with ``hyperparameters="all"`` `ScaleKernel` has nothing to
    add.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018, eq. 4-5.

    Examples
    --------
    >>> import fastntk, torch
    >>> from fastntk.gpytorch import NNGPKernel
    >>> net, x = fastntk.mlp(3, "relu", sigma_w=2**0.5, sigma_b=0.1), torch.eye(4, dtype=torch.float64)
    >>> kernel = NNGPKernel(net).double()
    >>> bool(torch.allclose(kernel(x).to_dense(), torch.from_numpy(net.nngp(x.numpy()))))
    True
    >>> kernel(x).to_dense().sum().backward()
    >>> kernel.raw_sigma_w.grad.shape
    torch.Size([1])

    In BoTorch: ``SingleTaskGP(X, y, covar_module=NNGPKernel(net))``.
    """

    _kind = "nngp"


class NTKKernel(_NetworkKernel):
    """Neural tangent kernel of an infinitely wide network; parameters, attributes and errors are those of `NNGPKernel`.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, theorem 1.

    Examples
    --------
    >>> import fastntk, torch
    >>> from fastntk.gpytorch import NTKKernel
    >>> kernel = NTKKernel(fastntk.mlp(2, "erf", sigma_w=1.5, sigma_b=0.1), ard_num_dims=4)
    >>> kernel(torch.eye(4), diag=True).shape
    torch.Size([4])
    >>> kernel.lengthscale.shape
    torch.Size([1, 4])
    """

    _kind = "ntk"
