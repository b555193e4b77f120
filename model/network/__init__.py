"""The hierarchical VAE: knows neither files nor runs."""
