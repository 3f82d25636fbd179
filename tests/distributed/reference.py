"""The oracle of simulated distributed training: every kind, one run, worker after worker, in plain NumPy and
float64.

A gradient is a function (worker, number of the worker's step, point [parameter]) -> [parameter]: it says which
samples a worker sees and what noise it has. A rule updates one copy of the parameters:
rule(point, gradient, state, scale) -> (point, state), with gradient a function of the point, state None at
first and else (slots [slot, parameter], updates), and `scale` a factor of the rate.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Gradient = Callable[[int, int, np.ndarray], np.ndarray]
State = tuple[np.ndarray, int]
Rule = Callable[..., tuple[np.ndarray, State]]


def _opened(state, w, slots):
    return (np.zeros((slots, w.size)), 0) if state is None else state


def sgd(lr: float) -> Rule:
    """w - eta g."""

    def rule(w, gradient, state, scale=1.0):
        slots, updates = _opened(state, w, 0)
        return w - scale * lr * gradient(w), (slots, updates + 1)

    return rule


def heavy_ball(lr: float, momentum: float) -> Rule:
    """v = mu v + g; w - eta v."""

    def rule(w, gradient, state, scale=1.0):
        slots, updates = _opened(state, w, 1)
        v = momentum * slots[0] + gradient(w)
        return w - scale * lr * v, (v[None], updates + 1)

    return rule


def nesterov(lr: float, momentum: float) -> Rule:
    """PyTorch's form: v = mu v + g; w - eta (g + mu v)."""

    def rule(w, gradient, state, scale=1.0):
        slots, updates = _opened(state, w, 1)
        g = gradient(w)
        v = momentum * slots[0] + g
        return w - scale * lr * (g + momentum * v), (v[None], updates + 1)

    return rule


def lecture_nesterov(lr: float, momentum: float) -> Rule:
    """h = a h + eta g(w - a h); w - h: each copy looks ahead by its own h."""

    def rule(w, gradient, state, scale=1.0):
        slots, updates = _opened(state, w, 1)
        h = momentum * slots[0] + scale * lr * gradient(w - momentum * slots[0])
        return w - h, (h[None], updates + 1)

    return rule


def adam(lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0, corrected: bool = True) -> Rule:
    """Adam, with decoupled weight decay as AdamW has it; without bias correction it is FedAdam's form."""

    def rule(w, gradient, state, scale=1.0):
        slots, updates = _opened(state, w, 2)
        g = gradient(w)
        m, v = beta1 * slots[0] + (1 - beta1) * g, beta2 * slots[1] + (1 - beta2) * g * g
        one, two = (1 - beta1 ** (updates + 1), 1 - beta2 ** (updates + 1)) if corrected else (1.0, 1.0)
        step = (m / one) / (np.sqrt(v / two) + eps)
        return w - scale * lr * (step + decay * w), (np.stack([m, v]), updates + 1)

    return rule


class Path(NamedTuple):
    """What a simulation went through."""

    reported: np.ndarray  # [step, parameter], the start first
    workers: np.ndarray  # [step, worker, parameter]

    @property
    def disagreement(self) -> np.ndarray:
        """[step] mean over workers of their squared distance from their mean."""
        from_mean = self.workers - self.workers.mean(1, keepdims=True)
        return (from_mean**2).sum(2).mean(1)


def synchronous(
    start: np.ndarray, gradient: Gradient, rule: Rule, steps: int, workers: int, arrived: Callable[[int], Sequence[int]] | None = None, *,
    over: int | None = None, scale: Callable[[int], float] = lambda step: 1.0,
) -> np.ndarray:  # fmt: skip
    """[step, parameter] of one rule on the mean of the gradients that arrive, or on their sum over `over`; none
    arrive: no step. The rate's factor goes by the step.
    """
    w, state, path = start, None, [start]
    for step in range(steps):
        here = range(workers) if arrived is None else arrived(step)
        if len(here):
            mean = lambda point, step=step, here=here: sum(gradient(k, step, point) for k in here) / (over or len(here))  # noqa: E731
            w, state = rule(w, mean, state, scale(step))
        path.append(w)
    return np.array(path)


