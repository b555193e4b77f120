"""The version of what the numbers mean, raised when a mend changes a training or an evaluation.

It is part of a run's identity, so that runs of an older version are made again and never compared
with those of a newer one.

1. The first results.
2. The bounds of given weights stay as they were, but for rates beyond e^80, which were clamped.
   These changed: sampling the discretised logistics (green is drawn given 8-bit red, blue given
   both), Fourier exponents at the Nyquist limit are refused, blocks without a residual path start
   with scales that keep the activations' size, `skip: mirror` leaves no encoder block unseen, the
   gradient of a KL beyond e^80 has the right sign, and an infinite gradient norm is always skipped.
3. Noise and binarisation are drawn for each image from (seed, purpose, step or sample, index of the
   image), before for a whole batch: other numbers from the same distributions.
4. A training step with less work: the same functions, whose sums are rounded in another order.
"""

DEFINITIONS = 4
