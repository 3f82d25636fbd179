"""What is run, as data: the declaration, its cells, its forms in TOML."""
