"""Verbs that run experiments and sweeps of them, list what there is, and verify."""

import contextlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from landscape import names
from landscape.cli import guide
from landscape.cli.arguments import blocks_are, echo, parse, part_of, then, unless

if TYPE_CHECKING:
    import xarray


def run(*argv: str) -> None:
    """Run an experiment: of this package, of the folder experiments/ here, or any file.py with run(**settings).

    Its settings are the keywords of that function, with their defaults.

    examples:
      landscape list                                   the experiments, among other things
      landscape run cliff_formation --help             what it asks, what it expects, its settings
      landscape run cliff_formation --points=41 --lengths 10 50
      landscape run why_lstm_latches_worse --quick     the same as --quick=true
      landscape run ideas/mine.py --seed=3
    """
    if not argv or argv[0] in ("-h", "--help"):
        echo(f"usage: landscape run EXPERIMENT [--SETTING VALUE ...]\n\n{inspect.getdoc(run)}")
        return
    name, *rest = argv
    module = names.experiment(name)
    settings = settings_of(module, name, rest)

    import xarray

    from landscape import store
    from landscape.sweeps.settings import fit, hints

    path, kinds = Path("results", f"{Path(name).stem}.zarr"), hints(module.run)
    values = {key: fit(value, kinds[key], f"--{key}") for key, value in settings.items()}
    result = stored(path, settings) if "out" not in settings else None
    if result is not None:
        echo(f"{path} holds this already; remove it to run again")
    else:
        result = module.run(**values)
        if "out" not in settings and isinstance(result, xarray.Dataset):
            store.save(result, path, settings)
            echo(f"{path}: {dict(result.sizes)}, {', '.join(map(str, result.data_vars))}")
    if settings.get("out"):
        echo(f"stored in {settings['out']}")
    if hasattr(module, "sentence"):
        echo(module.sentence(result))
    then(("show", path) if path.exists() and not settings.get("out") else ("list",))


def stored(path: Path, settings: Mapping[str, object]) -> "xarray.Dataset | None":
    """The result of these settings where `run` keeps it; None if nothing is there, ValueError for that of others."""
    from landscape import store

    if not path.exists():
        return None
    about = store.attributes(path)
    with store.sense(path):
        other = store.differences(json.loads(about["settings"]), json.loads(json.dumps(settings)))
    if other:
        raise ValueError(f"{path} holds a result of other settings ({'; '.join(other)}); move or remove that one")
    return store.open_surface(path)


def settings_of(module: ModuleType, name: str, argv: Sequence[str]) -> dict[str, object]:
    """Settings of an experiment as ``argv`` give them, beside its defaults; cells are given by name."""
    known = inspect.signature(module.run).parameters
    for word in argv:
        option = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if word.startswith("--") and option not in (*known, "help", *(f"no_{key}" for key in known)):
            raise names.unknown("setting", option, known, f" of {name}")
    about = "\n\n".join(text for text in (inspect.getdoc(module), inspect.getdoc(module.run)) if text)
    switches = {key: value.default for key, value in known.items() if isinstance(value.default, bool)}
    flags = [flag for word in argv for flag in _flags(word, switches)]
    settings = parse(_settings(module.run), f"landscape run {name}", about, flags)
    if type(settings.get("seed")) is int:
        names.seed(settings["seed"])
    return settings


def _settings(run: Callable) -> Callable:
    """A function of the settings of ``run`` that returns them; a cell is its name there."""
    from landscape.cells import Cell

    known = inspect.signature(run).parameters
    cells = {key: type(p.default).__name__ for key, p in known.items() if isinstance(p.default, Cell)}
    parameters = [p.replace(annotation=str, default=cells[key]) if key in cells else p for key, p in known.items()]

    def made(**settings: object) -> dict[str, object]:
        return settings

    made.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made.__annotations__ = typing.get_type_hints(run, include_extras=True) | dict.fromkeys(cells, str)
    made.__doc__ = run.__doc__
    return made


def _flags(word: str, switches: Mapping[str, bool]) -> list[str]:
    """A word such as ``--quick=true`` as the flag ``--quick``, or as no flag at all where that is the default."""
    name, _, value = word.partition("=")
    key = name.removeprefix("--").replace("-", "_")
    if key not in switches or value.lower() not in ("true", "false"):
        return [word]
    if (value.lower() == "true") == switches[key]:
        return []
    return [f"--no-{key.replace('_', '-')}" if switches[key] else name]


