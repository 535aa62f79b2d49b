"""Layers: what users write networks of. Each knows its parameters, their checks, and how it becomes an op.

`base` says what a layer is; `dense` and `activation` are those there are; `given` is what may stand for one;
`alternating` tells which stacks of them exist at finite width; `migration` has the sentences for habits from other
libraries. What is *done* with layers (the reference, finite networks, text, fits) is not here: each is one dispatch in
its own room.
"""

from .activation import Activation
from .base import Layer
from .dense import Dense

__all__ = ["Activation", "Dense", "Layer"]
