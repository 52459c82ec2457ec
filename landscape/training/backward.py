"""Gradients backward through time, for layers: one matrix product a step each way, those of gradients in one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree, Real, Shaped

from landscape import devices
from landscape.cells import Cell
from landscape.losses import Objective
from landscape.models import RNN
from landscape.tasks import Episode
from landscape.training import products
from landscape.training.penalties import Penalty
from landscape.training.products import INPUT, Plan
from landscape.training.residuals import parted
from landscape.training.scores import Route, Score, blockwise, chosen, scorer, weighed
from landscape.tree import dot

ROWS = 1024  # of a table of symbols up to which a product with one-hot vectors is faster than adding to single rows


@jax.custom_vjp
def held(h: Float[Array, "batch factor"], w: Float[Array, "factor product"], parts: list) -> list:
    """``h w`` in parts, whose values are known; the gradient of w is left to whoever keeps h and those of the parts."""
    return parts


def _held_forward(h: jax.Array, w: jax.Array, parts: list) -> tuple[list, jax.Array]:
    return parts, w


def _held_backward(w: jax.Array, slopes: list) -> tuple[jax.Array, None, list]:
    return dot(jnp.concatenate(slopes), w.T), None, slopes


held.defvjp(_held_forward, _held_backward)


def _at(t: Int[ArrayLike, ""], series: PyTree) -> PyTree:
    """Step ``t`` of every leaf (time, ...)."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), series)


def _dtype(model: RNN) -> jnp.dtype:
    """The dtype in which a model computes: its inputs may be symbols."""
    return jnp.result_type(*jax.tree.leaves(model))


def _products(h: jax.Array, slope: jax.Array, matrix: jax.Array) -> jax.Array:
    """The sum of ``h' slope`` over all leading axes of factors h (..., factor); symbols (...) pick a row each."""
    slope = slope.reshape(-1, slope.shape[-1])
    if not jnp.issubdtype(h.dtype, jnp.integer):
        return dot(h.reshape(-1, h.shape[-1]).T, slope)
    if len(matrix) > ROWS:
        return jax.ops.segment_sum(slope, h.ravel(), len(matrix))
    return dot(jax.nn.one_hot(h.ravel(), len(matrix), dtype=matrix.dtype).T, slope)


def _put(t: Int[ArrayLike, ""], series: PyTree, one: PyTree) -> PyTree:
    """``series`` with ``one`` for its step ``t``."""
    put = lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, t, 0)  # noqa: E731
    return jax.tree.map(put, series, one)


def _empty(steps: int, one: PyTree) -> PyTree:
    """Room for ``one`` at each of so many steps."""
    return jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), one)


