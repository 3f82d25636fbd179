"""Templates of training and evaluation, the layout of packs, and the drivers that run them."""
