"""What text means: cells, tasks, experiments, axes and lengths as written on a command line or in a file.

Names resolve by attribute lookup, or as ``path.py:Name`` in a file of the user's own; there is nothing to register.
"""

import ast
import dataclasses
import difflib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, PyTree

    from landscape.cells import Cell
    from landscape.engine import Problem
    from landscape.tasks import Task


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> ValueError:
    """The answer to a name that does not exist: the nearest one, and the list."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f" (did you mean {lower[near[0]]}?)" if near else ""
    return ValueError(f"there is no {kind} {name!r}{hint}{where}; known: {', '.join(known) or 'none'}")


def module(path: str) -> ModuleType:
    """The module that a Python file defines. Raises ValueError in one sentence if it cannot be imported."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {path}; give the path of a Python file")
    name = "_".join(("file", *re.findall(r"\w+", str(file.resolve().with_suffix("")))))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file; its name must end in .py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"{path} cannot be imported{_at(error, file)}: {type(error).__name__}: {error}") from error
    return made


def _at(error: BaseException, file: Path) -> str:
    """The line of ``file`` that an error comes from, if one does."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == file.resolve():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}" if lines else ""


def _found(kind: str, text: str, ours: Callable[..., dict[str, Callable]]) -> Callable:
    """The function or class that ``NAME`` or ``path.py:Name`` means; ``ours(module)`` lists those of a module."""
    path, colon, name = text.rpartition(":")
    if not colon:
        if text not in ours():
            raise unknown(
                kind, text, ours(), f"; one of your own is file.py:{'MyCell' if kind == 'cell' else 'mytask'}"
            )
        return ours()[text]
    from landscape.cells import Cell

    made = module(path)
    found = getattr(made, name, None)
    if found is None:
        raise unknown(kind, name, ours(made), f" in {path}")
    if isinstance(found, Cell):  # made already, such as an expression
        return lambda: found
    if not callable(found):
        raise ValueError(
            f"{name} in {path} is of type {type(found).__name__}, not a {kind} or a function that makes one"
        )
    return found


def _made(kind: str, text: str, make: Callable, options: Mapping[str, float]) -> object:
    """``make(**options)``, its mistakes told by the name they were made with; whole numbers stay whole.

    An error that comes from a line of the user's own file is told with it, as by `model`.
    """
    known = options_of(make)
    for name in options:
        if name not in known:
            raise unknown("parameter" if kind == "cell" else "option", name, known, f" of {kind} {text}")
    whole = {name for name, default in known.items() if type(default) is int}
    if broken := [name for name in whole if options.get(name, 0) % 1]:
        raise ValueError(f"{broken[0]} of {kind} {text} must be a whole number, given {options[broken[0]]:g}")
    try:
        return make(**{name: int(value) if name in whole else value for name, value in options.items()})
    except Exception as error:
        if line := _at(error, Path(text.rpartition(":")[0])):
            raise ValueError(f"{kind} {text} cannot be made{line}: {type(error).__name__}: {error}") from error
        if not isinstance(error, TypeError):
            raise
        raise ValueError(f"{kind} {text} cannot be made: {error}; give each of its parameters a default") from error


def options_of(make: Callable) -> dict[str, object]:
    """What a cell or task can be made with, and the defaults: parameters of a cell, keywords of a function."""
    from landscape.tree import params

    if inspect.isclass(make):
        if not dataclasses.is_dataclass(make):
            raise ValueError(f"{make.__name__} is not a pytree of parameters; write @pytree above its class")
        return {name: field.default for name, field in params(make).items()}
    signature = inspect.signature(make).parameters
    named = {name: p.default for name, p in signature.items() if p.kind is not p.VAR_KEYWORD}
    if len(named) < len(signature):  # **values: whatever the cell that it makes has
        made = make()
        named |= {name: getattr(made, name) for name in params(made)}
    return named


def cell(text: str, held: Mapping[str, float] = MappingProxyType({})) -> "Cell":
    """The one-unit cell of that name, ``SRNN`` or ``file.py:MyCell``, with parameters ``held`` at other values."""
    from landscape import cells

    value = _made("cell", text, _found("cell", text, cells.known), held)
    if not isinstance(value, cells.Cell):
        raise ValueError(f"{text} makes {type(value).__name__}, not a landscape.cells.Cell; derive its class from that")
    return value


def task(text: str, options: Mapping[str, float] = MappingProxyType({})) -> "Task":
    """The task of that name, ``latch`` or ``file.py:mytask``, made with ``options`` such as noise."""
    from landscape.tasks import Task, known

    value = _made("task", text, _found("task", text, known), options)
    if not isinstance(value, Task):
        raise ValueError(f"{text} makes {type(value).__name__}, not a landscape.tasks.Task")
    return value


def model(text: str) -> "tuple[PyTree, dict[str, PyTree], Problem]":
    """What the function ``file.py:mymodel`` returns: parameters, directions by name, and a problem such as a risk."""
    path, colon, _ = text.rpartition(":")
    if not colon:
        raise ValueError(
            f"{text} needs a task before the ranges, such as latch; a model of your own that needs none is "
            "file.py:mymodel, a function that returns (parameters, directions, risk)"
        )
    make = _found("model", text, lambda made: {name: f for name, f in vars(made).items() if inspect.isfunction(f)})
    try:
        found = make()
    except Exception as error:
        raise ValueError(f"{text} cannot be called{_at(error, Path(path))}: {type(error).__name__}: {error}") from error

    from landscape.engine import Problem

    if not (isinstance(found, tuple) and len(found) == 3 and isinstance(found[2], Problem)):
        raise ValueError(
            f"{text} must return (parameters, directions, risk), such as (params, {{'a': one, 'b': two}}, "
            f"landscape.Risk(predict, data)); it returns {type(found).__name__} {found!r:.60}"
        )
    return found


def number(text: str, what: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{what} must be a number, given {text!r}") from None
    if not abs(value) < float("inf"):
        raise ValueError(f"{what} must be finite, given {text!r}")
    return value


def pairs(texts: Iterable[str], form: str) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict; no name twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"{text!r} is not of the form {form}")
        if name in found:
            raise ValueError(f"{name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def numbers(texts: Iterable[str], form: str) -> dict[str, float]:
    """``NAME=NUMBER`` texts as a dict.

    >>> numbers(["u=2", "b_f=-.5"], "--set NAME=VALUE")
    {'u': 2.0, 'b_f': -0.5}
    """
    return {name: number(value, name) for name, value in pairs(texts, form).items()}


class Axis(NamedTuple):
    """``count`` equally spaced values from ``low`` to ``high``, both included; not yet an array."""

    low: float
    high: float
    count: int  # type: ignore[assignment] # tuples have a method of that name

    def values(self, name: str, dtype: str) -> "Float[np.ndarray, 'point']":
        """The values as a float64 array. Raises ValueError if ``dtype`` cannot tell them apart or hold them."""
        import numpy as np

        fits({name: max(self.low, self.high, key=abs)}, dtype)
        values = np.linspace(*self)
        if not np.all(np.diff(values.astype(dtype)) >= np.finfo(dtype).tiny):
            raise ValueError(
                f"{dtype} cannot tell the {self.count} values of {name} from {self.low:g} to {self.high:.9g} apart; "
                f"give a wider range{_wider(dtype)}"
            )
        return values


def fits(values: Mapping[str, float], dtype: str) -> None:
    """Raise ValueError for a number that would become inf, or 0, in ``dtype``."""
    import numpy as np

    least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    for name, value in values.items():
        if value and not least <= abs(value) <= most:
            raise ValueError(
                f"{name} = {value:g} is beyond {dtype}, which holds sizes from {least:.2g} to {most:.2g}; "
                f"give another value{_wider(dtype)}"
            )


def _wider(dtype: str) -> str:
    return "" if dtype == "float64" else ", or --dtype float64 where the command has it"


def seed(value: int) -> int:
    """The seed itself. Raises ValueError for one that is not of 32 bits: it would draw the numbers of another."""
    if not 0 <= value < 2**32:
        raise ValueError(f"a seed is a whole number from 0 to {2**32 - 1}, given {value}")
    return value


def axis(name: str, text: str) -> Axis:
    """``-3:3:201``: from, to, number of values.

    >>> axis("w", "-3:3:201")
    Axis(low=-3.0, high=3.0, count=201)
    """
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(f"{name}={text} is not a range; write {name}=FROM:TO:COUNT, such as {name}=-3:3:201")
    low, high = number(parts[0], f"the start of {name}"), number(parts[1], f"the end of {name}")
    if not parts[2].isdecimal():
        raise ValueError(f"the number of values of {name} must be a whole number, given {parts[2]!r}")
    count = int(parts[2])
    if low > high:
        raise ValueError(f"{name} runs backwards, from {low:g} down to {high:g}; write {name}={high:g}:{low:g}:{count}")
    if low == high or count < 2:
        amount = "no" if count == 0 else "one"
        raise ValueError(f"{name}={text} has {amount} point; a coordinate needs a range and at least 2 values")
    return Axis(low, high, count)


def lengths(text: str) -> list[range]:
    """``1:200``, ``10:100:10`` (both ends included), ``50``, or several with commas between them: increasing ranges.

    >>> lengths("1:4, 10, 20:40:10")
    [range(1, 5), range(10, 11), range(20, 41, 10)]
    """
    found: list[range] = []
    for part in text.split(","):
        if not re.fullmatch(r" *\d+ *(: *\d+ *){0,2}", part):
            raise ValueError(
                "lengths must be whole numbers such as 1:200 (every length), 10:100:10 (every tenth) or 10,50,100, "
                f"with commas between them; given {text!r}"
            )
        numbers = [int(n) for n in part.split(":")]
        first, last, step = [*numbers, numbers[0], 1] if len(numbers) == 1 else [*numbers, 1][:3]
        if first < 1:
            raise ValueError(f"lengths start at 1, the loss after one step; given {text!r}")
        if step < 1 or last < first:
            raise ValueError(f"there are no lengths in {part}; write FIRST:LAST or FIRST:LAST:STEP, FIRST up to LAST")
        if found and found[-1][-1] >= first:
            raise ValueError(f"lengths must increase, given {found[-1][-1]} before {first} in {text!r}")
        found.append(range(first, last + 1, step))
    return found


def shipped(kind: str) -> Path:
    """The folder of the "experiments" or "figures" that come with the package: in the wheel, or beside its source."""
    here = Path(__file__).parent
    inside = here / "shipped" / kind
    return inside if inside.is_dir() else here.parent / kind


def experiments() -> dict[str, Path]:
    """Files of experiments by name: those of ``experiments/`` here, else those that come with the package."""
    folders = (shipped("experiments"), Path("experiments"))
    return {file.stem: file for folder in folders for file in sorted(folder.glob("[!_]*.py"))}


def headline(file: Path) -> str:
    """The first line of what a Python file says about itself; it is not run."""
    try:
        return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n")[0]
    except (SyntaxError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"


def experiment(text: str) -> ModuleType:
    """The experiment of that name, see `experiments`, or the file of that path: a module with a function ``run``."""
    known = experiments()
    if not text.endswith(".py") and text not in known:
        raise unknown(
            "experiment", text, known, "; one of your own is experiments/NAME.py here, or a path with its .py"
        )
    path = str(known.get(text, text))
    made = module(path)
    if not inspect.isfunction(getattr(made, "run", None)):
        raise ValueError(f"{path} has no function run; an experiment is a docstring and a function run(**settings)")
    return made
