"""The edge: what users give is checked here, once, and told about in one sentence. Nothing deeper checks again.

`arguments` has numbers, names and options, `arrays` matrices in and out, `places` whether arrays share memory or a
file, `symmetry` whether a matrix is symmetric; `shown` is how values look in messages, `caller` warns at the user's
line, `progress` shows long work. No mathematics of kernels here.
"""
