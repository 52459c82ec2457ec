"""Training one model on one data set. Pure, and written for one run: map it over whatever varies between runs."""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from landscape import losses
from landscape.engine import routes
from landscape.kernels.lanes import Unfusable
from landscape.models import RNN
from landscape.tasks import Episode, time_first
from landscape.training import checks, gradients, steps
from landscape.training.gradients import Route
from landscape.training.noise import Noise, noisy
from landscape.training.splits import Split, last, permutation
from landscape.training.steps import Seen, State

NOISE = 2**32 - 1  # what the key of noise is folded with; no epoch has this number


class Record(NamedTuple):
    """One epoch: mean over its minibatches, the largest gradient norm among them, and validation after it.

    With a split of three parts also the test after it, which nothing is chosen by; else ().
    """

    loss: Float[Array, "*run epoch"]
    accuracy: Float[Array, "*run epoch"]
    gradient_norm: Float[Array, "*run epoch"]
    val_loss: Float[Array, "*run epoch"]
    val_accuracy: Float[Array, "*run epoch"]
    test_loss: PyTree[Float[Array, "*run epoch"]] = ()
    test_accuracy: PyTree[Float[Array, "*run epoch"]] = ()


class Stop(NamedTuple):
    """Stop after ``patience`` epochs in which ``monitor(record)`` has not fallen by more than ``min_delta``.

    With ``restore`` the model that is returned is that of the epoch with the best mark, not of the last.
    """

    patience: int
    min_delta: float = 0.0
    monitor: Callable[[Record], Float[Array, ""]] = lambda record: record.val_loss
    restore: bool = False


class Pause(NamedTuple):
    """Where training stands between two epochs: all it needs to go on as if it had never paused.

    ``wait`` epochs have not beaten the ``best`` mark, which the model ``kept`` has set (`Stop`).
    """

    state: State
    wait: PyTree[Int[Array, "*run"]]
    best: PyTree[Float[Array, "*run"]]
    kept: PyTree


class Fit(NamedTuple):
    """What training leaves: the model, records (epoch,) that are NaN after an early stop, and what happened.

    ``epochs`` were run; ``nonfinite`` is the first update whose gradient was not finite, -1 if there was none;
    ``watched`` (epoch, update, ...) is what the watch saw; ``pause`` is where training can go on.
    """

    model: PyTree
    record: Record
    epochs: Int[Array, "*run"]
    nonfinite: Int[Array, "*run"]
    watched: PyTree = ()
    pause: PyTree = ()

    @property
    def best(self) -> Int[Array, "*run"]:
        """The epoch, from 0, with the least validation loss: ``record.test_accuracy[fit.best]`` is what to report."""
        xp = np if isinstance(self.record.val_loss, np.ndarray) else jnp  # nothing to compile for what is known
        return xp.argmin(xp.where(xp.isnan(self.record.val_loss), xp.inf, self.record.val_loss), -1)


class Drawn(NamedTuple):
    """The data of one epoch, time first: indices into ``episodes`` to train on, into ``judged`` to validate on.

    ``test``: those of ``judged`` to test on, or None.
    """

    episodes: Episode
    train: Int[Array, "train"]
    judged: Episode
    validation: Int[Array, "validation"]
    test: Int[Array, "test"] | None = None


