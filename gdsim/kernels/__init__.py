"""Templates of training and evaluation, the layout of packs, and the drivers that run them."""

# The versions of the bits that kernels give: of all kernels, of those that draw samples in an order, and of those with a penalty.
# Whoever changes bits raises the version of the part that has changed. `gdsim doctor` and its test know the answers.
BITS, ORDER_BITS, PENALTY_BITS = 1, 1, 1
