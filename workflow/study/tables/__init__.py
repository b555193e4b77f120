"""The tables of a study and of its ablations: columns, rows, and forms for reading."""
