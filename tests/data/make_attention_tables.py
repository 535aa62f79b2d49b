"""Kernels of attention and aggregation by neural-tangents: writes ``attention_tables.npz`` next to this script.

Regenerate (a minute, with neural-tangents 0.6.5 and JAX on a CPU) with

    python tests/data/make_attention_tables.py

All is float64. The script shares no code with fastntk. Contents of the file:

``x``, ndarray of shape (4, 6, 2), and ``lengths``
    Samples, padded with -9, which neural-tangents takes for a mask.
``edges``, ndarray of shape (4, 6, 6)
    Weights of edges from node to node, directed, without loops.
Names that begin with ``Sequential``, ndarray of shape (2, 4, 4)
    NNGP and NTK of all pairs of samples, for the network of this text.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from neural_tangents import stax

#: Nodes of each sample: padded ones are masked.
LENGTHS = (6, 3, 1, 4)
CHANNELS = 2

ATTENTION: dict[str, dict[str, Any]] = {
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3)": {"attention_mechanism": "SOFTMAX"},
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'identity')": {"attention_mechanism": "IDENTITY"},
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'relu')": {"attention_mechanism": "RELU"},
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'abs')": {"attention_mechanism": "ABS"},
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, position='sum', position_sigma=0.7)": {
        "attention_mechanism": "SOFTMAX", "pos_emb_type": "SUM", "W_pos_emb_std": 0.7,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, position='sum', position_sigma=0.7, position_in_values=True)": {
        "attention_mechanism": "SOFTMAX", "pos_emb_type": "SUM", "W_pos_emb_std": 0.7, "val_pos_emb": True,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, position='sum', position_decay=0.2, position_in_values=True)": {
        "attention_mechanism": "SOFTMAX", "pos_emb_type": "SUM", "val_pos_emb": True,
        "pos_emb_decay_fn": lambda d: jax.numpy.exp(-0.2 * d),
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'relu', position='concat', position_sigma=0.7)": {
        "attention_mechanism": "RELU", "pos_emb_type": "CONCAT", "W_pos_emb_std": 0.7,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'abs', position='concat', position_share=0.2, position_in_values=True)": {
        "attention_mechanism": "ABS", "pos_emb_type": "CONCAT", "n_chan_pos_emb": 1, "val_pos_emb": True,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'identity', 'sqrt')": {
        "attention_mechanism": "IDENTITY", "linear_scaling": False,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'identity', 'sqrt', position='sum', position_sigma=0.7)": {
        "attention_mechanism": "IDENTITY", "linear_scaling": False, "pos_emb_type": "SUM", "W_pos_emb_std": 0.7,
    },
    "SelfAttention(1.2, 0.9, 0.8, 1.1, 0.3, 'identity', 'sqrt', position='concat', position_share=0.5, "
    "position_decay=0.2, position_in_values=True)": {
        "attention_mechanism": "IDENTITY", "linear_scaling": False, "pos_emb_type": "CONCAT", "val_pos_emb": True,
        "pos_emb_decay_fn": lambda d: jax.numpy.exp(-0.2 * d),
    },
}  # fmt: skip

SIGMAS = {"W_query_std": 1.2, "W_key_std": 0.9, "W_value_std": 0.8, "W_out_std": 1.1, "b_std": 0.3}

#: Units before attention: of so many neural-tangents counts the share of positional ones.
WIDTH = 4

#: Around each layer here, in the text of a network; `kernels` has the same.
BEFORE, AFTER = "Dense(1.5, 0.2), 'relu'", "'relu', GlobalSumPool(), Dense(1.3)"


def kernels(layer: Any, x: np.ndarray, **more: Any) -> np.ndarray:
    """NNGP and NTK of a layer among others, of shape (2, n, n)."""
    net = stax.serial(
        stax.Dense(WIDTH, 1.5, 0.2), stax.Relu(), layer, stax.Relu(), stax.GlobalSumPool(), stax.Dense(1, 1.3)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tied weights
        found = net[2](x, None, ("nngp", "ntk"), **more)
    return np.stack(found)


def main() -> None:
    """Write the file."""
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(20)
    n, longest = len(LENGTHS), max(LENGTHS)
    x = rng.standard_normal((n, longest, CHANNELS)).round(3)
    x[np.arange(longest) >= np.array(LENGTHS)[:, None]] = -9.0  # which is no number that there is
    edges = np.triu(rng.random((n, longest, longest)) < 0.4, 1) * rng.random((n, longest, longest)).round(2)
    edges[:, 0, 2] = 0.0
    inside = (x[..., 0] != -9.0).astype(float)
    edges *= inside[:, :, None] * inside[:, None, :]  # directed
    tables: dict[str, np.ndarray] = {"x": x, "lengths": np.array(LENGTHS), "edges": edges}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text, options in ATTENTION.items():
            layer = stax.GlobalSelfAttention(1, 1, 1, 1, **{**SIGMAS, **options})
            tables[f"Sequential({BEFORE}, {text}, {AFTER})"] = kernels(layer, x, mask_constant=-9.0)
    looped = edges + np.eye(longest)
    inner = stax.serial(stax.Aggregate(1), stax.Dense(1, 1.1, 0.3))
    text = f"Sequential({BEFORE}, Aggregate(), Dense(1.1, 0.3), {AFTER})"
    tables[text] = kernels(inner, x, mask_constant=-9.0, pattern=(looped, looped))
    text = f"Sequential({BEFORE}, Aggregate(self_loops=False), Dense(1.1, 0.3), {AFTER})"
    tables[text] = kernels(inner, x, mask_constant=-9.0, pattern=(edges, edges))
    np.savez_compressed(Path(__file__).with_name("attention_tables.npz"), **tables)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
