"""From batches to weights: trains any model that gives a bound for a batch."""
