"""Templates of training and evaluation, the layout of packs, and the drivers that run them."""

# The version of the bits that kernels give: whoever changes them raises it. `gdsim doctor` and its test know the answers.
BITS = 1
