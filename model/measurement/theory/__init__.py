"""The paper's theorems, measured: what is proved, and what a trained model can be checked for."""
