"""One module per command of `study`: its docstring is what `--help` says of it."""
