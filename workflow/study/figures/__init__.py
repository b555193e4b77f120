"""The figures of a study and of its ablations, in one style."""
