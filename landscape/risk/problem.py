"""The problem of any model and a data set: the mean loss of a model's answers, with its derivatives on a plane.

``R(params) = 1/N sum_i loss(predict(params, x)_i, y_i)``. Data lie outermost: they go by once for a block of points,
and each batch is asked at one point after the other, so that memory grows neither with points nor with data.
Derivatives go forward along the coordinates, so that no more than a few tangents of a batch are held; gradients through
convolutions, where that takes five thirds of the time, go backward (`landscape.risk.ways`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, PyTree

from landscape import losses, specs
from landscape.blocks import Json
from landscape.engine.evaluator import cast
from landscape.engine.problem import Problem, checked_dtype, checked_lengths, checked_order, derivatives, whole
from landscape.losses import Objective, classes
from landscape.planes import Affine
from landscape.risk.batches import Batch, Batches
from landscape.risk.score import Batchwise, Predict, Score, ahead, each, other_way, total


@dataclasses.dataclass(frozen=True, eq=False)
class Risk(Problem):
    """The mean loss of ``predict``'s answers over all of ``data``, with its derivatives up to ``order``.

    ``predict(params, inputs (example, ...)) -> answers (example, ...)`` is a pure function, such as ``model.apply`` of
    Flax; ``objective`` judges one answer by its target. ``data`` is ``(inputs, targets)``, arrays with an example along
    the first axis, or a function that yields such pairs anew whenever it is called: by several threads, once for each
    block of points and once before. At most ``batch`` examples are asked at one time.

    With ``lengths`` answers are (example, time, ...), and entry L is the loss of the answer after step L: a surface
    then has a dimension ``length``. Without, it has the dimensions of its plane alone.

    Noise is ``predict``'s own: a key that it closes over gives the same noise at every point. ``policy`` says in words,
    which are stored, how an answer depends on the other examples of its batch, such as "batch statistics" of a batch
    norm; unless it is stated, they must not, and one sentence says so. With a policy no batch is filled up.

    Sums over a batch are pairwise in ``dtype``, which is that of coordinates and results (float32 if None), and sums
    over batches in float64. Integers, keys and half precision, of the model and of data, keep their dtype. Across a
    kink of a ReLU the Hessian is that of the smooth pieces. Raises ValueError or TypeError for what cannot be asked.
    """

    predict: Predict
    data: PyTree = None
    objective: Objective = classes
    batch: int = 256
    lengths: Sequence[int] | None = None
    order: int = 1
    policy: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.predict):
            raise TypeError(f"predict must be a function of parameters and inputs, given {self.predict!r}")
        if not isinstance(self.objective, Objective):
            raise TypeError(f"objective must be a landscape.losses.Objective such as classes, given {self.objective!r}")
        if not isinstance(self.policy, str | None):
            raise TypeError(f"policy must be words that say how examples depend on each other, given {self.policy!r}")
        try:
            hash(self.predict)
        except TypeError:
            raise TypeError(
                f"predict must be hashable, so that programs are shared, given {called(self.predict)}: such a "
                f"dataclass is made so by @dataclass(frozen=True)"
            ) from None
        put = functools.partial(object.__setattr__, self)
        put("batch", whole(self.batch, "batch", 1))
        put("lengths", None if self.lengths is None else tuple(checked_lengths(self.lengths).tolist()))
        put("order", checked_order(self.order))
        put("dtype", checked_dtype(self.dtype))
        put("data", self._batches())

    def _batches(self) -> Batches:
        """The data in batches; a risk that asks for more of the same keeps what is known of them."""
        held = self.data if isinstance(self.data, Batches) else None
        made = Batches(held.data if held else self.data, self.batch, self.precision, self.policy is None)
        return held if held and held.same(made) else made

    def __call__(self, params: PyTree) -> Float[np.ndarray, "*length"]:
        """The mean loss of one model, () or (length,): that of every plane through it, bit for bit."""
        leaves = jax.tree.map(lambda leaf: cast(leaf, self.precision), params)
        with jax.enable_x64(self.precision == "float64"):
            sums = [jax.device_get(total(self.score, leaves, batch)) for batch in self.data]
        return (np.sum(sums, axis=0, dtype=np.float64) / self.data.examples).astype(self.precision)

    @property
    def score(self) -> Score:
        lengths = None if self.lengths is None else tuple(self.lengths)
        return Score(self.predict, self.objective.loss, lengths)

    @property
    def kernel(self) -> Batchwise:
        return Batchwise(self.score, self.order)

    def parts(self, data: Batches) -> Iterator[Batch]:
        return iter(data)

    def joined(
        self, parts: Iterable[list[Float[np.ndarray, "row point"]]], names: Sequence[str]
    ) -> list[Float[np.ndarray, "row point"]]:
        """Means from the sums over batches, added up in float64, and the log of the gradient's norm."""
        sums: list = []
        with np.errstate(all="ignore"):  # inf and NaN are results; 0 / 0 where nothing but the program was asked for
            for rows in parts:
                sums = [np.add(s, r, dtype=np.float64) for s, r in zip(sums or [0.0] * len(rows), rows, strict=True)]
            means = [rows / sums[-1] for rows in sums[:-1]]
            if self.order > 0:
                at = list(names).index("log10_gradient")
                means.insert(at, log10_norm(np.stack(means[1:at])))
            return [rows.astype(self.precision) for rows in means]

    @property
    def leading(self) -> dict[str, Int[np.ndarray, "length"]]:
        return {} if self.lengths is None else {"length": np.asarray(self.lengths, np.int32)}

    @property
    def width(self) -> int:
        return 0  # points go one by one: side by side they take far more memory and no less time

    @property
    def steps(self) -> int:
        return self.data.examples

    @property
    def least(self) -> int:
        return 64

    @property
    def settings(self) -> dict[str, Json]:
        about = {
            "cell": {"name": called(self.predict), "options": {}},
            "examples": self.data.examples,
            "data": self.data.digest,
            "predict": specs.of_function(self.predict),
            "objective": judge(self.objective),
            "batch": self.batch,
            "policy": self.policy,
            "order": self.order,
            "dtype": self.precision,
        }
        lengths = {} if self.lengths is None else {"lengths": list(self.lengths)}
        return {**about, **lengths, **specs.source("predict", self.predict, self.objective.loss)}

    @property
    def name(self) -> str:
        return f"{self.data.examples:,} examples"

    def variables(self, coordinates: Sequence[str]) -> list[str]:
        return derivatives(coordinates, self.order)

    def labels(self) -> dict[str, dict[str, str]]:
        return {"length": {"long_name": "sequence length", "units": "steps"}} if self.lengths else {}

    def admit(self, affine: Affine) -> Affine:
        """Raise before anything is compiled unless every example has an answer, and its answer a loss."""
        with jax.enable_x64(self.precision == "float64"):
            point = np.zeros(len(affine.directions), self.precision)
            batch = self.data.first
            params = affine.at(list(point))
            self._check_answers(jax.eval_shape(self.predict, params, batch.inputs), len(batch.weights))
            self._check_losses(params, batch)
            self._check_slope(affine, batch)
        return affine

    def _check_answers(self, answers: PyTree, count: int) -> None:
        """TypeError unless there is an answer to every example, at every length asked."""
        shapes = [leaf.shape for leaf in jax.tree.leaves(answers)]
        words, name = ", ".join(map(str, shapes)) or "none", called(self.predict)
        if not shapes or any(shape[:1] != (count,) for shape in shapes):
            raise TypeError(
                f"{name} must return an answer to every example, an array ({count}, ...) for {count} inputs; "
                f"it returns {words}: leave means and losses to the objective"
            )
        if self.lengths and any(len(shape) < 2 or shape[1] < self.lengths[-1] for shape in shapes):
            raise TypeError(
                f"lengths up to {self.lengths[-1]} need answers after as many steps, (example, time, ...); {name} "
                f"returns {words}"
            )

    def _check_losses(self, params: PyTree, batch: Batch) -> None:
        """Raise unless the loss of an answer is one number, and is the same whatever the other examples."""
        ask = functools.partial(each, self.score, params)
        try:
            losses = jax.eval_shape(ask, *batch[:2])
        except (TypeError, ValueError) as error:
            shapes = [leaf.shape[1:] for leaf in jax.tree.leaves(jax.eval_shape(self.predict, params, batch.inputs))]
            reason = str(error).splitlines()[0]
            raise TypeError(
                f"the objective cannot judge answers of shape {', '.join(map(str, shapes))} to an example"
                f"{' (the first axis is time, since lengths are asked)' if self.lengths else ''}: {reason}"
            ) from error
        expected = (*(() if self.lengths is None else (len(self.lengths),)), len(batch.weights))
        if getattr(losses, "shape", None) != expected:
            raise TypeError(f"the objective must make one number of an answer and its target, it makes {losses}")
        if self.policy is not None or (half := len(batch.weights) // 2) < 1:
            return
        twice = np.arange(2 * half) % half
        other = jax.tree.map(lambda leaf: np.concatenate([leaf[twice], leaf[2 * half :]]), batch[:2])
        here, there = (np.asarray(ask(*some), np.float64)[..., :half] for some in (batch[:2], other))
        if not np.allclose(here, there, rtol=np.finfo(self.precision).eps ** 0.5, equal_nan=True):
            raise ValueError(
                f"the losses of {called(self.predict)} depend on which other examples are in the batch, as batch norm "
                "by the batch's statistics makes them: use frozen statistics, or state the policy, such as "
                "policy='batch statistics', which is stored with the result"
            )

    def _check_slope(self, affine: Affine, batch: Batch) -> None:
        """TypeError where derivatives go forward through a part that has them in reverse mode alone."""
        if self.order == 0 or self.kernel.backward(affine, batch):
            return
        point = np.zeros(len(affine.directions), self.precision)
        forward = functools.partial(ahead, self.score, 1)
        if "custom_lin" in str(jax.make_jaxpr(forward)(affine, point, batch)):  # JAX itself says so once it compiles
            asked, less = ("every length needs", 0) if self.lengths else ("Hessians need", 1)
            raise TypeError(
                f"a part of {called(self.predict)} has a derivative in reverse mode alone (jax.custom_vjp), and "
                f"{asked} it forward: give that part by jax.custom_jvp or in plain JAX, or ask for order={less}"
            )

    def again(self, affine: Affine, point: Float[np.ndarray, "coordinate"]) -> float:
        """The mean of every example's loss, without loops or tangents, at the longest length."""
        return float(np.ravel(self._mean(affine.at(list(point))))[-1])

    def derived(self, affine: Affine, point: Float[np.ndarray, "coordinate"], names: Sequence[str]) -> dict[str, float]:
        """``d'g`` and ``d'Hd`` by the other mode, reverse but for convolutions; nothing where the model has none."""
        kept = [name for name in names if name not in ("loss", "log10_gradient")]
        if not kept:
            return {}
        try:
            parts = [jax.device_get(other_way(self.kernel, affine, point, batch)) for batch in self.data]
        except (TypeError, ValueError, NotImplementedError):
            return {}
        sums = np.sum(np.asarray(parts, np.float64), axis=0) / self.data.examples
        return dict(zip(kept, sums.tolist(), strict=True))

    def _mean(self, params: PyTree) -> Float[np.ndarray, "*length"]:
        """Every example's loss, averaged in float64."""
        total = 0.0
        for inputs, targets, weights in self.data:
            losses = np.asarray(each(self.score, params, inputs, targets), np.float64)
            total = total + np.sum(losses[..., weights > 0], axis=-1)
        return np.asarray(total) / self.data.examples


def log10_norm(slopes: Float[np.ndarray, "coordinate row point"]) -> Float[np.ndarray, "row point"]:
    """``log10 |(g_k)_k|``, also where squares would leave the range; -inf where all are 0."""
    top = np.max(np.abs(slopes), axis=0)
    size = np.where((top > 0) & np.isfinite(top), top, 1)
    return np.log10(np.linalg.norm(slopes / size, axis=0)) + np.log10(size)


def called(predict: Callable) -> str:
    """What a function is called, or the model whose method it is."""
    owner = getattr(predict, "__self__", None)
    return type(owner).__name__ if owner is not None else getattr(predict, "__name__", type(predict).__name__)


def judge(objective: Objective) -> str:
    """The name of an objective of this package, or a fingerprint of one's own."""
    known = [name for name, value in vars(losses).items() if value is objective]
    return known[0] if known else specs.of_function(objective.loss)
