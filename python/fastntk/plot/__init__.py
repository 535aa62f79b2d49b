"""Pictures of kernels, predictions and training, in the style of scikit-learn's displays.

A display holds what is to be drawn; ``plot(ax=)`` draws it and returns the display, which then has ``figure_``, ``ax_``
and its artists. `display` has what they share; `prediction`, `kernel` and `curves` are what they are of.

Needs the extra: ``pip install "fastntk[plot]"``.
"""

from .curves import DualDisplay, LearningCurveDisplay
from .kernel import KernelDisplay, SpectrumDisplay
from .prediction import PredictionDisplay, TrainingDisplay

__all__ = [
    "DualDisplay",
    "KernelDisplay",
    "LearningCurveDisplay",
    "PredictionDisplay",
    "SpectrumDisplay",
    "TrainingDisplay",
]
