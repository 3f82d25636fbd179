"""Lanczos of the second derivatives at the point of each lane, in a written order: the tridiagonal matrix that
they are in the space of a vector and its products, and its largest eigenvalue.

From v_1 of length 1, with beta_0 = 0:
    alpha_k = v_k' H v_k,   r = H v_k - alpha_k v_k - beta_(k-1) v_(k-1),   beta_k = |r|,   v_(k+1) = r / beta_k
The largest eigenvalue of the tridiagonal matrix of alpha and beta rises to that of H (Lanczos 1950). Vectors
lose their orthogonality only along eigenvectors that are found (Paige 1976), which repeats eigenvalues and
moves none: three vectors are kept, whatever the number of products. A search ends where the value rises no
more: where the largest two eigenvalues are closer than about a thousandth of the largest magnitude, that may
be at the second. Sums are those of each lane, in the order of the parameters, in float64.
"""

from typing import Any, NamedTuple

import numpy as np

from gdsim.kernels.parts import search_of
from gdsim.lanes.masks import all
from gdsim.lanes.memory import call_kernel, plane
from gdsim.lanes.operations import absolute, as_type_of, fma_lanes, load, maximum, splat, sqrt, store, where
from gdsim.lanes.parts import WIDTH, default_part, restore_float_mode, set_float_mode
from gdsim.lanes.types import Address, Lane, Memory

BACK = 5  # products from the value that a value is compared with to itself
HALVINGS = 54  # of an interval around an eigenvalue: as many as a float64 has digits, and one


class Search(NamedTuple):
    """What a search works on; [..., lane] each where nothing else is said."""

    evaluate: Address  # of the kernel that leaves H v, where it is called
    evaluation: Address  # of its table
    places: Memory  # int64 [parameter]: where each is in a pack
    weights: Memory  # [place]: the point, its tangents v, in the number type of the products; at first v_1
    gradients: Memory  # [place]: the gradient, its tangents H v
    current: Memory  # float64 [parameter]: v_k
    previous: Memory  # float64 [parameter]: v_(k-1)
    diagonal: Memory  # float64 [product]: alpha
    beside: Memory  # float64 [product]: beta
    values: Memory  # float64 [product]: the largest eigenvalue after so many products
    found: Memory  # float64: the last of them that was needed
    settled: Memory  # float64 [1], of all lanes: a rise by less than this share is none; below 0: no value is wanted
    lost: Memory  # float64 [1], of all lanes: what is less than this share of the matrix is rounding
    table: Memory  # int64: that of the evaluation
    evaluated: Any  # what it is of, `curvature.ProductJob`


@default_part
def run_products(job: Any) -> None:
    """Leaves H v."""
    call_kernel(job.evaluate, job.evaluation, 1)


def vectors_of(job: Any) -> Memory:
    """[place]: v."""
    return plane(job.weights, 1)


def products_of(job: Any) -> Memory:
    """[place]: H v."""
    return plane(job.gradients, 1)


def search(table: Address, most: int) -> int:
    """Makes up to so many products in every lane, and leaves the tridiagonal matrix, and where it is wanted the
    largest eigenvalue, which is NaN where H is not finite.
    """
    mode = set_float_mode()
    job = search_of(table)
    zero = splat(np.float64(0.0), WIDTH)
    begin(job)
    size, is_done = zero, zero
    for k in range(most):
        run_products(job)
        advance(job, k)
        size = size + absolute(load(job.diagonal, k * WIDTH, WIDTH)) + load(job.beside, k * WIDTH, WIDTH)
        is_over = ~(load(job.beside, k * WIDTH, WIDTH) > job.lost[0] * size)  # also where it is NaN
        if job.settled[0] >= 0.0:
            value = largest(job, k + 1) + 0.0 * size  # NaN where anything was not finite
            store(job.values, k * WIDTH, value)
            store(job.found, 0, where(is_done > 0.0, load(job.found, 0, WIDTH), value))
            rise = value - load(job.values, max(k - BACK, 0) * WIDTH, WIDTH)
            is_over = is_over | ((rise <= job.settled[0] * absolute(value)) & (zero + k >= BACK))
        is_done = where(is_over, zero + 1.0, is_done)
        if all(is_done > 0.0):
            break
    restore_float_mode(mode)
    return 0


def begin(job: Any) -> None:
    """Takes v_1 from the vectors, and 0 as the one before."""
    zero = splat(np.float64(0.0), WIDTH)
    for p in range(len(job.places)):
        store(job.current, p * WIDTH, as_type_of(load(vectors_of(job), job.places[p] * WIDTH, WIDTH), zero))
        store(job.previous, p * WIDTH, zero)


def advance(job: Any, k: int) -> None:
    """alpha_k, beta_k and v_(k+1) from H v_k."""
    zero = splat(np.float64(0.0), WIDTH)
    alpha, squares = zero, zero
    before = load(job.beside, max(k - 1, 0) * WIDTH, WIDTH)  # the first time the vector before is 0
    for p in range(len(job.places)):
        alpha = fma_lanes(load(job.current, p * WIDTH, WIDTH), as_type_of(load(products_of(job), job.places[p] * WIDTH, WIDTH), zero), alpha)
    for p in range(len(job.places)):
        v, product = load(job.current, p * WIDTH, WIDTH), as_type_of(load(products_of(job), job.places[p] * WIDTH, WIDTH), zero)
        rest = product - alpha * v - before * load(job.previous, p * WIDTH, WIDTH)
        squares = fma_lanes(rest, rest, squares)
        store(job.previous, p * WIDTH, rest)
    beta = sqrt(squares)
    share = where(beta > 0.0, 1.0 / beta, zero)
    for p in range(len(job.places)):
        rest, v = load(job.previous, p * WIDTH, WIDTH), load(job.current, p * WIDTH, WIDTH)
        at = job.places[p] * WIDTH
        rounded = as_type_of(rest * share, load(vectors_of(job), at, WIDTH))
        store(vectors_of(job), at, rounded)
        store(job.current, p * WIDTH, as_type_of(rounded, zero))
        store(job.previous, p * WIDTH, v)
    store(job.diagonal, k * WIDTH, alpha)
    store(job.beside, k * WIDTH, beta)


def largest(job: Any, count: int) -> Lane:
    """The largest eigenvalue of the tridiagonal matrix of so many rows, by bisection.

    x is above all eigenvalues exactly where all pivots of x - T are positive:
    q_1 = x - alpha_1,   q_k = x - alpha_k - beta_(k-1)^2 / q_(k-1)
    """
    low = high = load(job.diagonal, 0, WIDTH)
    for k in range(count):
        alpha = load(job.diagonal, k * WIDTH, WIDTH)
        low = maximum(low, alpha)
        left = load(job.beside, max(k - 1, 0) * WIDTH, WIDTH)  # of the first row a bound too much, which bounds still
        high = maximum(high, alpha + left + load(job.beside, k * WIDTH, WIDTH))
    for _ in range(HALVINGS):
        x = 0.5 * low + 0.5 * high
        pivot = x - load(job.diagonal, 0, WIDTH)
        is_inside = pivot <= 0.0
        for k in range(1, count):
            beta = load(job.beside, (k - 1) * WIDTH, WIDTH)
            pivot = x - load(job.diagonal, k * WIDTH, WIDTH) - beta * beta / pivot
            is_inside = is_inside | (pivot <= 0.0)
        low, high = where(is_inside, x, low), where(is_inside, high, x)
    return high
