"""The demo: kernel regression on real images with the NNGP, the NTK and an RBF kernel, a table and a figure.

`data` loads the images, `regression` chooses parameters, fits and tests, `figure` and `pixels` draw. Nothing here is
imported by ``import fastntk``; it needs the packages of ``pip install 'fastntk[demo]'``.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import numpy as np

from .._machine.runtime import config
from ..layers.reshape import Reshape
from ..networks.cnn import cnn
from ..networks.mlp import mlp
from ..networks.sequential import Sequential
from . import data, figure, pixels, regression
from .regression import Result

__all__ = ["Result", "run", "table"]


def run(
    name: str = "digits",
    *,
    net: Literal["mlp", "cnn"] = "mlp",
    data_dir: Path | None = None,
    train: int | None = None,
    test: int | None = None,
    depth: int = 3,
    dtype: str = "float64",
    output: Path = Path("fastntk-demo.png"),
) -> list[Result]:
    """Run the demo: print the table, write the figure, return the rows of the table.

    Parameters
    ----------
    name : {"digits", "fashion-mnist"}
        The images.
    net : {"mlp", "cnn"}
        The network. "cnn" comes beside the "mlp", and the figure is another: which pairs of pixels of two images
        each of them compares.
    data_dir : Path, optional
        Folder of the Fashion-MNIST files. Default: the environment variable FASTNTK_DATA, then the folder of
        Debian's package.
    train, test : int, optional
        Numbers of images. Default: 1,000 and the rest of the digits; 10,000 and 10,000 of Fashion-MNIST.
    depth : int
        Hidden layers of the network, ``mlp(depth, "relu", sigma_w=2**0.5, sigma_b=0.1)``, or of
        ``cnn(depth, "relu", sigma_w=2**0.5, sigma_b=0.1)``.
    dtype : {"float64", "float32"}
        Precision of the kernels and of the regression.
    output : Path
        Where the figure goes; its suffix says the format.

    Raises
    ------
    ValueError, OSError, MemoryError
        With one sentence that says what is wrong and what to do.
    """
    figure.check_output(output)
    images = data.load(name, data_dir, train, test, dtype)
    networks = {"MLP": mlp(depth, "relu", sigma_w=2**0.5, sigma_b=0.1)}
    as_images = Reshape(*images.shape, 1)
    if net == "cnn":
        networks["CNN"] = Sequential(as_images, cnn(depth, "relu", sigma_w=2**0.5, sigma_b=0.1))
    print(images)
    for key in networks:
        print(f"{key}      {key.lower()}({depth}, 'relu', sigma_w=2**0.5, sigma_b=0.1), {dtype}")
    print(flush=True)
    results = [regression.evaluate(model, images) for model in regression.models(networks, images)]
    print(table(results, len(images.test)))
    if net == "cnn":
        pooled = cnn(depth, "relu", sigma_w=2**0.5, sigma_b=0.1, head="gap")
        drawn = pixels.draw({**networks, "CNN, global pool": Sequential(as_images, pooled)}, images)
    else:
        drawn = figure.draw(networks["MLP"], depth, images)
    drawn.savefig(output)
    print(f"figure   {output}")
    return results


def table(results: list[Result], tests: int) -> str:
    """Return the table of the results, and what they were computed on."""
    lines = [f"{'model':<9}{'test accuracy':>17}{'ridge':>9}{'bandwidth':>11}{'kernel':>11}{'pairs/s':>11}"]
    for result in results:
        error = np.sqrt(result.accuracy * (1 - result.accuracy) / tests)
        bandwidth = "-" if result.bandwidth is None else f"{result.bandwidth:.3g}"
        lines.append(
            f"{result.name:<9}{100 * result.accuracy:>9.2f} ± {100 * error:.2f} %{result.ridge:>9.0e}"
            f"{bandwidth:>11}{result.seconds:>9.3f} s{result.pairs / result.seconds / 1e6:>9.1f} M"
        )
    here = config()
    lines += [
        "",
        "Ridge (a fraction of the mean diagonal) and bandwidth were chosen on a part of the training images,",
        "by the same rule for every model. Kernel: all pairs of training images, and of test with training",
        "images; RBF is rbf_kernel of scikit-learn. ±: one standard error on so many test images.",
        "",
        f"fastntk  {here['version']}, instruction set {here['instruction_set']}, {here['threads']} threads",
        f"machine  {_processor()}, {os.cpu_count()} cores",
    ]
    return "\n".join(lines)


def _processor() -> str:
    """Name of the processor."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
