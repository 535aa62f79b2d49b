"""The kernels for GPyTorch: values, derivatives, batches, and BoTorch's models that use them."""

from __future__ import annotations

import copy
import doctest
import importlib
import pickle
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("gpytorch", reason='needs pip install "fastntk[gpytorch]"')
pytest.importorskip("botorch", reason="needs pip install botorch")

import gpytorch
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior

from fastntk.gpytorch import NNGPKernel, NTKKernel
from fastntk.inference import gp_posterior

KERNELS = [NNGPKernel, NTKKernel]
ACTIVATIONS = ["relu", "erf", "tanh"]

every_kernel = pytest.mark.parametrize("kernel_class", KERNELS)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def network(activation: str = "relu") -> fastntk.Sequential:
    """Two hidden layers, with sigmas of their own."""
    return fastntk.mlp(2, activation, [1.4, 1.2, 1.3], [0.3, 0.2, 0.1])


def samples(*shape: int, seed: int = 0, grad: bool = False) -> Any:
    """Normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_(grad)


def check(function: Any, *inputs: Any, atol: float = 1e-7) -> None:
    """Derivatives against central differences, one entry of the result after the other."""
    assert torch.autograd.gradcheck(function, inputs, eps=1e-6, atol=atol, rtol=1e-6)


def of_network(kernel: Any, net: fastntk.Sequential) -> fastntk.Kernel:
    """The network's own."""
    return net.nngp if isinstance(kernel, NNGPKernel) else net.ntk


def in_parameters(kernel: Any, *given: Any, **options: Any) -> None:
    """Derivatives in all parameters against central differences."""
    names = [name for name, _ in kernel.named_parameters()]

    def value(*parameters: Any) -> Any:
        with gpytorch.settings.lazily_evaluate_kernels(False):
            found = torch.func.functional_call(kernel, dict(zip(names, parameters, strict=True)), given, options)
        return found if options else found.to_dense()

    parameters = [parameter.detach().clone().requires_grad_() for parameter in kernel.parameters()]
    assert value(*parameters).grad_fn is not None
    check(value, *parameters)


@every_kernel
@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_those_of_the_network(kernel_class: Any, activation: str, dtype: Any) -> None:
    """Its sigmas are those that were given, to the precision of PyTorch's parameters."""
    net = network(activation)
    kernel = kernel_class(net).to(dtype)
    x, y = samples(6, 3).to(dtype), samples(4, 3, seed=1).to(dtype)
    own = of_network(kernel, kernel.to_network())
    for parameter, given in zip(kernel.to_network().parameters, net.parameters, strict=True):
        assert parameter.value == pytest.approx(given.value, rel=1e-6)
    tolerance = 4 * torch.finfo(dtype).eps * float(own.diag(x.numpy()).max())
    for found, expected in (
        (kernel(x).to_dense(), own(x.numpy())),
        (kernel(x, y).to_dense(), own(x.numpy(), y.numpy())),
        (kernel(x, diag=True), own.diag(x.numpy())),
        (kernel(x, y[:1].expand(6, 3), diag=True), own(x.numpy(), y[:1].numpy())[:, 0]),
        (kernel(x).diagonal(), own.diag(x.numpy())),
    ):
        assert found.dtype == dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance)
    for matrix in (kernel(x).to_dense(), kernel(x, x.clone()).to_dense()):
        assert torch.equal(matrix, matrix.T)
    kernel(x.requires_grad_(), y).to_dense().sum().backward()
    assert x.grad.dtype == kernel.raw_sigma_w.grad.dtype == dtype
    slopes, _ = own.vjp(x.detach().numpy(), np.ones((6, 4)), y.numpy(), wrt="inputs")
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=10 * torch.finfo(dtype).eps)


@every_kernel
@every_activation
def test_derivatives_in_samples(kernel_class: Any, activation: str) -> None:
    """Of both arguments, of one tensor for both, of equal ones, and of the diagonal."""
    kernel = kernel_class(network(activation)).double()
    x, y = samples(3, 2, grad=True), samples(2, 2, seed=1, grad=True)
    check(lambda x, y: kernel(x, y).to_dense(), x, y)
    check(lambda x: kernel(x).to_dense(), x)
    same = x.detach().clone()
    check(lambda x: kernel(x, same).to_dense(), x)
    check(lambda x, y: kernel(x, y).to_dense(), x, same.requires_grad_())
    check(lambda x: kernel(x, diag=True), x)


