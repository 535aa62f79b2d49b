"""Hyper-parameters of a network and the noise, fitted to data by marginal likelihood."""

from .search import Fit, FitWarning, fit_marginal_likelihood

__all__ = ["Fit", "FitWarning", "fit_marginal_likelihood"]
