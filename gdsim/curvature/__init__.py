"""Second derivatives of a problem's loss at points, for whole populations of them: products of the Hessian and
of the Gauss-Newton matrix with vectors, the matrix itself, its eigenvalues and its trace.
"""

from gdsim.curvature.products import hessian, hessian_product
from gdsim.curvature.spectrum import eigenvalues, trace
from gdsim.declarations import hint_in

__all__ = ["eigenvalues", "hessian", "hessian_product", "trace"]

hint_in(globals(), "gd.curvature")
