"""The population loss of a student network that learns a teacher, in closed form."""

import math
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import checked_whole
from gdsim.lanes import atan2
from gdsim.lanes.operations import fma_lanes, load, splat, sqrt, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Count, Lane, Memory
from gdsim.problems.base import Problem
from gdsim.problems.parts import MemorySpace, Sampler, Stream

PI, INVERSE_TWO_PI = math.pi, 1.0 / (2.0 * math.pi)


def length_of(weights: Memory, unit: Count, inputs: Count) -> Lane:
    """The Euclidean length of a unit's weights."""
    total = splat(ZERO, WIDTH)
    for d in range(inputs):
        w = load(weights, (unit * inputs + d) * WIDTH, WIDTH)
        total = fma_lanes(w, w, total)
    return sqrt(total)


def angle_of(apart: Lane, together: Lane) -> tuple[Lane, Lane, Lane]:
    """(angle, its sine, its cosine) of two unit vectors from the squared lengths of their difference and
    sum: exact when nearly aligned.
    """
    s, c = sqrt(apart), sqrt(together)
    return 2.0 * atan2(s, c), 0.5 * s * c, 0.25 * (together - apart)


def pair(model: MemorySpace, weights: Memory, left: Count, right: Count) -> tuple[Lane, Lane, Lane]:
    """(angle, sine, cosine) between two students, or a student and a teacher, which has number students +
    its own.
    """
    students, inputs = np.int64(model.constants[0]), np.int64(model.constants[1])
    zero = splat(ZERO, WIDTH)
    scale = load(model.sums, left * WIDTH, WIDTH)
    apart, together = zero, zero
    for d in range(inputs):
        u = load(weights, (left * inputs + d) * WIDTH, WIDTH) * scale
        if right < students:
            v = load(weights, (right * inputs + d) * WIDTH, WIDTH) * load(model.sums, right * WIDTH, WIDTH)
        else:
            v = zero + (1.0 if d == right - students else 0.0)
        apart, together = fma_lanes(u - v, u - v, apart), fma_lanes(u + v, u + v, together)
    return angle_of(apart, together)


def fill_whole_gradient(model: MemorySpace, weights: Memory, sampler: Sampler) -> Lane:
    """Leaves the gradient and gives the loss; `scratch` holds the students' lengths, `sums` their inverses."""
    students, inputs = np.int64(model.constants[0]), np.int64(model.constants[1])
    zero = splat(ZERO, WIDTH)
    loss = zero + model.constants[2]
    for i in range(students):
        size = length_of(weights, i, inputs)
        store(model.scratch, i * WIDTH, size)
        store(model.sums, i * WIDTH, where(size > 0.0, 1.0 / size, 0.0))
    for i in range(students):
        size = load(model.scratch, i * WIDTH, WIDTH)
        loss = fma_lanes(0.25 * size, size, loss)
        along = zero + 0.5  # what multiplies w_i itself
        for d in range(inputs):
            store(model.gradients, (i * inputs + d) * WIDTH, zero)
        for j in range(students + inputs):
            if j != i:
                angle, sine, cosine = pair(model, weights, i, j)
                is_student = j < students
                other = load(model.scratch, j * WIDTH, WIDTH) if is_student else zero + 1.0
                weight = 0.5 if is_student else -1.0  # pairs of students are met twice
                loss = fma_lanes(weight * INVERSE_TWO_PI * size * other, fma_lanes(PI - angle, cosine, sine), loss)
                factor = (INVERSE_TWO_PI if is_student else -INVERSE_TWO_PI) * (PI - angle)
                share = (INVERSE_TWO_PI if is_student else -INVERSE_TWO_PI) * other * sine
                along = fma_lanes(share, load(model.sums, i * WIDTH, WIDTH), along)
                for d in range(inputs):
                    v = load(weights, (j * inputs + d) * WIDTH, WIDTH) if is_student else zero + (1.0 if d == j - students else 0.0)
                    place = (i * inputs + d) * WIDTH
                    store(model.gradients, place, fma_lanes(factor, v, load(model.gradients, place, WIDTH)))
        for d in range(inputs):
            place = (i * inputs + d) * WIDTH
            store(model.gradients, place, fma_lanes(along, load(weights, place, WIDTH), load(model.gradients, place, WIDTH)))
    return loss


def fill_gradient(model: MemorySpace, weights: Memory, sampler: Sampler, stream: Stream, step: Lane) -> Lane:
    """The same in every step: there are no samples."""
    return fill_whole_gradient(model, weights, sampler)


class TeacherStudent(Problem, tag="teacher_student", frozen=True):
    """Half the mean squared difference between `student` ReLU units and `teacher` orthonormal ones, over
    normal inputs (Safran and Shamir 2018).

    All output weights are 1, there are `teacher` inputs, and the loss is in closed form. The parameter vector is W
    (student x inputs, row by row). Starts are normal with standard deviation 1/sqrt(teacher).

    >>> TeacherStudent(teacher=6, student=6).parameter_count
    36
    """

    meanings = {
        "teacher": "How many units the teacher has, and how many inputs there are: a whole number from 1 to 1000.",
        "student": "How many units the student has: a whole number from 1 to 1000.",
    }

    family = "memory"

    teacher: int
    student: int

    @property
    def default_init(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Normal, with standard deviation 1/sqrt(teacher)."""
        return {"type": "normal", "std": 1.0 / math.sqrt(self.teacher)}

    def __post_init__(self) -> None:
        for name in ("teacher", "student"):
            msgspec.structs.force_setattr(self, name, checked_whole(getattr(self, name), f"TeacherStudent.{name}", 1, 1001))

    @property
    def parameter_count(self) -> int:
        """How many parameters there are."""
        return self.student * self.teacher

    def constants(self) -> np.ndarray:
        """The numbers of students and of inputs, and the teachers' own part of the loss."""
        k = self.teacher
        return np.array([self.student, k, 0.5 * (0.5 * k + k * (k - 1) * INVERSE_TWO_PI)])

    def parts(self) -> dict[str, Any]:
        """The functions that a kernel is bound with."""
        return {"fill_gradient": fill_gradient, "fill_whole_gradient": fill_whole_gradient}

    def structure(self) -> list[Any]:
        """What decides the kernel's code."""
        return [self.teacher, self.student]

    def settings(self) -> dict[str, Any]:
        """What may differ between cells, by the names of coordinates."""
        return {"teacher": self.teacher, "student": self.student}

    def step_operations(self, samples: int) -> float:
        """Floating-point operations of a step: every student with all students and teachers."""
        return self.student * (self.student + self.teacher) * (12.0 * self.teacher + 60.0)
