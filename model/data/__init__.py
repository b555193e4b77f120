"""From published files to the batches that a model sees."""
