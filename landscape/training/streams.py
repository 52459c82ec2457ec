"""Training on long sequences, slice by slice: the state goes on from one slice to the next, its gradient does not."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PyTree, Real

from landscape import losses
from landscape.tasks import Episode, time_first
from landscape.training import checks
from landscape.training import steps as updates
from landscape.training.backward import Passage, passage
from landscape.training.fitting import Fit, Pause, Record, outline
from landscape.training.scores import Score
from landscape.training.steps import Seen, State


def stream(
    model: PyTree,
    data: Episode,
    optimiser: optax.GradientTransformation,
    objective: losses.Objective = losses.classes,
    *,
    steps: int,
    validation: Episode,
    epochs: int = 1,
    start: float = 0.0,
    watch: Callable[[State], PyTree] = lambda state: (),
    resume: Fit | None = None,
) -> Fit:
    """Train on a few long sequences side by side, ``steps`` of each an update, with the state carried on.

    ``data``: an `Episode` of long sequences, x (sequence, time, ...), with a target and a weight at every step, such as
    ``data.next_symbols(symbols, len(symbols) // 33)`` of 32. What fills no slice at their ends sits out. Each of
    ``epochs`` begins at the beginning, from the state ``start``. ``validation``: the same, scored in one go after each
    epoch. Returns what `landscape.training.fit` does; ``watch`` sees the state after every update. ``resume``: what a
    stream returned, after which these epochs are further ones, bit for bit as if it had not ended; ``model`` is then
    of no account.

    Errors go back to the beginning of a slice, at most ``steps`` steps (BPTT(h; h) of Williams & Peng 1990).
    Raises ValueError for sequences shorter than a slice, without a mask, or where `fit` would.
    """
    model = checks.model_and_optimiser(jax.random.key(0), model, optimiser)
    given, asked = checks.episodes(data, model), checks.episodes(validation, model, "validation")
    if given.mask is None or asked.mask is None:
        raise ValueError(
            "a stream is asked at every step, so its episodes, and those to validate on, need a mask; give "
            "np.ones(x.shape[:2])"
        )
    slices, judged = _slices(given, steps), time_first(asked)
    checks.fits(model, judged, objective)
    for each in (slices, judged):
        checks.labels(model, each, objective)
    if epochs < 1:
        raise ValueError(f"training needs 1 epoch or more, given {epochs}")
    if resume is not None and (not isinstance(resume, Fit) or resume.pause == ()):
        raise ValueError("resume takes what stream has returned")
    dtype = checks.dtype(model, given)
    begun = updates.begun(optimiser, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model))
    if resume is not None and outline(resume.pause.state) != outline(begun):
        raise ValueError("what is resumed is of another model or optimiser; give what its stream was given")
    return _run(
        begun if resume is None else resume.pause.state,
        slices,
        judged,
        optimiser,
        passage(objective, start),
        epochs,
        watch,
    )


def _slices(data: Episode, size: int) -> Episode:
    """Time-first slices (slice, time, sequence, ...) of long sequences."""
    time = data.x.shape[1]
    count = time // size if isinstance(size, int | np.integer) and size > 0 else 0
    if count == 0:
        raise ValueError(f"the sequences have {time} steps, too few for one slice of {size}; give longer ones")
    cut = lambda leaf: leaf[: count * size].reshape(count, size, *leaf.shape[1:])  # noqa: E731
    return jax.tree.map(cut, time_first(data))


def _run(
    state: State,
    slices: Episode,
    judged: Episode,
    optimiser: optax.GradientTransformation,
    through: Passage,
    epochs: int,
    watch: Callable,
) -> Fit:
    """Epochs of updates, one for each slice, as a scan of scans."""

    def update(carry: tuple[State, PyTree], one: Episode) -> tuple[tuple[State, PyTree], tuple[Seen, PyTree]]:
        state, cells = carry
        score, slope, cells = through.gradient(state.model, _weighed(one), cells, _steps(one.x))
        state, norm = updates.moved(optimiser, state, slope)
        return (state, cells), (Seen(score, norm), watch(state))

    def epoch(state: State, _: None) -> tuple[State, tuple[Record, PyTree]]:
        cells = through.initial(state.model, slices.x.shape[2])
        (state, _), (seen, watched) = jax.lax.scan(update, (state, cells), slices)
        begin, time = through.initial(state.model, judged.x.shape[1]), _steps(judged.x)
        after: Score = through.evaluate(state.model, _weighed(judged), begin, time)[0]
        mean = jnp.mean
        record = Record(mean(seen.score.loss), mean(seen.score.accuracy), jnp.max(seen.gradient_norm), *after)
        return state, (record, watched)

    state, (record, watched) = jax.lax.scan(epoch, state, length=epochs)
    return Fit(state.model, record, jnp.int32(epochs), state.nonfinite, watched, Pause(state, (), (), ()))


def _steps(x: Real[Array, "time ..."]) -> Int[Array, ""] | int:
    """How many there are; an accelerator's compiler knows it, or its host would be asked after every one of them."""
    return jnp.int32(len(x)) if jax.default_backend() == "cpu" else len(x)


def _weighed(episodes: Episode) -> Episode:
    """Weights of each sequence that sum to 1; a slice without any weighs nothing."""
    total = jnp.sum(episodes.mask, 0, keepdims=True)
    return Episode(x=episodes.x, target=episodes.target, mask=episodes.mask / jnp.where(total > 0, total, 1))
