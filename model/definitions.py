"""The version of what the numbers mean, raised when a mend changes a training or an evaluation.

It is part of a run's identity, so that runs of an older version are made again and never compared
with those of a newer one.

1. The first results.
2. The bounds stay as they were; these changed: sampling the discretised logistics (green is drawn
   given 8-bit red, blue given both), Fourier exponents at the Nyquist limit are refused, models
   without a residual path start with variances that are preserved, `skip: mirror` leaves no encoder
   block unseen, and the gradient of a KL beyond the clamp has the right sign.
"""

DEFINITIONS = 2
