"""What docs/activations.md says of every activation: writes its generated parts and docs/duals.png.

python docs/make_activations.py

Accuracy is measured against tests/data/dual_tables.npz.
"""

from __future__ import annotations

import re
import sys
import warnings
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from threadpoolctl import threadpool_limits

sys.path.extend(str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "bench"))

from tests.test_duals import CASES, CHOSEN, PAIRS, Q2, SMALLEST, Case, Q, public, truth

from activations import DTYPES, REQUIRED
from fastntk import Activation, Dense, Sequential, ToleranceWarning
from fastntk.activations.registry import REGISTRY
from interleave import clock, interleave, machine

HERE = Path(__file__).resolve().parent
PAGE, FIGURE = HERE / "activations.md", HERE / "duals.png"

#: The largest variance of the tables.
LARGE = float(Q.max())

SAMPLES, FEATURES, ROUNDS, TOLERANCE = 2000, 8, 5, 1e-6

COLUMNS = 5

CHO_SAUL = "Cho, Saul 2009"

#: phi(x), and who describes phi or, where there is a closed form, its dual.
ABOUT = {
    "identity": ("x", "–"),
    "relu": ("max(x, 0)", CHO_SAUL),
    "leaky_relu": ("x for x > 0, alpha x below", CHO_SAUL),
    "abs": ("abs(x)", CHO_SAUL),
    "abrelu": ("b x for x > 0, a x below", CHO_SAUL),
    "step": ("1 for x > 0, 0 below", CHO_SAUL),
    "sign": ("sign(x)", CHO_SAUL),
    "squared_relu": ("max(x, 0)²", CHO_SAUL),
    "rectified_monomial": ("max(x, 0)^degree", CHO_SAUL),
    "erf": ("a erf(b x) + c", "Williams 1997; Lee et al. 2019"),
    "normal_cdf": ("Φ(x)", "Williams 1997"),
    "sigmoid_like": ("erf(x / 2.402…) / 2 + 1/2", "Williams 1997"),
    "gelu": ("x Φ(x)", "Tsuchida et al. 2020"),
    "smoothed_relu": ("x Φ(x / s) + s pdf(x / s)", f"{CHO_SAUL}, variances + s²"),
    "sin": ("a sin(b x + c)", "Louart, Liao, Couillet 2018"),
    "cos": ("a cos(b x + c)", "Louart, Liao, Couillet 2018"),
    "snake": ("x + sin(a x)² / a", "Ziyin, Hartwig, Ueda 2020"),
    "rbf": ("√2 sin(√(2 gamma) x + π/4)", "Rahimi, Recht 2007"),
    "exp": ("a exp(b x)", "Daniely et al. 2016"),
    "exp_normalized": ("kernel s exp(gamma (rho + shift))", "Shankar et al. 2020"),
    "gaussian": ("a exp(b x²)", "Williams 1997"),
    "gabor": ("exp(-x²) sin(x)", "–"),
    "monomial": ("x^degree", "Daniely et al. 2016"),
    "polynomial": ("sum of coefficients[i] x^i", "Daniely et al. 2016"),
    "hermite": ("He_degree(x) / √(degree!)", "Daniely et al. 2016"),
    "hard_tanh": ("x clipped to [-1, 1]", "–"),
    "relu6": ("x clipped to [0, 6]", "–"),
    "hard_sigmoid": ("x/6 + 1/2 clipped to [0, 1]", "Howard et al. 2019"),
    "hard_swish": ("x hard_sigmoid(x)", "Howard et al. 2019"),
    "soft_shrink": ("x moved by threshold towards 0", "–"),
    "hard_shrink": ("x where abs(x) > threshold, else 0", "–"),
    "tanh": ("tanh(x)", "–"),
    "sigmoid": ("1 / (1 + exp(-x))", "–"),
    "softplus": ("log(1 + exp(beta x)) / beta", "Dugas et al. 2001"),
    "silu": ("x sigmoid(x)", "Hendrycks, Gimpel 2016"),
    "swish": ("x sigmoid(beta x)", "Ramachandran, Zoph, Le 2017"),
    "mish": ("x tanh(log(1 + exp(x)))", "Misra 2019"),
    "gelu_tanh": ("x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2", "Hendrycks, Gimpel 2016"),
    "elu": ("x for x > 0, alpha (exp(x) - 1) below", "Clevert, Unterthiner, Hochreiter 2016"),
    "selu": ("1.0507… elu(x), alpha = 1.6732…", "Klambauer et al. 2017"),
    "celu": ("x for x > 0, alpha (exp(x / alpha) - 1) below", "Barron 2017"),
    "softsign": ("x / (1 + abs(x))", "–"),
    "log_cosh": ("log(cosh(x))", "–"),
}