def fit(
    key: Key[Array, ""],
    model: PyTree,
    data: Episode | Callable[[Key[Array, ""]], Episode],
    optimiser: optax.GradientTransformation,
    objective: losses.Objective = losses.softmax,
    *,
    split: Split | None = None,
    validation: Episode | None = None,
    epochs: int = 5,
    until: Int[Array, ""] | int | None = None,
    batch: int = 16,
    length: Int[Array, ""] | int | None = None,
    start: float = 0.0,
    route: Callable[..., Route] | None = None,
    noise: Noise | None = None,
    stop: Stop | None = None,
    watch: Callable[[State], PyTree] | None = None,
    resume: Fit | None = None,
) -> Fit:
    """Train ``model`` for ``epochs`` of minibatches, reshuffled each time, and validate after each.

    ``data``: episodes as `landscape.tasks.episodes` stacks them, x (episode, time, ...), arrays of JAX or NumPy; or a
    function of a key that draws a new set for each epoch. With a mask (episode, time) there is a target at every step,
    and an episode's loss and share of right answers are weighted means over its steps. ``validation``: episodes of
    one's own; else ``split`` sets some of the data aside, `last` unless given. If it sets a third part aside, to test
    on, the record has ``test_loss`` and ``test_accuracy``, to be read at the epoch `Fit.best`. ``length``: steps to
    compute, all by default; it may be traced, so that one program serves all lengths. ``start``: h before the first
    step. ``route``: how gradients are computed, `gradients.default` unless given. ``noise(key, model)``: the model that
    an update sees, such as `dropout` makes; validation sees the model itself. Episodes that fill no minibatch sit an
    epoch out. To clip, chain `optax.clip_by_global_norm` or `optax.clip` before the optimiser.

    ``watch(state)`` is called after every update, and what it returns is stacked in ``watched``. ``until`` pauses after
    that many of the ``epochs``; ``resume`` goes on from what a paused or a shorter fit returned, bit for bit as if it
    had never paused. `checkpointed` does so from a file.

    All but the functions and sizes may be mapped by `jax.vmap`: key, model, data, a learning rate in ``optimiser``.
    Raises ValueError for shapes that do not fit, a batch larger than the training set, or an empty validation set.
    """
    model = checks.model_and_optimiser(key, model, optimiser)
    draw = _drawing(data, model, split, validation)
    ready = None if callable(data) else draw(key)
    shape = jax.eval_shape(draw, key)
    tested = None if shape.test is None else len(shape.test)
    checks.sizes(epochs, batch, len(shape.train), len(shape.validation), tested)
    checks.fits(model, shape.episodes, objective)
    for given in (ready.episodes, ready.judged) if ready else ():
        checks.labels(model, given, objective)
    dtype, updates = checks.dtype(model, shape.episodes), len(shape.train) // batch
    length = checks.steps(length, len(shape.episodes.x))
    model = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model)
    gradient, evaluate = (route or gradients.default(model))(objective, start)
    one = gradients.one_unit(model)
    launch = _launch(objective, start, optimiser, by=route or noise, watch=watch, one=one)
    gradient = noisy(gradient, noise, jax.random.fold_in(key, NOISE))
    step, watch = steps.step(gradient, optimiser), watch or _nothing

    def epoch(number: Int[Array, ""], state: State) -> tuple[State, Record, PyTree]:
        drawn = ready or draw(jax.random.fold_in(key, 2 * number + 2))
        order = drawn.train[permutation(jax.random.fold_in(key, 2 * number + 3), len(drawn.train))]

        def update(state: State, index: Int[Array, "batch"]) -> tuple[State, tuple[Seen, PyTree]]:
            state, seen = step.update(state, state.step, drawn.episodes, index, length)
            return state, (seen, watch(state))

        batches = order[: updates * batch].reshape(updates, batch)
        try:
            state, seen = launch(state, drawn.episodes, batches, length)
            watched: PyTree = ()
        except Unfusable:
            state, (seen, watched) = jax.lax.scan(update, state, batches)
        parts = [drawn.validation] if drawn.test is None else [drawn.validation, drawn.test]
        after = [score for part in parts for score in evaluate(state.model, drawn.judged, part, length)]
        loss, accuracy = (jnp.mean(each) for each in seen.score)
        return state, Record(loss, accuracy, jnp.max(seen.gradient_norm), *after), watched

    def go_on(so_far: Fit) -> Bool[Array, ""]:
        more = so_far.epochs < (epochs if until is None else jnp.minimum(until, epochs))
        return more if stop is None else more & (so_far.pause.wait < stop.patience)

    def body(so_far: Fit) -> Fit:
        number, pause = so_far.epochs, so_far.pause
        state, record, watched = epoch(number, pause.state)
        seen = jax.tree.map(
            lambda all, one: all.at[number].set(one), (so_far.record, so_far.watched), (record, watched)
        )
        pause = _judged(stop, record, pause._replace(state=state))
        model = pause.kept if stop and stop.restore else state.model
        return Fit(model, seen[0], number + 1, state.nonfinite, seen[1], pause)

    begun = steps.begun(optimiser, model)
    watched = jax.eval_shape(watch, begun)
    number: Any = jax.ShapeDtypeStruct((), dtype)
    blank = Fit(
        model=model,
        record=_blank(Record(*[number] * (5 if shape.test is None else 7)), epochs),
        epochs=begun.step,
        nonfinite=begun.nonfinite,
        watched=_blank(watched, epochs, updates),
        pause=_unjudged(stop, begun, dtype),
    )
    return jax.lax.while_loop(go_on, body, blank if resume is None else _resumed(resume, blank))


