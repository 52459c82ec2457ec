"""Verbs about this machine: what was found, which route each job takes, and how fast it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from landscape.cli.arguments import echo, then, unless

if TYPE_CHECKING:
    from landscape.cells import Cell

SMALL = ("SRNN", "latch", "w=-3:3:101", "b=-2:2:101", "--lengths", "1:100", "--out", "cliffs.zarr")


def bench(
    small: Annotated[
        bool, arg(help="tiny jobs, kernels interpreted: a trial of the program, not of the machine")
    ] = False,
    out: Annotated[str, unless("none", "FILE", "write the table there as JSON")] = "",
) -> None:
    """Measure this machine at each kind of job, by the fused route and by the scan, and print a table.

    Made for GPUs, where it takes minutes. On a CPU only the small jobs are of use; see `benchmarks/surfaces.py` there.

    examples:
      landscape bench --small
    """
    from landscape import bench as jobs

    found = jobs.table(small)
    if out:
        Path(out).write_text(json.dumps(found, indent=1) + "\n")
    for line in jobs.lines(found):
        echo(line)
    then(("devices",))


def devices() -> None:
    """Say which devices JAX found here, and which route each job takes: fused into one kernel, or a scan and why.

    `landscape surface ... --route scan` turns kernels off for one command, the environment variable
    LANDSCAPE_ROUTE=scan for all that follow.

    examples:
      landscape devices
    """
    from landscape import provenance
    from landscape.engine import routes

    about = provenance.here()
    echo(f"{about['device']}, jax {about['version_jax']}")
    if every := routes.hindrance():
        echo(f"every job takes the scan: {every}")
        return then(("surface", *SMALL))
    for job, why in jobs():
        echo(f"{job:44}{f'scan: {why}' if why else 'fused'}")
    return then(("bench", "--small"))


def jobs() -> Iterator[tuple[str, str]]:
    """Each kind of job, and why it is not fused here; nothing if it is."""
    import numpy as np
    import optax

    import landscape as ls
    from landscape.descent.paths import Paths
    from landscape.engine import Evaluator

    line = (0.0, 1.0)
    for cell, x, y in ((ls.SRNN(), "w", "b"), (ls.GRU(), "w_h", "b_z"), (ls.LSTM(), "w_g", "b_f")):
        name, made = type(cell).__name__, ls.plane(cell, {}, **{x: line, y: line})
        for order in (0, 1, 2):
            problem = ls.Recurrence(ls.latch(), [10, 20], order=order)
            yield f"surface of {name}, order {order}", Evaluator(made, problem).route.why
        path = Paths(ls.Recurrence(ls.latch(), [10]), optax.sgd(0.1), 10, (x, y))
        yield f"paths and trainability of {name}, each update", Evaluator(made, path).route.why
        yield f"training of {name}, each epoch", training(cell)
    made = ls.plane(ls.SRNN(), w=line)
    for each, task in (("that is not nested", ls.relay()), ("that asks at every step", ls.tasks.echo())):
        yield f"surface of a task {each}", Evaluator(made, ls.Recurrence(task, [10])).route.why
    layer = ls.SRNN(w=np.eye(9, dtype="float32"), u=np.ones(9, "float32"), b=np.zeros(9, "float32"))
    made = ls.span(layer, {"p": layer}, p=line)
    yield "surface of a layer of 9 units", Evaluator(made, ls.Recurrence(ls.latch(), [10])).route.why


def training(cell: "Cell") -> str:
    """Why an epoch of a cell is not fused, nothing if it is."""
    import jax

    from landscape import losses
    from landscape import training as rooms
    from landscape.engine import routes
    from landscape.kernels.epochs import epoch
    from landscape.kernels.lanes import Unfusable
    from landscape.tasks import Episode
    from landscape.training.steps import begun

    optimiser, number = rooms.keras_adam(), lambda *shape: jax.ShapeDtypeStruct(shape, "float32")
    state = jax.eval_shape(lambda key: begun(optimiser, rooms.begin(cell, key)), jax.random.key(0))
    batches = jax.ShapeDtypeStruct((2, 16), "int32")
    run = epoch(losses.softmax, 0.0, optimiser, routes.interpreting())
    try:
        jax.eval_shape(run, state, Episode(x=number(10, 32), target=number(32)), batches, 10)
    except Unfusable as reason:
        return str(reason)
    return ""
