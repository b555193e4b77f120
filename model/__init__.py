"""Hierarchical VAEs of Falck et al. 2022 as a plain PyTorch package."""
