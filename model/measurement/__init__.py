"""What is computed from a trained model."""