def _packing(like: PyTree[Shaped[Array, "..."]]) -> tuple[Callable[[PyTree], PyTree], Callable[[PyTree], PyTree]]:
    """``join(tree)``, all numbers of a step as one array for each dtype, and ``apart``, the tree of one step or many.

    On a CPU both leave a tree as it is (`devices.packs`). Trees are ``like`` the one that is given.
    """
    if not devices.packs():
        return (lambda tree: tree), (lambda tree: tree)
    leaves, tree = jax.tree.flatten(like)
    kinds: dict[jnp.dtype, list[int]] = {}
    for i, leaf in enumerate(leaves):
        kinds.setdefault(leaf.dtype, []).append(i)
    ends = [np.cumsum([leaves[i].size for i in each])[:-1] for each in kinds.values()]

    def join(tree: PyTree) -> list[Shaped[Array, "number"]]:
        flat = [leaf.ravel() for leaf in jax.tree.leaves(tree)]
        return [jnp.concatenate([flat[i] for i in each]) for each in kinds.values()]

    def apart(joined: list[Shaped[Array, "*time number"]]) -> PyTree:
        found: dict[int, jax.Array] = {}
        for each, one, end in zip(kinds.values(), joined, ends, strict=True):
            found |= zip(each, jnp.split(one, end, -1), strict=True)
        shaped = [found[i].reshape(*found[i].shape[:-1], *leaf.shape) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(tree, shaped)

    return join, apart


def _first(back: Callable, error: PyTree) -> list[int]:
    """For each product the first that has the same slopes, as ``w h`` and ``u x`` have, which are added."""
    slopes: list[list] = []
    jax.eval_shape(lambda error: slopes.extend(back(error)[2]), error)
    return [next(g for g, other in enumerate(slopes) if list(map(id, other)) == list(map(id, one))) for one in slopes]


class _Layer:
    """A cell with its matrices taken out (`products`): steps of a batch, forward and backward."""

    def __init__(self, cell: Cell, plan: Plan) -> None:
        self.cell, self.plan = cell, plan
        self.joined = products.joined(plan, cell)
        leaves, self.tree = jax.tree.flatten(cell)
        taken = {i for group in plan.groups for i in group}
        self.leaves, self.others = leaves, [i for i in range(len(leaves)) if i not in taken]

    def outer(
        self, x: Real[Array, "time batch *input"], length: Int[Array, ""]
    ) -> list[Float[Array, "time batch product"] | None]:
        """The products of all inputs (time, batch, input) at once, 0 after ``length``; None where the state decides."""
        use = (jnp.arange(len(x)) < length)[:, None, None]  # also of symbols (time, batch): their rows have units
        both = zip(self.plan.factors, self.joined, strict=True)
        return [jnp.where(use, dot(x, w), 0) if factor == INPUT else None for factor, w in both]

    def ahead(
        self,
        state: PyTree[Float[Array, "batch ..."]],
        x: Real[Array, "batch *input"],
        outer: list[Float[Array, "batch product"] | None],
    ) -> tuple[PyTree[Float[Array, "batch ..."]], list, list]:
        """The next state (batch, ...), the products on the way, and the factors that are not of the state."""

        def one(state: PyTree, x: Array, outer: list) -> tuple[PyTree, list, list]:
            seen: dict[int, tuple] = {}

            def product(g: int, h: Array) -> list:
                seen[g] = h, dot(h, self.joined[g]) if outer[g] is None else outer[g]
                return products.split(self.cell, self.plan.groups[g], seen[g][1])

            after = products.step(self.plan, self.cell, product, state, x)
            own = [None if factor is not None else seen[g][0] for g, factor in enumerate(self.plan.factors)]
            return after, [seen[g][1] for g in range(len(self.joined))], own

        return jax.vmap(one)(state, x, outer)

    def back(
        self, state: PyTree[Float[Array, "batch ..."]], x: Real[Array, "batch *input"], values: list
    ) -> Callable[[PyTree[Float[Array, "batch ..."]]], tuple[list, PyTree[Float[Array, "batch ..."]], list]]:
        """The way back through a step, of the error after it: gradients by other parameters, the state and products."""

        def after(others: list, state: PyTree, values: list) -> PyTree:
            leaves = list(self.leaves)
            for i, leaf in zip(self.others, others, strict=True):
                leaves[i] = leaf
            cell = jax.tree.unflatten(self.tree, leaves)

            def one(state: PyTree, x: Array, values: list) -> PyTree:
                def product(g: int, h: Array) -> list:
                    return values[g] if self.plan.factors[g] == INPUT else held(h, self.joined[g], values[g])

                return products.step(self.plan, cell, product, state, x)

            return jax.vmap(one)(state, x, values)

        both = zip(self.plan.groups, values, strict=True)
        parts = [products.split(self.cell, group, whole) for group, whole in both]
        return jax.vjp(after, [self.leaves[i] for i in self.others], state, parts)[1]

    def assembled(
        self, others: list, slopes: list, states: PyTree, own: list, x: Real[Array, "time batch *input"]
    ) -> Cell:
        """The gradient of the cell from those of its other parameters and of its products (time, batch, ...)."""
        leaves = list(self.leaves)
        for i, slope in zip(self.others, others, strict=True):
            leaves[i] = slope
        kept = [*jax.tree.leaves(states), x]  # so that INPUT, -1, is the last
        whole: list[jax.Array] = []
        for factor, mine, slope in zip(self.plan.factors, own, slopes, strict=True):
            h = mine if factor is None else kept[factor]
            whole.append(_products(h, slope, self.joined[len(whole)]))
        return products.apart(self.plan, self.cell, whole, jax.tree.unflatten(self.tree, leaves))


class Passage(NamedTuple):
    """Through time-first episodes (`chosen`) from a state that is given to the one after ``length`` steps.

    ``initial(model, batch) -> state``; ``gradient(model, episodes, state, length) -> (Score, gradient, state)``;
    ``evaluate`` the same without gradient.
    """

    initial: Callable
    gradient: Callable
    evaluate: Callable


def reverse(
    objective: Objective,
    start: float = 0.0,
    penalty: Penalty | None = None,
    truncate: Int[ArrayLike, ""] | int | None = None,
) -> Route:
    """The route of layers: back-propagation through ``length`` steps, from the states kept on the way.

    ``penalty`` adds its own gradient, term by term as the error passes each step (`landscape.training.penalties`).
    ``truncate``: errors stop after so many steps, counted from the last one, as if the state there were given; where
    there is an answer at every step, errors so go back at most that far, and one step at least. It may be traced, so
    that one program serves many.
    """
    if truncate is not None and not isinstance(truncate, jax.Array) and (not isinstance(truncate, int) or truncate < 1):
        raise ValueError(f"truncate must be a whole number of steps from 1 up, or None for all, given {truncate!r}")
    through = passage(objective, start, penalty, truncate)

    def gradient(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> tuple[Score, RNN]:
        return through.gradient(model, chosen(data, index, length), through.initial(model, len(index)), length)[:2]

    def evaluate(model: RNN, data: Episode, index: Int[Array, "batch"], length: Int[Array, ""]) -> Score:
        def block(index: Int[Array, "batch"]) -> Score:
            return through.evaluate(model, chosen(data, index, length), through.initial(model, len(index)), length)[0]

        return blockwise(block, index)

    return Route(gradient, evaluate)


def passage(
    objective: Objective,
    start: float = 0.0,
    penalty: Penalty | None = None,
    truncate: Int[ArrayLike, ""] | int | None = None,
) -> Passage:
    """What `reverse` does with one minibatch, open at both ends."""
    score = scorer(objective)

    def layer(model: RNN, state: PyTree, x: Array) -> _Layer:
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state, x))
        return _Layer(model.cell, products.plan(model.cell, *one))

    def initial(model: RNN, batch: int) -> PyTree[Float[Array, "batch ..."]]:
        spread = lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)).astype(_dtype(model))  # noqa: E731
        return jax.tree.map(spread, model.initial(start))

    def gradient(model: RNN, episodes: Episode, state: PyTree, length: Int[Array, ""]) -> tuple[Score, RNN, PyTree]:
        x, count = episodes.x, episodes.x.shape[1]
        cell = layer(model, state, x[0])
        outer = cell.outer(x, length)
        _, values, own = cell.ahead(state, x[0], _at(0, outer))
        moving, whole = parted(cell.back, state, x[0], values)
        needed = moving(state, x[0], values)
        first = _first(whole(needed), state)
        join, apart = _packing((state, own, needed))
        empty = _empty(len(x), join((state, own, needed)))

        def ahead(t: Int[Array, ""], carry: tuple) -> tuple:
            state, kept = carry
            after, values, own = cell.ahead(state, _at(t, x), _at(t, outer))
            return after, _put(t, kept, join((state, own, moving(state, _at(t, x), values))))

        state, kept = jax.lax.fori_loop(0, length, ahead, (state, empty))
        states, own, _ = apart(kept)
        loss, right, readout, error, errors = answered(model.readout, state, states, episodes, length)

        def behind(k: Int[Array, ""], carry: tuple) -> tuple:
            error, total, slopes, extra = carry
            t = length - 1 - k
            error = error if errors is None else jax.tree.map(jnp.add, error, _at(t, errors))
            others, earlier, parts = whole(apart(_at(t, kept))[2])(error)
            if penalty is not None:
                one = penalty.gradient(model.cell, _at(t, states), _at(t, x), error)
                extra = jax.tree.map(jnp.add, extra, one)
            if truncate is not None:
                cut = (k + 1) % truncate == 0
                earlier = jax.tree.map(lambda e: jnp.where(cut, 0, e), earlier)
            # Not over what was needed: a buffer that is read and written in one step is copied whole.
            slopes = _put(t, slopes, {g: jnp.concatenate(parts[g], -1) for g in first})
            return earlier, jax.tree.map(jnp.add, total, others), slopes, extra

        nothing = [jnp.zeros(jnp.shape(cell.leaves[i]), _dtype(model)) for i in cell.others]
        slopes = _empty(len(x), {g: values[g] for g in first})
        extra = None if penalty is None else penalty.nothing(model.cell)
        _, others, slopes, extra = jax.lax.fori_loop(0, length, behind, (error, nothing, slopes, extra))
        total = cell.assembled(others, [slopes[g] for g in first], states, own, x)
        total = jax.tree.map(lambda leaf: leaf / count, total)
        if penalty is not None:
            total = jax.tree.map(jnp.add, total, penalty.scaled(extra))
        return Score(loss, right), RNN(cell=total, readout=readout), state

    def answered(readout: PyTree, last: PyTree, states: PyTree, episodes: Episode, length: Int[Array, ""]) -> tuple:
        """Mean loss and share right, the readout's gradient, and the error that enters at the end or at every step.

        Errors are those of each episode's own loss, for the mean is taken over gradients.
        """
        if episodes.mask is None:
            across = jax.vmap(jax.value_and_grad(score, (0, 1), has_aux=True), (None, 0, 0))
            (loss, right), (slope, error) = across(readout, last, episodes.target)
            mean = lambda leaf: jnp.mean(leaf, 0)  # noqa: E731
            return mean(loss), mean(right), jax.tree.map(mean, slope), error, None
        after = jax.tree.map(lambda kept, end: _put(length - 1, jnp.roll(kept, -1, 0), end), states, last)
        both = jax.value_and_grad(
            lambda readout, states: weighed(score, readout, states, episodes), (0, 1), has_aux=True
        )
        (loss, right), (slope, errors) = both(readout, after)
        count = episodes.mask.shape[1]
        return loss, right, slope, jax.tree.map(jnp.zeros_like, last), jax.tree.map(lambda e: e * count, errors)

    def evaluate(model: RNN, episodes: Episode, state: PyTree, length: Int[Array, ""]) -> tuple[Score, PyTree]:
        x = episodes.x
        cell = layer(model, state, x[0])
        outer = cell.outer(x, length)
        step = lambda t, state: cell.ahead(state, _at(t, x), _at(t, outer))[0]  # noqa: E731
        if episodes.mask is None:
            state = jax.lax.fori_loop(0, length, step, state)
            each = jax.vmap(score, (None, 0, 0))(model.readout, state, episodes.target)
            return Score(*(jnp.mean(s) for s in each)), state
        blank = _empty(len(x), state)
        keep = lambda t, carry: (state := step(t, carry[0]), _put(t, carry[1], state))  # noqa: E731
        state, states = jax.lax.fori_loop(0, length, keep, (state, blank))
        return Score(*weighed(score, model.readout, states, episodes)), state

    return Passage(initial, gradient, evaluate)
