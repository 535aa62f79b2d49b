"""The machine: what it has, what is running on it, and matrix arithmetic whose bits do not depend on its threads.

`limits` reads memory and processors of the process, `runtime` chooses threads and the instruction set, `files` has what
operating systems do to files each in its own way, `floating` keeps NumPy's floating-point settings; `rows` is how the
engine reads a matrix, `products` and `factor` are products and Cholesky factors. Knows nothing of networks.
"""
