"""Gaussian processes that people keep: made of data once, asked again and again, given more data.

`observed` has the algebra in units of the kernel, `targets` the prior mean and the units of the targets, `answers` what
a process says where it is asked, `path` functions drawn from it, `model` how it is made, of data and of others.
"""

from .answers import JointPrediction, Prediction, PredictionGradient
from .model import GaussianProcess
from .path import SampledFunction

__all__ = ["GaussianProcess", "JointPrediction", "Prediction", "PredictionGradient", "SampledFunction"]
