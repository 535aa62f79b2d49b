"""Kernels of Dask arrays, their products and regression over landmarks: on a cluster, or the threads of one machine.

Needs the extra: ``pip install "fastntk[dask]"``. A task computes a block of pairs with as many threads as OpenMP is
allowed there (OMP_NUM_THREADS, which the nanny of `distributed` sets to 1). Dask's own scheduler decides what runs
where, and computes again what a lost worker had.

What users call is in `arrays` and `regression`; `rows` are the samples in chunks, `blocks` the pairs of two of them.
"""

try:
    import dask
    import dask.array  # noqa: F401
except ImportError as error:
    raise ImportError('fastntk.dask needs Dask: pip install "fastntk[dask]".') from error

from .arrays import kernels, nngp, ntk, operator
from .regression import nystrom

__all__ = ["kernels", "nngp", "ntk", "nystrom", "operator"]
