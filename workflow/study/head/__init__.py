"""The head, the `snakemake` that a user starts: one at a time per study, and how it ends."""