KINDS = {
    "Expanded": "expansion",
    "Polynomial": "Hermite series, finite",
    "PiecewisePolynomial": "piecewise polynomial: truncated moments",
}

#: Of errors: with variances below 1e4, and with all.
KEYS = ("below", "all")

Measured = dict[str, dict[str, list[float]]]


def activation(name: str, tolerance: float | None = None) -> Activation:
    """One by name, with parameters where it needs them."""
    return Activation(name, tolerance=tolerance, **REQUIRED.get(name, {}))


def kind(act: Activation) -> str:
    """How its dual is computed."""
    return KINDS.get(type(act._dual).__name__, "closed form")


def errors_at(case: Case, act: Activation, pair: int) -> list[float]:
    """Largest errors of F and of F' at a pair of variances of the tables, relative as on the page."""
    result = []
    for what in ("F", "dF"):
        table, scale = truth(case, what)
        known = np.isfinite(table[pair]) & np.isfinite(scale[pair]) & (scale[pair] > SMALLEST)
        difference = np.abs(public(act)(what, np.array([pair])) - table[pair]) if known.any() else table[pair]
        result.append(float((difference[known] / scale[pair][known]).max(initial=0)))
    return result


def accuracy() -> Measured:
    """Errors of F and F' over all cases of a name."""
    result: Measured = {}
    for case in CASES:
        act = Activation(case[1], **case[2])
        entry = result.setdefault(case[1], {key: [0.0, 0.0] for key in KEYS})
        for pair in CHOSEN if kind(act) == "expansion" else range(len(PAIRS)):
            found = errors_at(case, act, pair)
            for key in KEYS if Q2[pair, 0] < LARGE else KEYS[1:]:
                entry[key] = list(map(max, entry[key], found))
    return result


def bounds() -> dict[str, float]:
    """What is stated of expansions at variances of 1e4 before they are used."""
    acts = {name: activation(name) for name in REGISTRY}
    return {name: float(act.error_bound(LARGE, LARGE)) for name, act in acts.items() if kind(act) == "expansion"}


def cost() -> Measured:
    """Nanoseconds per pair that an activation adds to both kernels of a dense layer, on one thread."""
    result: Measured = {name: {} for name in REGISTRY}
    for dtype in DTYPES:
        x = np.random.default_rng(0).normal(size=(SAMPLES, FEATURES)).astype(dtype)
        out = (np.zeros((SAMPLES, SAMPLES), dtype), np.zeros((SAMPLES, SAMPLES), dtype))
        nets = {"": Sequential(Dense())}
        nets |= {name: Sequential(Dense(), activation(name, TOLERANCE)) for name in REGISTRY}
        runs = {name: clock(partial(net.kernels, x, out=out)) for name, net in nets.items()}
        times = {name: min(seconds) for name, seconds in interleave(runs, ROUNDS).seconds.items()}
        for name in REGISTRY:
            result[name][dtype] = [(times[name] - times[""]) / (SAMPLES * (SAMPLES + 1) / 2) * 1e9]
    return result


