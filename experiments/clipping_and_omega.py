"""Does clipping, and clipping with a regulariser, teach longer memories than plain SGD (Pascanu et al. 2013, fig. 7)?

    landscape run clipping_and_omega
    python figures/clipping_and_omega.py
    landscape run clipping_and_omega --task adding --lengths 5 10 --rate .1
    landscape run clipping_and_omega --quick

Temporal order with 20 tanh units, not 50, a rate of .2 instead of .01, and 2,400 updates of 20 episodes instead
of up to 5,000,000; clip at a norm of 1, Omega of the authors' code with their weight 2. A run succeeds if
at most 1 % of 1,000 episodes it has not seen are wrong; n = 10.

Expected: all three succeed at T = 10. Plain SGD fails from 20 on; clipped, it succeeds in 1.00 (.72 to 1.00) of runs at
20, .70 (.40 to .89) at 30, none at 40; with Omega in 1.00 at 30, .90 (.60 to .98) at 40, none at 60: the order of the
paper. The largest gradient is 600 to 1,400 without Omega, 190 with it. 165 CPU-seconds; under two minutes on two cores.
Adding and multiplication need a smaller rate and more updates than these to be learned to 1 %.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray
from jaxtyping import Array, Float, Key

from landscape import losses, names, provenance, store
from landscape.cells import SRNN
from landscape.models import RNN, Dense
from landscape.success import wilson
from landscape.tasks import Task
from landscape.training import curves, omega_squared, reverse


def start(key: jax.Array, units: int, inputs: int, outputs: int | None, sd: float) -> RNN:
    """A layer of tanh units, all weights from N(0, sd²), all biases 0: the paper's "basic tanh"."""
    shapes = {"w": (units, units), "u": (inputs, units)}
    keys = jax.random.split(key, 3)
    made = {n: sd * jax.random.normal(k, shape) for k, (n, shape) in zip(keys, shapes.items(), strict=False)}
    bias = jnp.zeros(() if outputs is None else (outputs,))
    out = sd * jax.random.normal(keys[2], (units,) if outputs is None else (units, outputs))
    return RNN(cell=dataclasses.replace(SRNN(), **made, b=jnp.zeros(units)), readout=Dense(w=out, b=bias))


def train(
    task: Task,
    lengths: tuple[int, ...],
    clip: tuple[float, ...],
    weight: float,
    units: int,
    rate: float,
    **options: Any,
) -> xarray.Dataset:
    """`landscape.training.curves` over the norm that gradients are clipped to, with Omega at ``weight`` if not 0."""
    inputs = task.sample(jax.random.key(0), 10, 0).x.shape[-1]
    outputs = task.classes if task.classes > 1 else None
    objective = losses.classes if outputs else losses.within(0.2)  # squared error below .04
    route = functools.partial(reverse, penalty=omega_squared(weight) if weight else None)

    def setup(key: Key[Array, ""], clip: Float[Array, ""]) -> tuple[RNN, optax.GradientTransformation]:
        made = start(key, units, inputs, outputs, options["sd"])
        return made, optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate))

    rest = {name: value for name, value in options.items() if name != "sd"}
    return curves(setup, task, lengths, settings={"clip": clip}, objective=objective, route=route, batch=20, **rest)


def run(
    task: str = "temporal_order",
    lengths: tuple[int, ...] = (10, 20, 30, 40, 60),
    seeds: int = 10,
    units: int = 20,
    rate: float = 0.2,
    clip: float = 1.0,
    weight: float = 2.0,
    sd: float = 0.15,
    epochs: int = 12,
    count: int = 5000,
    quick: bool = False,
    out: str | None = "results/clipping_and_omega",
) -> xarray.Dataset:
    """``accuracy`` on the last fifth of the episodes, which training does not see, dims (rule, length, seed).

    ``largest`` is the largest norm of a gradient before clipping. ``quick``: two short lengths, 4 seeds, 5 epochs. What
    the folder ``out`` holds of this task and these settings is read.
    """
    settings = {name: value for name, value in locals().items() if name != "out"}
    if quick:
        lengths, seeds, epochs = (10, 20), 4, 5

    def compute() -> dict[str, xarray.Dataset]:
        made = names.task(task, {})
        options = {"units": units, "rate": rate, "sd": sd, "seeds": seeds, "epochs": epochs, "count": count}
        plain = train(made, lengths, (1e30, clip), 0.0, **options)
        guided = train(made, lengths, (clip,), weight, **options)
        both = [plain.isel(clip=0), plain.isel(clip=1), guided.isel(clip=0)]
        parts = [ds.drop_vars("clip")[["accuracy", "nonfinite", "gradient_norm"]] for ds in both]
        rules = np.array(["SGD", "SGD, clipped", "SGD, clipped, Omega"], object)
        ds = xarray.concat(parts, "rule").assign_coords(rule=rules)
        ds = (
            ds.assign(largest=ds.gradient_norm.max("epoch"))
            .drop_vars("gradient_norm")
            .drop_dims("epoch", errors="ignore")
        )
        ds = ds.assign_attrs(
            task=made.name, clip=clip, weight=weight, rate=rate, units=units, count=count, epochs=epochs
        )
        return {"rules": ds.assign_attrs(provenance.here())}

    return store.kept(out and Path(out) / task, settings, compute)["rules"]


def sentence(ds: xarray.Dataset) -> str:
    """Success, at most 1 % wrong, with Wilson's interval."""
    lines = []
    for rule in ds.rule.values:
        told = []
        for length in ds.length.values:
            one = ds.sel(rule=rule, length=length)
            solved = int((one.accuracy >= 0.99).sum())
            low, high = (float(end) for end in wilson(solved, one.sizes["seed"]))
            told.append(f"T = {int(length)} {solved / one.sizes['seed']:.2f} ({low:.2f} to {high:.2f})")
        largest = float(ds.largest.sel(rule=rule).max())
        lines.append(f"{ds.attrs['task']}, {rule}: {', '.join(told)}; largest gradient {largest:.3g}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(sentence(run()))
