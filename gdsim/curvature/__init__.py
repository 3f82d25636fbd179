"""Second derivatives of a problem's loss at points, for whole populations of them: products of the Hessian and
of the Gauss-Newton matrix with vectors, the matrix itself, its eigenvalues, their density and their trace, and
measures of how sharp a point is.
"""

from gdsim.curvature.densities import density
from gdsim.curvature.measures import sharpness
from gdsim.curvature.products import hessian, hessian_product
from gdsim.curvature.spectrum import eigenvalues, trace
from gdsim.declarations import hint_in

__all__ = ["density", "eigenvalues", "hessian", "hessian_product", "sharpness", "trace"]

hint_in(globals(), "gd.curvature")