def table(errors: Measured, costs: Measured, where: str) -> str:
    """One row per name, and a line on the machine."""
    lines = [
        "| name | φ(x) | how | source | error of F, F′, variances to 16 | variances to 1e4 | ns per pair, float32 "
        "| float64 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in REGISTRY:
        formula, source = ABOUT[name]
        two = [f"{f:.0e}, {d:.0e}" if f or d else "README" for f, d in (accuracy_of(errors, name, k) for k in KEYS)]
        ns = [f"{costs[name][dtype][0]:.1f}" for dtype in DTYPES]
        lines.append(f"| `{name}` | {' | '.join([formula, kind(activation(name)), source, *two, *ns])} |")
    rows = f"{SAMPLES:,} rows of {FEATURES} standard normals"
    return "\n".join([*lines, "", f"Times are for {rows}, on {where}"])


def accuracy_of(errors: Measured, name: str, key: str) -> list[float]:
    """Errors of a name; zeros where the tables do not have it."""
    return errors.get(name, {}).get(key, [0.0, 0.0])


def missed(found: dict[str, float]) -> str:
    """Sentence on the expansions that do not reach 1e-10 at variances of 1e4."""
    over = {name: bound for name, bound in found.items() if bound > 1e-10}
    listed = ", ".join(f"`{name}` ({bound:.0e})" for name, bound in sorted(over.items(), key=lambda item: item[1]))
    return (
        f"At variances of 1e4, {len(found) - len(over)} of the {len(found)} expansions reach 1e-10. "
        f"The others, with their bound: {listed}."
    )


def figure() -> None:
    """Draw F and F' at unit variances against rho, each over its value at rho = 1."""
    rho = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 201))
    rows = -(-len(REGISTRY) // COLUMNS)
    mpl.rcParams.update({"font.size": 8, "axes.titlesize": 8, "axes.linewidth": 0.6})
    fig, grid = plt.subplots(rows, COLUMNS, figsize=(9.0, 1.15 * rows + 0.6), sharex=True, sharey=True)
    for axes, name in zip(grid.flat, REGISTRY, strict=False):
        act = activation(name)
        # The wider line below, so that both are seen where they coincide.
        for dual, colour, width, label in (
            (act.dual_derivative, "#f0a35e", 2.8, "F′(1, 1, ρ) / F′(1, 1, 1)"),
            (act.dual, "#0b5394", 1.2, "F(1, 1, ρ) / F(1, 1, 1)"),
        ):
            top = float(dual(1.0, 1.0, 1.0))
            if top > 0:
                axes.plot(rho, dual(rho, 1.0, 1.0) / top, color=colour, linewidth=width, label=label)
        axes.set_title(name, pad=3)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
        axes.set(xlim=(-1, 1), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axes.tick_params(width=0.6, length=2)
    spare = list(grid.flat)[len(REGISTRY) :]
    for axes in spare:
        axes.set_visible(False)
    for axes in list(grid.flat)[len(REGISTRY) - COLUMNS : len(REGISTRY)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("ρ", labelpad=1)
    lines, labels = grid.flat[0].get_legend_handles_labels()
    fig.legend(lines[::-1], labels[::-1], loc="upper center", ncols=2, frameon=False, fontsize=9)
    fig.tight_layout(rect=(0, 0, 1, 1 - 0.3 / fig.get_figheight()))
    fig.savefig(FIGURE, dpi=110)


def write(marker: str, text: str) -> None:
    """Replace what stands on the page between two markers."""
    begin, end = f"<!-- begin {marker} -->", f"<!-- end {marker} -->"
    page, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", PAGE.read_text("utf-8"), flags=re.S)
    if count != 1:
        raise RuntimeError(f"{PAGE.name} must have {begin} ... {end} once, has it {count} times.")
    PAGE.write_text(page, "utf-8")


def main() -> None:
    """Make everything."""
    assert set(ABOUT) == set(REGISTRY)
    warnings.simplefilter("ignore", ToleranceWarning)
    figure()
    with threadpool_limits(1):
        costs, where = cost(), machine()
    write("bounds", missed(bounds()))
    write("table", table(accuracy(), costs, where))


if __name__ == "__main__":
    main()
