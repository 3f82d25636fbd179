"""Templates of training and evaluation, the layout of packs, and the drivers that run them."""

# The versions of the bits that kernels give: of all kernels, of those that draw samples in an order, of those with a penalty,
# and of those whose rule asks for the gradient's length and takes it uphill: outside networks it was once that before the climb.
# Whoever changes bits raises the version of the part that has changed. `gdsim doctor` and its test know the answers.
BITS, ORDER_BITS, PENALTY_BITS, UPHILL_BITS = 1, 1, 1, 2
