"""``fastntk demo``: images classified with both kernels."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import Error, at_least

DESCRIPTION = """\
Classify images by kernel ridge regression with three kernels: the NNGP and the NTK of an infinitely wide
ReLU network, and the RBF kernel as the baseline. Ridge and bandwidth are chosen on a part of the training
images. Prints accuracies and times, and draws the NTK of the test images and both kernels as functions of the
angle between two inputs. With --net cnn those of a convolutional network are beside them, and the figure shows
which pairs of pixels of two images each network compares.
"""

EPILOG = """\
examples:
  fastntk demo                                   digits of scikit-learn, a few seconds
  fastntk demo --net cnn                         a convolutional network beside it
  fastntk demo --depth 10 --dtype float32        a deeper network, in single precision
  fastntk demo --data fashion-mnist              10,000 + 10,000 images, some minutes and 2 GiB
  fastntk demo --data fashion-mnist --data-dir ~/fashion --train 2000 --test 5000 --output fashion.png

Fashion-MNIST is Debian's package dataset-fashion-mnist, or four idx .gz files in a folder named by
--data-dir or by the environment variable FASTNTK_DATA.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--data", choices=("digits", "fashion-mnist"), default="digits", help="default: digits")
    parser.add_argument("--net", choices=("mlp", "cnn"), default="mlp", help="default: mlp")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the Fashion-MNIST files")
    parser.add_argument("--train", type=at_least(10), metavar="N", help="training images (1000; 10000)")
    parser.add_argument("--test", type=at_least(10), metavar="N", help="test images (797; 10000)")
    parser.add_argument("--depth", type=at_least(0), default=3, metavar="L", help="hidden layers (default: 3)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: float64")
    output = Path("fastntk-demo.png")
    parser.add_argument("--output", type=Path, default=output, metavar="FILE", help=f"default: {output}")


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Refuse what does not go together."""
    if arguments.data_dir is not None and arguments.data != "fashion-mnist":
        error("--data-dir is for --data fashion-mnist; the digits come with scikit-learn.")


def run(arguments: argparse.Namespace) -> None:
    """Compare the kernels, and draw."""
    from ..demo import run as compare

    compare(
        arguments.data,
        net=arguments.net,
        data_dir=arguments.data_dir,
        train=arguments.train,
        test=arguments.test,
        depth=arguments.depth,
        dtype=arguments.dtype,
        output=arguments.output,
    )