@every_kernel
@every_activation
@pytest.mark.parametrize("hyperparameters", ["shared", "all"])
def test_derivatives_in_sigmas(kernel_class: Any, activation: str, hyperparameters: str) -> None:
    """Through the constraint, of the matrix, symmetric or not, and of its diagonal."""
    kernel = kernel_class(network(activation), hyperparameters=hyperparameters).double()
    x = samples(3, 2)
    in_parameters(kernel, x)
    in_parameters(kernel, x, samples(2, 2, seed=1))
    in_parameters(kernel, x, diag=True)


def test_shared_sigmas_keep_their_ratios() -> None:
    """And those of every layer are in the order of the network; a sigma of 0 stays 0."""
    net = fastntk.mlp(2, "erf", [2.0, 1.0, 3.0], [0.0, 0.2, 0.1])
    kernel = NNGPKernel(net).double()
    assert kernel.sigma_w.tolist() == pytest.approx([2.0])
    kernel.sigma_w, kernel.sigma_b = 4.0, 0.1
    expected = fastntk.mlp(2, "erf", [4.0, 2.0, 6.0], [0.0, 0.1, 0.05])
    found = [parameter.value for parameter in kernel.to_network().parameters]
    assert found == pytest.approx([parameter.value for parameter in expected.parameters])
    kernel = NNGPKernel(net, hyperparameters="all").double()
    assert kernel.sigma_b.tolist() == pytest.approx([0.2, 0.1])
    kernel.sigma_w = torch.tensor([1.0, 2.0, 4.0])
    expected = fastntk.mlp(2, "erf", [1.0, 2.0, 4.0], [0.0, 0.2, 0.1])
    found = [parameter.value for parameter in kernel.to_network().parameters]
    assert found == pytest.approx([parameter.value for parameter in expected.parameters])
    x = samples(3, 2)
    scaled = NNGPKernel(fastntk.Sequential(fastntk.Scale([1.0, 0.5]), net)).double()
    assert [name for name, _ in scaled.named_parameters()] == ["raw_sigma_w", "raw_sigma_b"]
    np.testing.assert_allclose(scaled(x).to_dense().detach().numpy(), scaled.to_network().nngp(x.numpy()), rtol=1e-13)
    in_parameters(scaled, x)
    assert not hasattr(NNGPKernel(fastntk.mlp(1)), "sigma_b")


@every_kernel
def test_batches(kernel_class: Any) -> None:
    """Of kernels, of samples and of both, as kernels one by one."""
    kernel = kernel_class(network(), batch_shape=torch.Size([2]), ard_num_dims=3).double()
    kernel.sigma_w = torch.tensor([[1.0], [2.0]])
    kernel.lengthscale = samples(2, 1, 3).exp()
    x, y = samples(3, 2, 5, 3), samples(2, 4, 3, seed=1)
    for given in ((x,), (x, y), (x[0], y), (x[0, :1], y[0])):
        found, diagonal = kernel(*given).to_dense(), kernel(given[0], diag=True)
        for place in np.ndindex(*found.shape[:-2]):
            one = [each.expand(*found.shape[:-2], *each.shape[-2:])[place].numpy() for each in given]
            own = of_network(kernel, kernel[place[-1]].to_network())
            np.testing.assert_allclose(found[place].detach().numpy(), own(*one), rtol=1e-13)
            np.testing.assert_allclose(diagonal[place].detach().numpy(), own.diag(one[0]), rtol=1e-13)
    assert kernel[1].batch_shape == torch.Size([])
    assert kernel(x[:0], y).to_dense().shape == (0, 2, 5, 4)
    assert kernel(x[:, :, :0]).to_dense().shape == (3, 2, 0, 0)
    in_parameters(kernel, x[:2, :, :2], y)
    check(lambda x, y: kernel(x, y).to_dense(), x[:2, :1, :2].clone().requires_grad_(), y.requires_grad_())


def test_derivatives_of_batches_beside_the_same_samples() -> None:
    """As posteriors have them: each batch has its own gradient in what all have in common, or there is none."""
    kernel = NNGPKernel(network("erf")).double()
    x, y = samples(3, 2, 2, grad=True), samples(4, 2, seed=1)
    check(lambda x: kernel(x, y).to_dense(), x)
    check(lambda x, y: kernel(x, y).to_dense(), x, y.expand(3, 4, 2).clone().requires_grad_())
    check(lambda y: kernel(x, y.expand(3, 4, 2)).to_dense(), y.clone().requires_grad_())
    in_parameters(kernel, x.detach(), y)