def averaged_state(states: Sequence[State], members: Sequence[int], how: str) -> dict[int, State | None]:
    """The states of some workers after an exchange."""
    if how == "keep":
        return {k: states[k] for k in members}
    if how == "reset":
        return dict.fromkeys(members)
    mean = np.mean([states[k][0] for k in members], 0)
    return {k: (mean, states[k][1]) for k in members}


def averaging(
    start: np.ndarray, gradient: Gradient, rule: Rule, steps: int, workers: int, *,
    period: int = 1, state: str = "keep", after: int = 0, groups: Mapping[int, Sequence[Sequence[int]]] | None = None,
) -> Path:  # fmt: skip
    """Local SGD: workers step alone and become their mean after steps `period`, 2 `period`, ..; in each of the
    first `after` steps too, from which periods then count. `groups` says by period who averages with whom: the
    largest that divides acts.
    """
    groups = {period: [list(range(workers))]} if groups is None else groups
    points, states = [start] * workers, [None] * workers
    path = [np.array(points)]
    for step in range(1, steps + 1):
        for k in range(workers):
            points[k], states[k] = rule(points[k], lambda w, k=k, step=step: gradient(k, step - 1, w), states[k])
        due = [every for every in groups if (step - after) % every == 0]
        teams = [list(range(workers))] if step <= after else groups[max(due)] if due else []
        for members in teams:
            mean, kept = np.mean([points[k] for k in members], 0), averaged_state(states, members, state)
            for k in members:
                points[k], states[k] = mean, kept[k]
        path.append(np.array(points))
    workers_path = np.array(path)
    return Path(workers_path.mean(1), workers_path)


def rounds(
    start: np.ndarray, gradient: Gradient, rule: Rule, plan: Sequence[Mapping[int, int]], *, outer: Rule | None = None,
    state: str = "keep", share: Mapping[int, float] | None = None, proximal: float = 0.0, nova: bool = False,
) -> np.ndarray:  # fmt: skip
    """[round, parameter] of the server: each round those of plan[round], {worker: steps}, begin at it.

    Delta = sum p_k (theta - w_k), p_k their shares of those who took part, is the gradient of the outer rule;
    without one theta becomes the mean. `nova` divides by each one's steps and multiplies by their mean.
    """
    theta, outer_state, states, done, path = start, None, {}, {}, [start]
    for chosen in plan:
        ends = {}
        for k, steps in chosen.items():
            w, kept = theta, states.get(k) if state == "keep" else None
            for step in range(done.get(k, 0), done.get(k, 0) + steps):
                w, kept = rule(w, lambda w, k=k, step=step, theta=theta: gradient(k, step, w) + proximal * (w - theta), kept)
            ends[k], states[k], done[k] = w, kept, done.get(k, 0) + steps
        p = {k: 1.0 if share is None else share[k] for k in chosen}
        p = {k: value / sum(p.values()) for k, value in p.items()}
        lengths = {k: chosen[k] / sum(p[j] * chosen[j] for j in chosen) if nova else 1.0 for k in chosen}
        delta = sum(p[k] * (theta - ends[k]) / lengths[k] for k in chosen)
        theta, outer_state = (theta - delta, None) if outer is None else outer(theta, lambda _, delta=delta: delta, outer_state)
        path.append(theta)
    return np.array(path)


