"""The elementary functions on lanes, as kernels call them: a value of `exponentials` or `angles` with its
derivative. They are gdsim's own: the same bits on every processor, at every lane width, in and out of
kernels.

Each is one body for float32 and float64; the precision picks the coefficients (`coefficients.py`). Largest
errors in units in the last place against mpmath, over random arguments of all magnitudes and the edges of
every branch (`tests/lanes/test_elementary.py` measures and guards them):

    function    float32   float64
    exp            1.04      1.04
    log            0.73      0.79
    tanh           1.81      1.80
    sigmoid        1.66      1.66
    softplus       1.76      1.76
    sin            0.74      0.75
    cos            0.72      0.72
    atan2          1.50      1.68
    acos           1.03      1.05
    erf            1.28      1.34
    pow            1.07      1.11

Edges: overflow gives infinity and underflow goes through the denormals to zero; NaN in, NaN out; signed zeros
as in C's `math.h`. `sin` and `cos` hold their bound to |x| = 1e5; beyond it they stay in [-1, 1] but lose
accuracy, and are NaN for infinities.

Their values, in `exponentials` and `angles`, read bits and reduce arguments, and have no derivatives as they
are written: each gets its own here, from its arguments and its value. Derivatives are made of values: no
function reaches itself.
"""

from gdsim.lanes import angles, exponentials
from gdsim.lanes.angles import cos as cos_value, sin as sin_value
from gdsim.lanes.exponentials import exp as exp_value, log as log_value, pow as pow_value, sigmoid as sigmoid_value, sigmoid_by as sigmoid_by_value
from gdsim.lanes.operations import broadcast, fma_lanes as fma, sqrt, where
from gdsim.lanes.tangents import differentiable

TWO_OVER_SQRT_PI = 1.1283791670955126

exp = differentiable(exponentials.exp, lambda x, y: y)
exp_below_zero = differentiable(exponentials.exp_below_zero, lambda x, y: y)
half_exp_less_one = differentiable(exponentials.half_exp_less_one, lambda x, y: fma(y, 2.0, broadcast(1.0, y)))
log = differentiable(exponentials.log, lambda x, y: 1.0 / x)
tanh = differentiable(exponentials.tanh, lambda x, y: 1.0 - y * y)
sigmoid = differentiable(exponentials.sigmoid, lambda x, y: y * sigmoid_value(-x))  # 1 - y would have no digits beyond x = 37
softplus = differentiable(exponentials.softplus, lambda x, y: sigmoid_value(x))
# By x, which e follows from:
sigmoid_by = differentiable(exponentials.sigmoid_by, lambda x, e, y: (e / ((1.0 + e) * (1.0 + e)), broadcast(0.0, x)))
softplus_by = differentiable(exponentials.softplus_by, lambda x, e, y: (sigmoid_by_value(x, e), broadcast(0.0, x)))
sin = differentiable(angles.sin, lambda x, y: cos_value(x))
cos = differentiable(angles.cos, lambda x, y: -sin_value(x))
atan2 = differentiable(angles.atan2, lambda y, x, angle: (x / fma(x, x, y * y), -y / fma(x, x, y * y)))
acos = differentiable(angles.acos, lambda x, y: -1.0 / sqrt((1.0 - x) * (1.0 + x)), has_poles=True)
erf = differentiable(exponentials.erf, lambda x, y: TWO_OVER_SQRT_PI * exp_value(-(x * x)))
# By the exponent where the base is positive:
pow = differentiable(exponentials.pow, lambda x, y, z: (y * pow_value(x, y - 1.0), where(x > 0.0, z * log_value(x), 0.0)), has_poles=True)

ELEMENTARY = (exp, log, tanh, sigmoid, softplus, sin, cos, atan2, acos, erf, pow)
