"""The models of a training run in a store that grows: one row of parameters for each step that is kept."""

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.tree_util import DictKey, keystr
from jaxtyping import Float, Int, PyTree

from landscape import store
from landscape.blocks import Json
from landscape.directions.base import floats


class Trajectory(NamedTuple):
    """Models along training: ``steps`` (step,), and a pytree like the model whose leaves have a leading axis (step,).

    Integers, flags and random keys are those of the last model: they are not recorded.
    """

    steps: Int[np.ndarray, "step"]
    models: PyTree


class record:
    """A recorder of models: ``with record("path.zarr") as keep: ... keep(step, params)`` in any training loop.

    Every model kept survives any kill. A store that is there already is gone on with: a step that it holds is passed
    over if the model is the same, so that a run begun again goes through. Parameters are kept as they are, those in
    half precision as float32. Raises ValueError for another model at a step that is held, for a step before the last,
    and StoreError for a store of another model.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._held = contextlib.ExitStack()
        self._recorder: store.Recorder | None = None

    def __enter__(self) -> "record":
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.close()

    def __call__(self, step: int, params: PyTree) -> None:
        """Keep ``params`` as the model after ``step`` updates."""
        step, row = int(step), _row(params)
        recorder = self._recorder or self._begin(params, row)
        if step in recorder.values:
            there = recorder.variables["parameters"][recorder.values.index(step)]
            if not np.array_equal(there, row, equal_nan=True):
                raise ValueError(f"{self.path} holds another model at step {step}; give another path to another run")
            return
        recorder.append(step, {"parameters": row})

    @property
    def steps(self) -> list[int]:
        """The steps that are kept."""
        return list(self._recorder.values) if self._recorder else []

    def _begin(self, params: PyTree, row: Float[np.ndarray, "number"]) -> store.Recorder:
        numbers = {"number": np.arange(len(row))}
        made = store.Recorder(self.path, "step", numbers, {"parameters": str(row.dtype)}, {"leaves": _leaves(params)})
        self._recorder = self._held.enter_context(made)
        return made


def _row(params: PyTree) -> Float[np.ndarray, "number"]:
    """All numbers that can move, leaf after leaf."""
    moving = [leaf for leaf in jax.tree.leaves(params) if floats(leaf)]
    if not moving:
        raise ValueError("the model has no parameters of floating point, so there is no path to record")
    double = any(np.asarray(leaf).dtype == np.float64 for leaf in moving)
    return np.concatenate([np.asarray(leaf, np.float64 if double else np.float32).ravel() for leaf in moving])


def _leaves(params: PyTree) -> list[dict[str, Json]]:
    """What is known of every leaf that can move: where it stands, its shape and dtype."""
    found = [(path, leaf) for path, leaf in jax.tree.leaves_with_path(params) if floats(leaf)]
    return [
        {
            "at": [key.key if isinstance(key, DictKey) and isinstance(key.key, str) else None for key in path],
            "name": keystr(path, simple=True, separator="."),
            "shape": list(np.shape(leaf)),
            "dtype": str(np.asarray(leaf).dtype),
        }
        for path, leaf in found
    ]


def read(path: Path | str, like: PyTree = None) -> Trajectory:
    """The trajectory that `record` kept at ``path``, in memory.

    ``like`` is a model of the same structure. Dictionaries of dictionaries, such as Flax's, need none. Raises
    StoreError for what is no trajectory, ValueError where ``like`` is needed or is another model.
    """
    ds = store.open_surface(path)
    if "parameters" not in ds or not ds.sizes["step"]:
        raise store.StoreError(f"{path} holds no trajectory; landscape.trajectories.record writes one")
    about = json.loads(ds.attrs["settings"])["leaves"]
    with store.damage(path):
        rows = ds["parameters"].values
    ends = np.cumsum([int(np.prod(leaf["shape"])) for leaf in about])
    parts = np.split(rows, ends[:-1], axis=1)
    leaves = [part.reshape(len(rows), *leaf["shape"]) for part, leaf in zip(parts, about, strict=True)]
    return Trajectory(ds["step"].values, _nested(path, about, leaves) if like is None else _as(like, about, leaves))


def _nested(path: Path | str, about: list[dict[str, Json]], leaves: list[np.ndarray]) -> dict:
    """Dictionaries of dictionaries."""
    made: dict[str, PyTree] = {}
    for leaf, values in zip(about, leaves, strict=True):
        if None in leaf["at"] or not leaf["at"]:
            raise ValueError(f"the model of {path} is no dictionary of parameters; give one of its models as like=")
        *folders, last = leaf["at"]
        inner = made
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = values
    return made


def _as(like: PyTree, about: list[dict[str, Json]], leaves: list[np.ndarray]) -> PyTree:
    """The structure of ``like``, each leaf with a leading axis; what cannot move is repeated."""
    if (given := _leaves(like)) != about:
        other = next((leaf for leaf in given if leaf not in about), about[-1])
        raise ValueError(f"like= is another model than was recorded: {other['name']} of shape {tuple(other['shape'])}")
    held = iter(leaves)
    repeated = lambda leaf: np.stack([np.asarray(leaf)] * len(leaves[0]))  # noqa: E731
    return jax.tree.map(lambda leaf: next(held) if floats(leaf) else repeated(leaf), like)
