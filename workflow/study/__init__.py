"""Studies: which runs they need, and the tables and figures made of those runs."""
