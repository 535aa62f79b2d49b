"""Samples of different sizes: sequences with steps, graphs with nodes, as many as each likes, and no padding.

`ragged` is what both are, a list of samples to scikit-learn and one array to the engine; `sequences` and `graphs` read
what users have. Arrays need no container: `kernels` and `reference` take them as they are.
"""

from .graphs import Graphs
from .ragged import Ragged
from .sequences import Sequences

__all__ = ["Graphs", "Ragged", "Sequences"]
