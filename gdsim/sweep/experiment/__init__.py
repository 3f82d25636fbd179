"""What is run, as data: the declaration, its cells, its forms in TOML and in a folder."""