def _launch(
    objective: losses.Objective,
    start: float,
    optimiser: optax.GradientTransformation,
    by: Callable | None,
    watch: Callable | None,
    one: bool,
) -> Callable[..., tuple[State, Seen]]:
    """The updates of an epoch as one launch (`landscape.kernels.epochs`); a call raises Unfusable if there is none."""
    why = routes.hindrance()
    if by is not None or not one:
        why = why or "gradients of layers, of noisy models or by a route of one's own are no kernel"
    if watch is not None:
        why = why or "what is watched after every update is no kernel"
    if not why:
        from landscape.kernels.epochs import epoch

        return epoch(objective, start, optimiser, routes.interpreting())

    def refused(*_: object) -> NoReturn:
        raise Unfusable(why)

    return refused


def _nothing(_: State) -> tuple:
    return ()


def _drawing(
    data: Episode | Callable, model: RNN, split: Split | None, validation: Episode | None
) -> Callable[[jax.Array], Drawn]:
    """What an epoch is drawn by, from a key."""
    if split is not None and validation is not None:
        raise ValueError("give either split, which sets data aside to validate on, or validation, a set of its own")
    judged = None if validation is None else time_first(checks.episodes(validation, model, "validation"))
    split = split or last()

    def draw(key: jax.Array) -> Drawn:
        own = data(jax.random.fold_in(key, 0)) if callable(data) else data
        own = checks.episodes(own, model, "what data(key) draws" if callable(data) else "data")
        episodes = time_first(own)
        if judged is None:
            train, *kept = split(jax.random.fold_in(key, 1), own.target)
            return Drawn(episodes, train, episodes, *kept)
        if _one(judged) != _one(episodes):
            raise ValueError(
                f"an episode of validation has {_one(judged)}, one of data {_one(episodes)}; make them alike"
            )
        return Drawn(episodes, jnp.arange(episodes.x.shape[1]), judged, jnp.arange(judged.x.shape[1]))

    return draw


def _one(episodes: Episode) -> str:
    """One of time-first episodes in words: its shapes and dtypes."""
    drop = lambda leaf, axis: jax.ShapeDtypeStruct((*leaf.shape[:axis], *leaf.shape[axis + 1 :]), leaf.dtype)  # noqa: E731
    timed = 0 if episodes.mask is None else 1
    rest = jax.tree.map(lambda leaf: drop(leaf, timed), (episodes.target, episodes.mask))
    return ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves((drop(episodes.x, 1), rest)))


def _unjudged(stop: Stop | None, begun: State, dtype: jnp.dtype) -> Pause:
    """Before the first epoch; empty but for the state if nothing stops training early."""
    if stop is None:
        return Pause(begun, (), (), ())
    return Pause(begun, jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf, dtype), begun.model if stop.restore else ())


def _judged(stop: Stop | None, record: Record, pause: Pause) -> Pause:
    """After an epoch: whether it has beaten the best mark, and for how many epochs none has."""
    if stop is None:
        return pause
    mark = stop.monitor(record)
    better = mark < pause.best - stop.min_delta
    keep = lambda new, old: jnp.where(better, new, old)  # noqa: E731
    kept = jax.tree.map(keep, pause.state.model, pause.kept) if stop.restore else ()
    return Pause(pause.state, jnp.where(better, 0, pause.wait + 1), keep(mark, pause.best), kept)


def _blank(shapes: PyTree, *axes: int) -> PyTree:
    """Arrays of these shapes behind leading ``axes``, NaN where numbers can be, else 0."""

    def one(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.full((*axes, *leaf.shape), jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0, leaf.dtype)

    return jax.tree.map(one, shapes)


def _resumed(before: Fit, blank: Fit) -> Fit:
    """``before`` with records as long as those of ``blank``; ValueError if it is of another training."""
    if not isinstance(before, Fit) or before.pause == ():
        raise ValueError("resume takes what fit has returned")
    ran, total = len(before.record.loss), len(blank.record.loss)
    there, here = ((outline(fit.pause), outline((fit.record, fit.watched), 1)) for fit in (before, blank))
    if ran > total or there != here:
        raise ValueError(
            f"what is resumed is of another model, optimiser, stop, split, batch or watch, or of more than these "
            f"{total} epochs ({ran}); give what its fit was given, and as many epochs or more"
        )
    fill = lambda one, other: other.at[:ran].set(one)  # noqa: E731
    record, watched = jax.tree.map(fill, (before.record, before.watched), (blank.record, blank.watched))
    return before._replace(record=record, watched=watched)


def outline(tree: PyTree, axes: int = 0) -> tuple:
    """What two trees that can stand for each other have alike, behind the first ``axes`` of every leaf."""
    leaves = jax.tree.leaves(tree)
    return jax.tree.structure(tree), [(jnp.shape(leaf)[axes:], jnp.result_type(leaf)) for leaf in leaves]
