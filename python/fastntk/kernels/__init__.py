"""The kernels of networks on data: from a tuple of layers and matrices to the engine, and back.

`kernel` is what users hold. `inputs` checks samples, `compilation` makes the engine's program for them, `pairs` runs
it; `prepared` has rows that many calls have in common; `computation` runs it in memory, `blocks` part by part into
files, `gradients` for derivatives, `operator` for products with vectors; `univariate` fits networks of one variable,
`fluctuation` is their spread at finite width. What a layer does is not known here: layers emit themselves.
"""
