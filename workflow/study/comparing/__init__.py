"""What an ablation compares: statistics over seeds, beside the paper's values."""
