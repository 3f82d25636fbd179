"""Second derivatives of a problem's loss at points, for whole populations of them: products of the Hessian and
of the Gauss-Newton matrix with vectors, and the Hessian itself.
"""

from gdsim.curvature.products import hessian, hessian_product
from gdsim.declarations import hint_in

__all__ = ["hessian", "hessian_product"]

hint_in(globals(), "gd.curvature")
