"""The mathematics of nonlinearities: phi, its dual F(q1, q2, c) = E[phi(u) phi(v)], and what the engine needs of both.

`registry` knows them by name, `named` has phi and phi' of each, `functions` what such a function is and those of users.
`duals` tells the engine of each: by a closed form, or by what `expansion` (with `series` and `hermite`), `polynomials`
and `pieces` compute of each sample; `interpolation` does that for many samples, `verification` watches callables.
`evaluation` is a dual by itself. The layer that users write is `fastntk.layers.activation`.
"""