def test_small_sets_share_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred candidates beside the same training samples are one call; a hundred pairs, a few."""
    calls, call = [], fastntk.Kernel.__call__

    def counted(*given: Any) -> Any:
        calls.append(given)
        return call(*given)

    monkeypatch.setattr(fastntk.Kernel, "__call__", counted)
    kernel, x = NNGPKernel(network()).double(), samples(100, 2, 3)
    kernel(x, samples(5, 3, seed=1)).to_dense()
    assert len(calls) == 1
    kernel(x).to_dense()
    assert len(calls) == 1 + 4


def test_lengthscales() -> None:
    """Start at 1, divide the features, and have derivatives; without ard_num_dims there are none."""
    net, x, y = network("erf"), samples(4, 3), samples(2, 3, seed=1)
    kernel = NNGPKernel(net, ard_num_dims=3).double()
    assert torch.allclose(kernel.lengthscale, torch.ones(1, 3, dtype=torch.float64))
    kernel.lengthscale = torch.tensor([0.5, 2.0, 1.0])
    np.testing.assert_allclose(
        kernel(x, y).to_dense().detach().numpy(),
        net.nngp(x.numpy() * [2.0, 0.5, 1.0], y.numpy() * [2.0, 0.5, 1.0]),
        rtol=1e-6,  # of parameters that were made in float32
    )
    np.testing.assert_allclose(
        kernel(x, y).to_dense().detach().numpy(), kernel.to_network().nngp(x.numpy(), y.numpy()), rtol=1e-13
    )
    in_parameters(kernel, x, y)
    in_parameters(kernel, x)
    assert NNGPKernel(net).lengthscale is None
    assert not kernel.is_stationary
    constraint = GreaterThan(0.1, initial_value=3.0)
    assert NNGPKernel(net, ard_num_dims=2, lengthscale_constraint=constraint).lengthscale.tolist() == [
        pytest.approx([3.0] * 2)
    ]


@pytest.mark.filterwarnings("ignore:The last_dim_is_batch argument:DeprecationWarning")
def test_every_feature_as_a_batch() -> None:
    """And some features alone."""
    kernel, x, y = NNGPKernel(network(), batch_shape=torch.Size([2])).double(), samples(5, 3), samples(4, 3, seed=1)
    matrices = kernel(x, y, last_dim_is_batch=True).to_dense()
    diagonal = kernel(x, diag=True, last_dim_is_batch=True)
    assert matrices.shape == (2, 3, 5, 4)
    assert diagonal.shape == (2, 3, 5)
    for feature in range(3):
        alone = NNGPKernel(network(), active_dims=(feature,)).double()
        torch.testing.assert_close(matrices[1, feature], alone(x, y).to_dense())
        torch.testing.assert_close(diagonal[1, feature], alone(x, diag=True))


def test_within_other_kernels() -> None:
    """Scaled, summed up, multiplied, and between inducing points, which have their gradient."""
    x, points = samples(5, 2), samples(3, 2, seed=1)
    kernel, other = NNGPKernel(network()).double(), gpytorch.kernels.RBFKernel().double()
    own, rbf = kernel(x).to_dense(), other(x).to_dense()
    scaled = gpytorch.kernels.ScaleKernel(kernel).double()
    scaled.outputscale = 2.0
    torch.testing.assert_close((scaled + other)(x).to_dense(), 2 * own + rbf)
    torch.testing.assert_close((kernel * other)(x).to_dense(), own * rbf)
    induced = gpytorch.kernels.InducingPointKernel(kernel, points, gpytorch.likelihoods.GaussianLikelihood())
    induced.eval()(x).to_dense().sum().backward()
    assert torch.isfinite(induced.inducing_points.grad).all()
    assert induced.inducing_points.grad.abs().max() > 0


def test_second_derivatives_are_refused() -> None:
    """By one sentence, where they are asked for; a graph alone does no harm."""
    kernel, x = NNGPKernel(network()).double(), samples(3, 2, grad=True)
    (gradient,) = torch.autograd.grad(kernel(x).to_dense().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once"):
        gradient.sum().backward()


def test_priors_and_constraints() -> None:
    """As those of any kernel of GPyTorch: they start, bound and draw."""
    prior = LogNormalPrior(0.0, 0.5)
    kernel = NTKKernel(
        network(), sigma_w_prior=prior, sigma_b_prior=prior, sigma_b_constraint=Interval(0.1, 0.5, initial_value=0.4)
    )
    assert {name for name, *_ in kernel.named_priors()} == {"sigma_w_prior", "sigma_b_prior"}
    assert kernel.sigma_w.item() == pytest.approx(1.4)
    assert kernel.sigma_b.item() == pytest.approx(0.4)
    before = kernel.sigma_w.item()
    kernel.sample_from_prior("sigma_w_prior")
    assert kernel.sigma_w.item() != before
    with pytest.raises(RuntimeError, match="out of bounds"):
        kernel.sigma_b = 0.6
    x, y = samples(6, 2), samples(6, seed=1)
    values = []
    for given in (prior, None):
        model = gpytorch.models.ExactGP
        gp = SingleTaskGP(x, y[:, None], covar_module=NNGPKernel(network(), sigma_w_prior=given))
        assert isinstance(gp, model)
        values.append(ExactMarginalLogLikelihood(gp.likelihood, gp)(gp(x), gp.train_targets).item())
    assert values[0] - values[1] == pytest.approx(prior.log_prob(torch.tensor(1.4)).item() / 6)


@every_kernel
def test_kept_and_copied(kernel_class: Any) -> None:
    """By pickle, by deepcopy, by state_dict."""
    prior = LogNormalPrior(0.0, 0.5)
    kernel = kernel_class(network("tanh"), hyperparameters="all", sigma_w_prior=prior, ard_num_dims=2).double()
    kernel.sigma_w = torch.tensor([1.0, 2.0, 3.0])
    x = samples(4, 2)
    loaded = kernel_class(network("tanh"), hyperparameters="all", sigma_w_prior=prior, ard_num_dims=2).double()
    loaded.load_state_dict(kernel.state_dict())
    for other in (pickle.loads(pickle.dumps(kernel)), copy.deepcopy(kernel), loaded):
        assert torch.equal(other(x).to_dense(), kernel(x).to_dense())
        other.sample_from_prior("sigma_w_prior")
        assert not torch.equal(other(x).to_dense(), kernel(x).to_dense())


@every_kernel
def test_posterior(kernel_class: Any) -> None:
    """The same as `gp_posterior` of the kernel matrices, in any batch."""
    x, y, new = samples(8, 3), samples(8, 1, seed=1), samples(5, 2, 3, seed=2)
    kernel = kernel_class(network("erf")).double()
    noise = torch.full_like(y, 0.01)
    gp = SingleTaskGP(x, y, noise, covar_module=kernel, mean_module=gpytorch.means.ZeroMean(), outcome_transform=None)
    found = gp.posterior(new)
    own = of_network(kernel, kernel.to_network())
    for k in range(5):
        expected = gp_posterior(
            own(x.numpy()), y[:, 0].numpy(), own(new[k].numpy(), x.numpy()), own(new[k].numpy()), noise=0.01
        )
        np.testing.assert_allclose(found.mean[k, :, 0].detach().numpy(), expected.mean, atol=1e-9)
        np.testing.assert_allclose(found.variance[k, :, 0].detach().numpy(), expected.variance, atol=1e-9)


@pytest.mark.parametrize(
    ("kernel_class", "options"),
    [
        (NNGPKernel, {"sigma_w_prior": LogNormalPrior(0.0, 1.0)}),
        (NTKKernel, {"hyperparameters": "all"}),
        (NNGPKernel, {"ard_num_dims": 2}),
    ],
)
def test_bayesian_optimization(kernel_class: Any, options: Any) -> None:
    """A model of BoTorch is fitted, and its acquisition maximised, with the kernel as with any other."""
    torch.manual_seed(0)
    x = torch.rand(10, 2, dtype=torch.float64)
    y = torch.sin(4 * x[:, :1]) + x[:, 1:] ** 2
    kernel = kernel_class(network("erf"), **options)
    gp = SingleTaskGP(x, y, covar_module=kernel)
    mll = ExactMarginalLogLikelihood(gp.likelihood, gp)

    def likelihood() -> float:
        gp.train()
        with torch.no_grad():
            return float(mll(gp(x), gp.train_targets))

    before = likelihood()
    fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": 20}})
    assert likelihood() > before + 0.1
    gp.eval()
    acquisition = LogExpectedImprovement(gp, y.max())
    check(acquisition, torch.rand(3, 1, 2, dtype=torch.float64, requires_grad=True), atol=1e-5)
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    candidate, value = optimize_acqf(acquisition, bounds, q=1, num_restarts=2, raw_samples=16, options={"maxiter": 10})
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 11, dtype=torch.float64)] * 2)
    assert ((candidate >= 0) & (candidate <= 1)).all()
    assert value >= acquisition(grid[:, None]).max() - 0.05


def test_outputs_with_sigmas_of_their_own() -> None:
    """A model of two outputs with a batch of kernels is two models."""
    x, y, new = samples(8, 2), samples(8, 2, seed=1), samples(3, 2, seed=2)
    noise = torch.full_like(y, 0.01)
    both = SingleTaskGP(x, y, noise, covar_module=NNGPKernel(network(), batch_shape=torch.Size([2])))
    both.covar_module.sigma_w = torch.tensor([[1.0], [2.0]])
    for k in range(2):
        one = SingleTaskGP(x, y[:, [k]], noise[:, [k]], covar_module=NNGPKernel(network()))
        one.covar_module.sigma_w = 1.0 + k
        torch.testing.assert_close(both.posterior(new).mean[:, [k]], one.posterior(new).mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "sentence", "make"),
    [
        (TypeError, "net must be a Sequential", lambda: NNGPKernel("relu")),  # type: ignore[arg-type]
        (ValueError, "no sigma above 0", lambda: NNGPKernel(fastntk.Sequential("relu"))),
        (
            ValueError,
            "hyperparameters must be 'shared' or 'all'",
            lambda: NNGPKernel(network(), hyperparameters="one"),  # type: ignore[arg-type]
        ),
        (
            ValueError,
            "every sigma_b of net is 0",
            lambda: NNGPKernel(fastntk.mlp(1), sigma_b_prior=LogNormalPrior(0.0, 1.0)),
        ),
        (TypeError, "must be a gpytorch.priors.Prior", lambda: NNGPKernel(network(), sigma_w_prior=1.0)),
        (
            ValueError,
            "needs ard_num_dims",
            lambda: NNGPKernel(network(), lengthscale_prior=LogNormalPrior(0.0, 1.0)),
        ),
        (
            ValueError,
            "begins with Scale",
            lambda: NNGPKernel(fastntk.Sequential(fastntk.Scale([1.0]), network()), ard_num_dims=1),
        ),
        (
            ValueError,
            r"kernel\[0\].to_network",
            lambda: NNGPKernel(network(), batch_shape=torch.Size([2])).to_network(),
        ),
        (TypeError, "torch.float16 on cpu", lambda: NNGPKernel(network())(torch.ones(2, 2).half()).to_dense()),
        (TypeError, "on meta", lambda: NNGPKernel(network())(torch.ones(2, 2, device="meta")).to_dense()),
        (ValueError, "contains nan", lambda: NNGPKernel(network())(torch.full((2, 2), torch.nan)).to_dense()),
    ],
)
def test_sentences(error: Any, sentence: str, make: Any) -> None:
    """What is wrong, before work starts."""
    with pytest.raises(error, match=sentence):
        make()


@every_kernel
def test_fixed_parameters(kernel_class: Any) -> None:
    """Of samples alone, as when an acquisition is maximised, derivatives are the same."""
    kernel, x, y = kernel_class(network()).double(), samples(3, 2, grad=True), samples(4, 2, seed=1, grad=True)
    wanted = torch.autograd.grad(kernel(x, y).to_dense().sin().sum(), (x, y))
    kernel.requires_grad_(False)
    for found, of in zip(torch.autograd.grad(kernel(x, y).to_dense().sin().sum(), (x, y)), wanted, strict=True):
        assert found.abs().min() > 0
        assert torch.equal(found, of)


def test_printed() -> None:
    """With the network that it is of now."""
    net = fastntk.mlp(1, "relu", [1.4, 1.2], [0.3, 0.2])
    kernel = NNGPKernel(net)
    assert repr(net) in str(kernel)
    kernel.initialize(sigma_b=0.6)
    assert repr(fastntk.mlp(1, "relu", [1.4, 1.2], [0.6, 0.4])) in str(kernel)
    assert "sigma_w=1.4" in str(NNGPKernel(net, batch_shape=torch.Size([2])))


@pytest.mark.parametrize("module", ["kernels", "autograd", "sets"])
def test_examples(module: str) -> None:
    """In the docstrings."""
    assert doctest.testmod(importlib.import_module(f"fastntk.gpytorch.{module}")).failed == 0
