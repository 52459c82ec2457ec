"""Bifurcation curves of any one-unit cell over a plane of two parameters, by pseudo-arclength continuation.

Unknowns are u = (state, p, q), equations ``F(state; p, q) - state = 0`` and ``test(dF/dstate) = 0``: one fewer than
unknowns, so their solutions are curves. Each is followed along its own length, which does not mind the turns that it
makes in the plane: a cusp is where the fold curve passes straight through in (state, p, q) and its shadow turns back.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from landscape.dynamics.maps import affine, rests
from landscape.models import as_rnn
from landscape.planes import Affine, Plane

if TYPE_CHECKING:
    import xarray

NEWTON = 8  # iterations; a step of continuation needs about three
CLOSE = 1e-9  # the last of them must be this small, in units of the plane and of max(1, |state|)
RANK = 1e-9  # singular values this much below the largest are zero: where branches cross by symmetry
SHORTEST = 1e-6
HALVINGS = 16  # of a cell of the grid on which curves are looked for


def plus_one(matrix: Float[Array, "unit unit"]) -> Float[Array, ""]:
    """``det(J - 1)``: zero where a multiplier is +1, at a fold, where two fixed points meet, or a pitchfork."""
    return jnp.linalg.det(matrix - jnp.eye(len(matrix), dtype=matrix.dtype))


def minus_one(matrix: Float[Array, "unit unit"]) -> Float[Array, ""]:
    """``det(J + 1)``: zero where a multiplier is -1, at a flip, where a fixed point gives way to a 2-cycle."""
    return jnp.linalg.det(matrix + jnp.eye(len(matrix), dtype=matrix.dtype))


def _split(affine: Affine, x: ArrayLike, u: jax.Array) -> tuple[Callable, jax.Array]:
    """The step of the cell at ``u`` as a function of its flat state, and that state."""
    cell = as_rnn(affine.at(tuple(u[-2:]))).cell
    unravel = ravel_pytree(cell.initial())[1]
    return lambda s: ravel_pytree(cell.step(unravel(s), x))[0], u[:-2]


class _Tools(NamedTuple):
    residual: Callable  # (affine, x, u) -> (equation,)
    matrix: Callable  # (affine, x, u) -> dF/dstate
    correct: Callable  # (affine, x, u, scale, row, value) -> u, size of the last Newton step, tangent projector


@functools.cache
def _tools(test: Callable) -> _Tools:
    def matrix(affine: Affine, x: ArrayLike, u: jax.Array) -> jax.Array:
        step, s = _split(affine, x, u)
        return jax.jacfwd(step)(s)

    def residual(affine: Affine, x: ArrayLike, u: jax.Array) -> jax.Array:
        step, s = _split(affine, x, u)
        return jnp.concatenate([step(s) - s, test(jax.jacfwd(step)(s))[None]])

    def correct(
        affine: Affine, x: ArrayLike, u: jax.Array, scale: jax.Array, row: jax.Array, value: jax.Array
    ) -> tuple:
        """The solution nearest to ``u`` on ``row . u / scale = value``; with no row, the nearest of the curve."""
        system = functools.partial(residual, affine, x)

        def newton(_: Array, carry: tuple) -> tuple:
            u, _ = carry
            equations = jnp.concatenate([jax.jacfwd(system)(u) * scale[None], row[None]])
            off = jnp.concatenate([system(u), (row @ (u / scale) - value)[None]])
            move = jnp.linalg.lstsq(equations, off, rcond=RANK)[0]
            return u - scale * move, jnp.linalg.norm(move)

        u, moved = jax.lax.fori_loop(0, NEWTON, newton, (u, jnp.array(jnp.inf, u.dtype)))
        equations = jax.jacfwd(system)(u) * scale[None]
        along = jnp.eye(len(u), dtype=u.dtype) - jnp.linalg.pinv(equations, rtol=RANK) @ equations
        return u, moved, along

    return _Tools(
        jax.jit(jax.vmap(residual, (None, None, 0))), jax.jit(jax.vmap(matrix, (None, None, 0))), jax.jit(correct)
    )


class _Curves:
    """Follows the solutions of one test over one plane."""

    def __init__(self, plane: Plane, test: Callable, x: float, step: float, most: int) -> None:
        self.affine, self.x, self.tools, self.step, self.most = affine(plane, "float64"), x, _tools(test), step, most
        self.low, self.high = np.array([(axis[0], axis[-1]) for axis in plane.axes.values()]).T
        self.points: list[np.ndarray] = []  # of every curve, (point, unknown)
        self.ends: list[tuple[str, str]] = []
        self.cusps: list[np.ndarray] = []

    def add(self, seed: np.ndarray, reach: float) -> None:
        """Follow the curve near a seed both ways, unless there is none or it has been followed already."""
        settled = self.settle(seed, reach)
        if settled is None or any(_away(settled[0], c, self.scale(seed)) < self.step / 4 for c in self.points):
            return
        u, tangent = settled
        ahead, along, last = self.follow(u, tangent)
        behind, against, first = ([u], [tangent], last) if last == "closed" else self.follow(u, -tangent)
        if len(behind) + len(ahead) > 2:
            points = [*behind[:0:-1], *ahead]
            self.points.append(np.array(points))
            self.ends.append((first, last))
            self.cusps += self.turns(points, [*(-t for t in against[:0:-1]), *along])

    def scale(self, u: np.ndarray) -> np.ndarray:
        return np.concatenate([np.maximum(1, np.abs(u[:-2])), self.high - self.low])

    def inside(self, u: np.ndarray) -> bool:
        slack = 1e-12 * (self.high - self.low)
        return bool(np.all((u[-2:] >= self.low - slack) & (u[-2:] <= self.high + slack)))

    def correct(self, u: np.ndarray, scale: np.ndarray, row: np.ndarray, value: float) -> tuple:
        return jax.device_get(self.tools.correct(self.affine, self.x, u, scale, row, np.float64(value)))

    def settle(self, seed: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray] | None:
        """The point of a curve nearest to a seed and the direction of the curve there; None if there is none near."""
        scale = self.scale(seed)
        u, moved, along = self.correct(seed, scale, np.zeros(len(seed)), 0.0)
        if not (moved < CLOSE and self.inside(u) and np.abs((u - seed) / scale)[-2:].max() < reach):
            return None
        sizes = np.linalg.norm(along, axis=0)
        sizes[:-2] *= np.linalg.norm(sizes[-2:]) < 1e-3  # along a parameter, unless this is a cusp
        return u, _unit(along[:, sizes.argmax()])

    def follow(self, u: np.ndarray, tangent: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], str]:
        """Points and directions from ``u`` on: to the edge of the plane, round to ``u`` again, or as far as it goes."""
        points, tangents, size = [u], [tangent], self.step
        while len(points) < self.most:
            scale = self.scale(points[-1])
            ahead = points[-1] + size * scale * tangents[-1]
            new, moved, along = self.correct(ahead, scale, tangents[-1], tangents[-1] @ (ahead / scale))
            turned = along @ tangents[-1]
            strayed = np.linalg.norm((new - ahead) / scale)
            if not (moved < CLOSE and strayed < size / 2 and np.linalg.norm(turned) > 0.9):
                if (size := size / 2) < SHORTEST:
                    return points, tangents, "lost"
                continue
            if not self.inside(new):
                landed = self.land(points[-1], new)
                return (
                    *((points, tangents) if landed is None else ([*points, landed], [*tangents, _unit(turned)])),
                    "edge",
                )
            points.append(new)
            tangents.append(_unit(turned))
            if len(points) > 3 and np.linalg.norm((new - u) / scale) < size and tangents[-1] @ tangent > 0.5:
                return [*points, u], [*tangents, tangent], "closed"
            size = min(1.3 * size, self.step)
        return points, tangents, "unfinished"

    def land(self, old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
        """The point of the curve exactly on the edge that it leaves the plane by."""
        edge = np.where(
            new > old, np.r_[np.full(len(old) - 2, np.inf), self.high], np.r_[np.full(len(old) - 2, -np.inf), self.low]
        )
        with np.errstate(all="ignore"):
            shares = np.where(new != old, (edge - old) / (new - old), np.inf)
        k = int(shares.argmin())
        scale = self.scale(old)
        u, moved, _ = self.correct(old + shares[k] * (new - old), scale, np.eye(len(old))[k], edge[k] / scale[k])
        u = np.where(np.arange(len(u)) == k, edge[k], u)  # on it to the last digit
        return u if moved < CLOSE else None

    def turns(self, points: list[np.ndarray], tangents: list[np.ndarray]) -> list[np.ndarray]:
        """Where the shadow of a curve in the plane turns back on itself, by bisection along the curve."""
        found = []
        for u, tangent, after in zip(points, tangents, tangents[1:], strict=False):
            if tangent[-2:] @ after[-2:] >= 0 or not np.linalg.norm(tangent[-2:]) > 0:
                continue
            scale, low, high, here = self.scale(u), 0.0, 2 * self.step, u
            for _ in range(50):
                length = (low + high) / 2
                ahead = u + length * scale * tangent
                here, _, along = self.correct(ahead, scale, tangent, tangent @ (ahead / scale))
                onward = (along @ tangent)[-2:] @ tangent[-2:] > 0
                low, high = (length, high) if onward else (low, length)
            found.append(here)
        return found


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _seeds(coarse: Plane, test: Callable, x: float) -> np.ndarray:
    """Rough solutions (seed, unknown): where, along the lines of a grid, the signs of the test at the fixed points
    change, bisected so far that Newton's method, which a large c throws off, starts close."""

    def look(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        orbits, tests = rests(coarse, places, x, 8, test)
        return np.stack(jax.tree.leaves(orbits.state), axis=-1), tests, places

    def differ(one: tuple, other: tuple) -> np.ndarray:
        return np.any(np.sign(np.nan_to_num(one[1])) != np.sign(np.nan_to_num(other[1])), axis=1)

    points = coarse.points()
    at = np.arange(len(points)).reshape(coarse.shape)
    pairs = [(at[:-1].ravel(), at[1:].ravel()), (at[:, :-1].ravel(), at[:, 1:].ravel())]
    first, second = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    found = look(points)
    low, high = (tuple(a[side] for a in found) for side in (first, second))
    changes = differ(low, high)
    low, high = (tuple(a[changes] for a in side) for side in (low, high))
    for _ in range(HALVINGS if changes.any() else 0):
        middle = look((low[2] + high[2]) / 2)
        left = differ(low, middle)
        pick = lambda yes, no, left=left: np.where(left.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)  # noqa: E731
        low = tuple(pick(a, m) for a, m in zip(low, middle, strict=True))
        high = tuple(pick(m, b) for m, b in zip(middle, high, strict=True))
    seeds = [
        seed
        for one, other in zip(zip(*low, strict=True), zip(*high, strict=True), strict=True)
        for seed in _between(one, other)
    ]
    return np.array(seeds).reshape(-1, found[0].shape[-1] + 2)


def _between(one: tuple, other: tuple) -> list[np.ndarray]:
    poor, rich = sorted((one, other), key=lambda side: np.isfinite(side[1]).sum())
    (few, few_tests, here), (many, many_tests, there) = (
        (s[np.isfinite(t)], t[np.isfinite(t)], place) for s, t, place in (poor, rich)
    )
    place = (here + there) / 2
    meeting = [k for k in range(len(many) - 1) if len(few) < len(many) and many_tests[k] * many_tests[k + 1] < 0]
    seeds = [np.r_[(many[k] + many[k + 1]) / 2, place] for k in meeting]
    for state, value in zip(few, few_tests, strict=True):
        k = np.abs(many - state).max(1).argmin()
        if value * many_tests[k] < 0:
            seeds.append(np.r_[(state + many[k]) / 2, place])
    return seeds


def _away(seed: np.ndarray, points: np.ndarray, scale: np.ndarray) -> float:
    """Distance of a point to a polyline."""
    start, line = points[:-1] / scale, np.diff(points, axis=0) / scale
    length = np.maximum(np.sum(line**2, 1), 1e-300)
    share = np.clip(np.sum((seed / scale - start) * line, 1) / length, 0, 1)
    return float(np.linalg.norm(start + share[:, None] * line - seed / scale, axis=1).min())


def bifurcations(
    plane: Plane,
    test: Callable[[Float[Array, "unit unit"]], Float[Array, ""]] = plus_one,
    x: float = 0.0,
    *,
    cells: int = 32,
    step: float = 0.02,
    most: int = 5000,
) -> "xarray.Dataset":
    """The curves of a plane on which ``test`` of the Jacobian vanishes at a fixed point, traced numerically in float64.

    ``test`` is `plus_one` (folds and pitchforks), `minus_one` (flips) or any function of a Jacobian whose zero is
    looked for. Curves are found where a map of all fixed points on ``cells`` x ``cells`` cells shows a change, so one
    that no line of that grid crosses is missed; each is followed both ways to the edge of the plane, in steps of at
    most ``step`` in units of the plane's width and of max(1, |state|).

    Returns a Dataset (point,): both coordinates, the state (``h``, ``c``), ``curve`` (its number, points in order along
    it), ``multiplier``, the eigenvalue nearest to the unit circle, ``other``, the largest modulus of the rest (above 1
    both states that meet at a fold are unstable), and ``residual``, what is left of the equations. ``cusp_<name>``
    (cusp,) are the cusps of fold curves, where F'' vanishes too; ``ends`` (curve_number, end) says how each curve ends:
    "edge", "closed", "lost" where Newton's method failed, "unfinished" after ``most`` points. Where two branches cross
    by symmetry (a pitchfork at zero bias) the curve of crossings is followed like a fold.

    Raises ValueError unless the plane has two coordinates and its model one unit without peepholes.
    """
    import xarray

    if len(plane.axes) != 2:
        raise ValueError(f"curves lie in a plane of two coordinates, given {', '.join(plane.axes)}; hold the others")
    coarse = dataclasses.replace(plane, axes={n: np.linspace(v[0], v[-1], cells + 1) for n, v in plane.axes.items()})
    with jax.enable_x64(True):
        curves = _Curves(plane, test, x, step, most)
        for seed in _seeds(coarse, test, x):
            curves.add(seed, reach=3 / cells)
        names = _names(as_rnn(plane.at([0.0, 0.0])).cell.initial())
        points = np.concatenate(curves.points) if curves.points else np.zeros((0, len(names) + 2))
        residual = np.abs(curves.tools.residual(curves.affine, x, points)).max(1)
        eigenvalues = np.linalg.eigvals(curves.tools.matrix(curves.affine, x, points))
    by_circle = np.take_along_axis(eigenvalues, np.argsort(np.abs(np.abs(eigenvalues) - 1), 1), 1)
    columns = dict(zip((*names, *plane.axes), points.T, strict=True))
    columns |= {"curve": np.repeat(np.arange(len(curves.points)), [len(c) for c in curves.points])}
    columns |= {"multiplier": by_circle[:, 0].real, "other": np.abs(by_circle[:, 1:]).max(1, initial=0.0)}
    columns |= {"residual": residual}
    cusps = np.array(curves.cusps).reshape(-1, len(names) + 2)
    variables: dict[str, Any] = {name: ("point", values) for name, values in columns.items()}
    variables |= {f"cusp_{n}": ("cusp", v) for n, v in zip((*names, *plane.axes), cusps.T, strict=True)}
    variables["ends"] = (("curve_number", "end"), np.array(curves.ends, dtype="U10").reshape(-1, 2))
    attrs = {"method": "numerical: pseudo-arclength continuation", "test": test.__name__, "x": x, "step": step}
    return xarray.Dataset(variables, attrs=attrs | {"seeds": f"fixed points on {cells} x {cells} cells"})


def _names(state: NamedTuple) -> list[str]:
    """A name for every number of a state, in the order of its flat form: h, c, gates_0, ..."""
    fields = {name: len(jax.tree.leaves(getattr(state, name))) for name in state._fields}
    return [name if count == 1 else f"{name}_{k}" for name, count in fields.items() for k in range(count)]