def sweep(
    file: Annotated[Positional[str], arg(metavar="FILE", help="a TOML file: run, axes, fixed settings, chunks")],
    /,
    out: Annotated[str, unless("as in FILE, else results/FILE.zarr", "PATH", "the store")] = "",
    workers: Annotated[int, unless("this one", None, "compute in so many processes")] = 0,
    scheduler: Annotated[
        str, unless("none", "ADDRESS", "compute on a Dask cluster: tcp://host:port or its scheduler file.json")
    ] = "",
    shard: Annotated[str, arg(metavar="I/N", help="compute part I of N, from 0, as one task of a job array")] = "0/1",
    dry: Annotated[bool, arg(help="check the file, print the plan and stop")] = False,
) -> None:
    """Run an experiment for every combination of settings in a file, into one store.

    Everything is checked before anything runs. Finished chunks survive any kill: the same command goes on where it
    stopped and tries failed chunks again. Exits with 1 if a chunk failed. `landscape status` follows from elsewhere.

    examples:
      landscape sweep experiments/example_sweep.toml --dry
      landscape sweep experiments/example_sweep.toml --workers 2
      landscape sweep rates.toml --scheduler scheduler.json
      landscape sweep rates.toml --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
    """
    share = part_of(shard)
    if workers < 0:
        raise ValueError(f"--workers is a number of processes, from 0 up; given {workers}")
    if workers and scheduler:
        raise ValueError("give --workers N for processes here, or --scheduler for a cluster elsewhere, not both")

    from landscape import sweeps

    plan, path = sweeps.read(file)
    path = Path(out) if out else path
    if dry:
        echo(f"{plan}; into {path}")
        return then(("sweep", file, *(("--out", out) if out else ())))
    with contextlib.ExitStack() as stack:
        engine: sweeps.Engine = sweeps.serial
        if workers or scheduler:
            client = stack.enter_context(sweeps.cluster(workers, scheduler))
            engine = sweeps.dask(client)
            if not client.scheduler_info()["workers"]:
                echo(f"{scheduler} has no worker yet; chunks begin when one joins, and Ctrl-C loses nothing")
        try:
            state = sweeps.fill(plan, path, shard=share, engine=engine, report=echo, progress=sweeps.ticker(echo))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped: {sweeps.status(path)}; the same command resumes") from None
    echo(str(state))
    then(("status" if state.failed or state.left else "plot", path))
    if state.failed:
        raise SystemExit(1)
    return None


def status(
    path: Annotated[Positional[str], arg(metavar="PATH", help="a store that `sweep` or `surface` writes or wrote")],
    /,
    csv: Annotated[str, arg(metavar="FILE", help="write the finished points as a table")] = "",
) -> None:
    """Say how far a sweep is: chunks done, failed and why, left, and the time left at the recent pace.

    Of a surface it says how many blocks are done.

    examples:
      landscape status results/example_sweep.zarr
      landscape status results/example_sweep.zarr --csv example.csv
    """
    from landscape import store, sweeps

    if store.kind(path) == "surface":
        if csv:
            raise ValueError(f"--csv is for a sweep; {path} holds a surface")
        done, blocks = store.blocks_done(path)
        rest = "complete" if done == blocks else "the command that began it goes on with it"
        echo(f"{path}: {blocks_are(done, blocks)} done; {rest}")
        with store.sense(path):
            axes = len(json.loads(store.attributes(path)["settings"])["axes"])
        return then(guide.pictures(path, axes)[-1] if done == blocks else ("show", path))
    state = sweeps.status(path)
    echo(str(state))
    if csv:
        sweeps.to_csv(sweeps.open_sweep(path), csv)
        echo(f"table: {csv}")
    return then(("plot" if state.done else "show", path))


def list_() -> None:
    """List the cells with their equations and parameters, the tasks, and the experiments.

    examples:
      landscape list
      landscape list | grep -A 1 LSTM
    """
    from landscape.cli import report

    echo(report.known())
    then(("surface", "SRNN", "latch", "w=-3:3:101", "b=-2:2:101", "--order", "2", "--out", "cliffs.zarr"))


def verify() -> None:
    """Recompute known answers on this machine's backend; print quantity, expected, got, digits.

    Exits with 1 if one of them is missed.

    examples:
      landscape verify
    """
    from landscape import verify as checks

    if not checks.report():
        raise SystemExit(1)
    then(("run", "demo"))
