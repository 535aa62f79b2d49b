"""Sequences and graphs of digits: row by row, by networks that know of rows or not; and with their neighbours.

    python examples/sequences_and_graphs.py

A digit is a sequence of eight rows. In the second column of the first table each digit that is tested was moved down by
one row. To a network that takes all pixels at once, or compares row by row, it is another digit then, and so is the
last state of a recurrent one; by attention every row takes from those near it and like it.

Then each digit is a node with an edge to the five that are nearest to it, and few of them have labels. The kernel is
that between nodes of one graph; a network that takes means over neighbours knows of digits without a label.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import kneighbors_graph

import fastntk
from fastntk import Aggregate, Dense, Flatten, Graphs, SelfAttention, Sequential

ATTENTION = SelfAttention(position="sum", position_in_values=True, position_decay=0.5)
PERCEPTRON = (Dense(2**0.5, 0.1), "relu")

#: Of samples of shape (rows, columns).
READERS = {
    "all pixels at once": Sequential(Flatten(), *PERCEPTRON * 2, Dense()),
    "row by row": Sequential(*PERCEPTRON * 2, Flatten(), Dense()),
    "Recurrent": fastntk.rnn(1, "relu", 2**0.5, sigma_b=0.1),
    "SelfAttention": Sequential(*PERCEPTRON, ATTENTION, "relu", Flatten(), Dense()),
}

#: Of the nodes of one graph.
NODES = {
    "each digit alone": Sequential(*PERCEPTRON, Dense()),
    "two graph convolutions": fastntk.gcn(2, "relu", 2**0.5, readout=None),
    "means over eight steps": Sequential(*[Aggregate("mean")] * 8, *PERCEPTRON, Dense()),
}


def weights(kernel: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of kernel ridge regression on columns, one for each digit."""
    ridge = 1e-3 * kernel.diagonal().mean()
    return np.linalg.solve(kernel + ridge * np.eye(len(kernel)), np.eye(10)[labels] - 0.1)


def main(train: int = 600, test: int = 600) -> dict[str, list[float]]:
    """Return accuracies: of digits as they are and moved down, and with more and more labels."""
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))[: train + test]
    digits, labels = digits[order] / 16, labels[order]
    rows = digits.reshape(-1, 8, 8)
    known, unknown = rows[:train], rows[train:]
    moved = np.zeros_like(unknown)
    moved[:, 1:] = unknown[:, :-1]

    accuracy: dict[str, list[float]] = {}
    print(f"{f'of {train} digits':28}as they are   moved down")
    for name, net in READERS.items():
        learned = weights(net.ntk(known), labels[:train])
        scores = [(net.ntk(x, known) @ learned).argmax(axis=1) == labels[train:] for x in (unknown, moved)]
        accuracy[name] = [float(score.mean()) for score in scores]
        print(f"{name:28}" + "".join(f"{100 * share:9.1f} %  " for share in accuracy[name]))

    near = kneighbors_graph(digits, 5)
    graph = Graphs([digits], [near.maximum(near.T)])
    counts = (20, 50, 100)
    print(f"\n{'labels':28}" + "".join(f"{count:11}  " for count in counts))
    for name, net in NODES.items():
        kernel = net.ntk(digits if name == "each digit alone" else graph)
        accuracy[name] = []
        for count in counts:
            found = kernel[count:, :count] @ weights(kernel[:count, :count], labels[:count])
            accuracy[name].append(float(np.mean(found.argmax(axis=1) == labels[count:])))
        print(f"{name:28}" + "".join(f"{100 * share:9.1f} %  " for share in accuracy[name]))
    return accuracy


if __name__ == "__main__":
    main()
