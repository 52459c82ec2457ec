"""Arrays as episodes to train on and as tasks for surfaces."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, Shaped

from landscape import losses, specs
from landscape.blocks import Json
from landscape.extras import needed
from landscape.tasks import Episode, Task


def digits() -> tuple[Float[np.ndarray, "image row column"], Int[np.ndarray, "image"]]:
    """The 1,797 images of handwritten digits, 8 x 8 in [0, 1], in scikit-learn's wheel (extra ``data``); not MNIST."""
    found = needed("sklearn.datasets", "data", "digits are brought").load_digits()
    return (found.images / 16).astype(np.float32), found.target.astype(np.int32)


def scan_order(
    images: Real[np.ndarray, "image row column"], rows: bool = False, order: Int[np.ndarray, "time"] | None = None
) -> Float[np.ndarray, "image time input"]:
    """Images as sequences: a pixel a step, or a row with ``rows``; ``order`` permutes the pixels of all alike."""
    images = np.asarray(images, np.float32)
    if images.ndim != 3:
        raise ValueError(f"images must be (image, row, column), given {images.shape}")
    if rows:
        return images
    flat = images.reshape(len(images), -1, 1)
    if order is not None and not np.isin(order, np.arange(flat.shape[1])).all():
        raise ValueError(f"order must name pixels 0 to {flat.shape[1] - 1} of each image, given {np.asarray(order)}")
    return flat if order is None else flat[:, order]


def classified(
    x: Real[np.ndarray, "episode time *input"], labels: Int[np.ndarray, "episode"], classes: int | None = None
) -> Episode:
    """Episodes with a class each, to be said after the last step.

    Raises ValueError for labels that are not 0 to ``classes`` - 1, or of another number than the episodes.
    """
    labels = np.asarray(labels)
    most = (int(labels.max()) + 1 if labels.size else 0) if classes is None else classes
    if labels.shape != np.shape(x)[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, one for each of {len(x)} episodes, given {labels.shape}")
    wrong = labels[(labels < 0) | (labels >= most)]
    if len(wrong):
        raise ValueError(f"label {wrong[0]} is not one of the {most} classes, 0 to {most - 1}")
    return Episode(x=np.asarray(x), target=labels.astype(np.int32))


def next_symbols(symbols: Int[np.ndarray, "time"], steps: int) -> Episode:
    """One long sequence cut into episodes of ``steps`` symbols, each asked for the next one; what is left over goes."""
    symbols = np.asarray(symbols)
    if symbols.ndim != 1 or symbols.dtype.kind not in "iu":
        raise ValueError(f"symbols must be whole numbers (time,), given {symbols.dtype} of shape {symbols.shape}")
    x, target = _cut(symbols.astype(np.int32), steps)
    return Episode(x=x, target=target, mask=np.ones(x.shape, np.float32))


def next_frames(frames: Real[np.ndarray, "time input"], steps: int) -> Episode:
    """A sequence of frames cut into episodes of ``steps``, each frame asked for the next one."""
    x, target = _cut(np.asarray(frames, np.float32), steps)
    return Episode(x=x, target=target, mask=np.ones(x.shape[:2], np.float32))


def _cut(sequence: Shaped[np.ndarray, "time ..."], steps: int) -> tuple[np.ndarray, np.ndarray]:
    count = (len(sequence) - 1) // steps if isinstance(steps, int | np.integer) and steps > 0 else 0
    if count < 1:
        raise ValueError(
            f"a sequence of {len(sequence)} holds no episode of {steps} steps and the one after; give more"
        )
    used = count * steps
    shape = (count, steps, *sequence.shape[1:])
    return sequence[:used].reshape(shape), sequence[1 : used + 1].reshape(shape)


def task(
    episodes: Episode,
    loss: Callable[[losses.Answer, losses.Target], Float[Array, ""]] = losses.cross_entropy,
    *,
    name: str = "task",
    chance: float = 0.0,
) -> Task:
    """A task whose episode k is the k-th of ``episodes``, again from the first after the last; for surfaces.

    Nested: entry L is the loss of the first L steps, of the same target if there is one for the whole episode. Stores
    know the episodes, and a mask, by a digest. Give those that are to be scored: compiled programs hold all of them.
    """
    x, target = jnp.asarray(episodes.x), jnp.asarray(episodes.target)
    mask = None if episodes.mask is None else jnp.asarray(episodes.mask)
    count, time = x.shape[:2]

    def sample(key: Array, length: int, index: Int[Array, ""]) -> Episode:
        if length > time:
            raise ValueError(f"the episodes have {time} steps, and {length} are asked for; give lengths up to {time}")
        at = index % count
        asked = target[at] if mask is None else target[at, :length]
        return Episode(x=x[at, :length], target=asked, mask=None if mask is None else mask[at, :length])

    about: dict[str, Json] = {
        "episodes": count,
        "sha256": specs.digest(np.concatenate([np.ravel(x), np.ravel(target)])),
    }
    about |= {} if mask is None else {"mask_sha256": specs.digest(mask)}
    about |= {} if loss is losses.cross_entropy else {"loss": specs.of_function(loss)}
    return Task(sample, loss, name=name, chance=chance, options=tuple(about.items()))