def scaffold(
    start: np.ndarray, gradient: Gradient, lr: float, plan: Sequence[Mapping[int, int]], clients: int, server_rate: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """([round, parameter] of the server, c, c_k [client, parameter]) of SCAFFOLD, option II."""
    theta, c, own, done, path = start, np.zeros_like(start), np.zeros((clients, start.size)), [0] * clients, [start]
    for chosen in plan:
        moved, changed = [], []
        for k, steps in chosen.items():
            w = theta
            for step in range(done[k], done[k] + steps):
                w = w - lr * (gradient(k, step, w) - own[k] + c)
            done[k] += steps
            new = own[k] - c + (theta - w) / (lr * steps)
            moved.append(w - theta)
            changed.append((k, new - own[k]))
        theta = theta + server_rate * np.mean(moved, 0)
        for k, change in changed:
            own[k] += change
        c = c + sum(change for _, change in changed) / clients
        path.append(theta)
    return np.array(path), c, own


def elastic(
    start: np.ndarray, gradient: Gradient, rule: Rule, steps: int, workers: int, alpha: float, *, period: int = 1, points: Any = None, centre: Any = None
) -> Path:
    """EASGD, synchronous: what is reported is the centre; workers and centre may begin apart."""
    points = np.array([start] * workers if points is None else points, float)
    centre, states = np.array(start if centre is None else centre, float), [None] * workers
    centres, path = [centre], [points.copy()]
    for step in range(1, steps + 1):
        pulls = alpha * (points - centre) if step % period == 0 else np.zeros_like(points)
        for k in range(workers):
            points[k], states[k] = rule(points[k], lambda w, k=k, step=step: gradient(k, step - 1, w), states[k])
        points, centre = points - pulls, centre + pulls.sum(0)
        centres.append(centre)
        path.append(points.copy())
    return Path(np.array(centres), np.array(path))


def round_robin(start: np.ndarray, gradient: Gradient, rule: Rule, ticks: int, workers: int, alpha: float, *, points: Any = None, centre: Any = None) -> Path:
    """EASGD with one worker a tick, in turn: gradient and pull at the same old point."""
    points = np.array([start] * workers if points is None else points, float)
    centre, states = np.array(start if centre is None else centre, float), [None] * workers
    centres, path = [centre], [points.copy()]
    for tick in range(ticks):
        k, step = tick % workers, tick // workers
        pull = alpha * (points[k] - centre)
        points[k], states[k] = rule(points[k], lambda w, k=k, step=step: gradient(k, step, w), states[k])
        points[k] -= pull
        centre = centre + pull
        centres.append(centre)
        path.append(points.copy())
    return Path(np.array(centres), np.array(path))


class Updates(NamedTuple):
    """What an asynchronous server went through."""

    path: np.ndarray  # [update, parameter], the start first
    staleness: np.ndarray  # [gradient]


def delayed(start: np.ndarray, gradient: Gradient, rule: Rule, staleness: Sequence[int], *, workers: int = 1, aware: bool = False) -> Updates:
    """Update t takes its gradient where the server was staleness[t] updates before, at the start before that;
    gradients come from the workers in turn.
    """
    path, state = [start], None
    for t, tau in enumerate(staleness):
        g = gradient(t % workers, t // workers, path[max(t - tau, 0)])
        w, state = rule(path[-1], lambda _, g=g: g, state, 1.0 / max(tau, 1) if aware else 1.0)
        path.append(w)
    return Updates(np.array(path), np.array(staleness))


def asynchronous(start: np.ndarray, gradient: Gradient, rule: Rule, order: Sequence[int], *, aware: bool = False, buffer: int = 1) -> Updates:
    """A server that applies gradients as the workers of `order` bring them; who brought one reads again.

    With a buffer the server steps once for that many gradients, by their mean.
    """
    path, state, waiting, staleness = [start], None, [], []
    read, own = dict.fromkeys(set(order), 0), dict.fromkeys(set(order), 0)
    for k in order:
        tau = len(path) - 1 - read[k]
        waiting.append(gradient(k, own[k], path[read[k]]) / (max(tau, 1) if aware and buffer > 1 else 1))
        staleness.append(tau)
        own[k] += 1
        if len(waiting) == buffer:
            g, waiting = np.mean(waiting, 0), []
            w, state = rule(path[-1], lambda _, g=g: g, state, 1.0 / max(tau, 1) if aware and buffer == 1 else 1.0)
            path.append(w)
        read[k] = len(path) - 1
    return Updates(np.array(path), np.array(staleness))


def arrivals(times: np.ndarray, updates: int, bound: int | None = None) -> list[int]:
    """Who brings each update, from times [worker, n] of the workers' computations: by time, then by worker.

    With a bound, a worker that is `bound` updates ahead of the slowest waits until that one has moved.
    """
    ends, done, order, waiting = times[:, 0].astype(float).copy(), [0] * len(times), [], {}
    while len(order) < updates:
        k = int(np.argmin(ends))
        now = ends[k]
        order.append(k)
        done[k] += 1
        waiting[k], ends[k] = now, np.inf
        for j in sorted(waiting):
            if bound is None or done[j] - min(done) < bound:
                ends[j] = now + times[j, done[j]]
                del waiting[j]
    return order
