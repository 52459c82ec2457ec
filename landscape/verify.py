"""Known answers, recomputed on this machine's backend by the package's own routes.

Each group of checks is a generator; `verify` runs them all and `report` prints them. Expected numbers are closed forms,
published values, or were computed once with 60-digit arithmetic (mpmath). A tolerance is relative, the rounding unit
``eps`` of the dtype times what the calculation amplifies: on a cliff of multiplier m rounding itself grows as m**T.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from landscape import cliffs, dynamics
from landscape.cells import GRU, LSTM, SRNN, FrozenLSTM, HardLSTM, Pascanu, SoftsignRNN, logistic, tanh
from landscape.convert import as_unit, from_keras
from landscape.engine import Evaluator
from landscape.losses import raw
from landscape.models import RNN, Dense, run
from landscape.planes import plane, span
from landscape.recurrence import Recurrence
from landscape.risk import Risk
from landscape.surfaces import surface, values
from landscape.tasks import Task, episodes, latch, pascanu, reach
from landscape.tree import dot

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
MOST_DIGITS = 17.0


class Check(NamedTuple):
    """A known answer: ``digits`` is how many decimal digits agree; ``passed`` is None where a row only informs."""

    quantity: str
    expected: float
    got: float
    digits: float
    passed: bool | None
    note: str = ""


def digits(expected: float, got: float) -> float:
    """Decimal digits on which two numbers agree: -log10 of the relative error, of the absolute one if 0 is expected."""
    if expected == got:
        return MOST_DIGITS
    error = abs(got - expected) / (abs(expected) or 1.0)
    return min(MOST_DIGITS, max(0.0, -math.log10(error))) if math.isfinite(error) else 0.0


def check(quantity: str, expected: float, got: SupportsFloat, tolerance: float, note: str = "") -> Check:
    """Compare within a relative ``tolerance``, absolute where 0 is expected; equal infinities agree, NaN never does."""
    expected, got = float(expected), float(got)
    close = abs(got - expected) <= tolerance * (abs(expected) or 1.0) if math.isfinite(expected) else False
    return Check(quantity, expected, got, digits(expected, got), expected == got or close, note)


def _at(
    cell: PyTree, task: Task, points: Sequence | np.ndarray, lengths: Sequence[int], order: int, dtype: str, **axes: Any
) -> dict:
    axes = axes or {"w": (-10.0, 10.0), "b": (-10.0, 10.0)}
    return values(plane(cell, **axes), Recurrence(task, lengths, order=order, dtype=dtype), points)


# ---------------------------------------------------------------------------------------------------------------------


def curves() -> Iterator[Check]:
    """Folds, period doublings, the corner and the valley of Pascanu's cliff, and the latching bound."""
    upper, lower = {4.1: -2.05523145526779456, 5.0: -2.65561033863068795}, {5.0: -2.34438966136931205}
    valley = math.log(0.7 / 0.3)
    for dtype, eps in EPS.items():
        with jax.enable_x64(dtype == "float64"):
            w, b = dynamics.crossing(logistic, valley, 0.5)
            corner = dynamics.fold_curve(logistic, 0.5)
            # The last number is the condition: the largest term of the formula over its result.
            rows = [
                ("fold of tanh, w = 1.1", 0.020481227178150651, dynamics.folds(tanh, 1.1)[1], 50),
                ("fold of tanh, w = 5", 3.02850047982076905, dynamics.folds(tanh, 5.0)[1], 2),
                *((f"upper fold, w = {w:g}", f, dynamics.folds(logistic, w)[0], 3) for w, f in upper.items()),
                *((f"lower fold, w = {w:g}", f, dynamics.folds(logistic, w)[1], 3) for w, f in lower.items()),
                ("period doubling of tanh, w = -2", 2.29558714939263807, dynamics.flips(tanh, -2.0)[1], 2),
                ("period doubling, w = -5, first", 0.419542361130898257, dynamics.flips(logistic, -5.0)[0], 12),
                ("period doubling, w = -5, second", 4.58045763886910174, dynamics.flips(logistic, -5.0)[1], 2),
                ("corner of the cliff, w", 4.25525193041276157, corner[0], 4),
                ("corner of the cliff, b", -2.14872127070012815, corner[1], 4),
                ("basin line, w = 5", -2.61229665600927282, dynamics.cliff_line(logistic, 5.0, 0.5).b, 2),
                ("valley meets cliff, w", 4.47891236650656857, w, 16),
                ("valley meets cliff, b", -2.28794079616739438, b, 24),
                ("latching bound B(1.5, 0.5)", 0.153426409720027345, dynamics.latching_bound(1.5, 0.5), 6),
                ("latching bound B(2, 1)", 0.450693855665945154, dynamics.latching_bound(2.0, 1.0), 4),
            ]
            for name, expected, got, condition in rows:
                yield check(f"{name} [{dtype}]", expected, got, 8 * eps * condition)


def orbits() -> Iterator[Check]:
    """Stored states and multipliers by root finding on the cell's own step, and what noise makes of them."""
    eps = EPS["float32"]
    found = dynamics.fixed_points(SRNN(w=2.0))
    yield check("stored state of tanh, w = 2", 0.957504024077268741, found.state.h[2], 8 * eps)
    yield check("its multiplier", 0.166372087751674327, found.multiplier[2], 16 * eps)
    pitchfork = dynamics.origin_multiplier(LSTM(w_g=1.07576568547998048))
    yield check("LSTM origin multiplier f + i o w_g", 1, pitchfork, 8 * eps)
    yield check("GRU origin multiplier z + (1 - z) r w_h", 0.825, dynamics.origin_multiplier(GRU(w_h=1.3)), 8 * eps)
    with jax.enable_x64(True):
        three = LSTM(w_i=-3.974, w_f=19.608, w_g=10.89, w_o=0.525, b_i=-1.628, b_f=-7.639, b_g=2.835, b_o=5.181)
        yield check("stable states of a certain LSTM unit", 3, dynamics.fixed_points(three).stable.sum(), 0)
    yield check("noise-dressed multiplier, w = 1, sd 0.1", 0.945164002842, dynamics.noise_multiplier(1, 1, 0.1), 1e-12)
    kept = dynamics.stored_bit(1.2, 1.0, 0.0, 0.1, [50])
    yield check("P(bit correct), w = 1.2, sd 0.1, T = 50", 0.9955100765, kept.correct[0], 1e-10)
    yield check("signal D_T", 1.2527493234, kept.signal[0], 1e-10)


SATURATED = {  # name, x: f'(x), f''(x), from 40-digit arithmetic
    ("tanh", 8.0): (4.50140597563729167e-7, -9.00280992500877957e-7),
    ("tanh", -30.0): (3.50260430507860814e-26, 7.00520861015721627e-26),
    ("logistic", 17.0): (4.13993737600350164e-8, -4.13993703322185790e-8),
    ("logistic", 40.0): (4.24835425529158896e-18, -4.24835425529158892e-18),
}


def saturated() -> Iterator[Check]:
    """Derivatives of units whose value rounds to 1: 1 - tanh² and s (1 - s) would be 0."""
    both = jax.jit(lambda x: [(jax.grad(f)(x), jax.grad(jax.grad(f))(x)) for f in (tanh, logistic)])
    for dtype, eps in EPS.items():
        with jax.enable_x64(dtype == "float64"):
            for (name, x), expected in SATURATED.items():
                found = both(jnp.asarray(x, dtype))[name == "logistic"]
                for ticks, exact, got in zip(("'", "''"), expected, found, strict=True):
                    yield check(f"{name}{ticks} at {x:g} [{dtype}]", exact, got, 10 * eps)


def steepest() -> Iterator[Check]:
    """Peaks and growth of cliffs on refined cuts, a traced bifurcation curve, and orbits that never come to rest."""
    wall = plane(Pascanu(), w=(-10.0, 10.0), b=(-10.0, 10.0))
    across = cliffs.cut(wall, Recurrence(pascanu(), (50, 70, 85, 100)), (5.0, -3.0), (5.0, -2.0))
    law = cliffs.growth(across)
    yield check("largest |dE/db| of all b, w = 5, T = 50", 5751.099, across.slope[0], 1e-7, "on no grid")
    yield check("growth of that cliff a step, ln", 0.161283944073887, math.log(law.multiplier), 1e-3, law.kind)
    high = cliffs.cut(wall, Recurrence(pascanu(), (50,)), (7.0, -4.5), (7.0, -3.0))
    yield check("the same, w = 7", 21512662397.466782642, high.slope[0], 1e-6, "from 60-digit arithmetic")
    window = plane(Pascanu(), w=np.linspace(4.4, 6, 21), b=np.linspace(-3.4, -2.1, 21))
    early = Recurrence(pascanu(), (20,), order=2, dtype="float64")
    found = cliffs.limit(window, early, cliffs.ridge(surface(window, early)))
    off = found.b.values - 0.5 + found.w.values / (1 + math.exp(-0.5))
    note = f"{np.isnan(off).sum()} of {off.size} vertices lie on a slope without a limit"
    yield check("limit of the ridge at T = 20, farthest from the line", 0, np.nanmax(np.abs(off)), 1e-14, note)
    traced = dynamics.bifurcations(plane(LSTM(), w_g=np.linspace(0, 4, 5), b_g=np.linspace(-1, 1, 5)))
    yield check("cusp of the LSTM's fold curve, w_g", 1.07576568547998048, traced["cusp_w_g"][0], 1e-12, "continued")
    wild = LSTM(w_i=11.214, w_f=-0.959, w_g=-10.447, w_o=8.857, b_i=-0.301, b_f=5.472, b_g=4.361, b_o=4.193)
    yield check("label of a chaotic LSTM unit", 3, dynamics.attractor(wild, start=0.1).label, 0, "neither 1 nor 2")
    with jax.enable_x64(True):
        past = SRNN(w=1.5, b=0.20754645532203042 + 1e-12)
        yield check("label 1e-12 past a fold", 0, dynamics.attractor(past, start=-0.9).label, 0, "not settled")


BASIN = {  # on the line b = 0.5 - w logistic(0.5), by (w, T), from 60-digit arithmetic
    (5, 20): (-3.1329219516527391, -5.0331351698168659, 1161.6179558113368, 1880.3821632176953, 3043.7160639774797),
    (5, 50): (-411.87063397907085, -661.68280132265727, 21722041.71609916, 34902856.453537356, 56081715.139851017),
    (6, 20): (-53.334344948579506, -85.683260375582591, 301317.30089628927, 484312.28009688293, 778442.94994573377),
    (6, 50): (-1600429.0557810177, -2571138.3468071454, 272196143011794.97, 437291469156482.45, 702522184484988.15),
}
LENGTHS = (10, 20, 50, 100)  # one list for every check of Pascanu's map: one program


def basin_line() -> Iterator[Check]:
    """Loss, gradient and Hessian exactly on the basin cliff, by the surface's own route."""
    s = 1 / (1 + math.exp(-0.5))
    points = [(w, 0.5 - w * s) for w in (5.0, 6.0)]
    found = {dtype: _at(Pascanu(), pascanu(), points, LENGTHS, 2, dtype) for dtype in EPS}
    for dtype, eps in EPS.items():
        for (w, length), exact in BASIN.items():
            tolerance = 50 * eps * (w * s * (1 - s)) ** length
            if tolerance > 0.1:
                continue  # no digit is left to check
            column = found[dtype], (LENGTHS.index(length), w - 5)
            where = f"on the cliff, w = {w}, T = {length} [{dtype}]"
            yield check(f"loss {where}", 0.00601255531766368508, column[0]["loss"][column[1]], tolerance)
            for name, expected in zip(("d_w", "d_b", "d_w_w", "d_w_b", "d_b_b"), exact, strict=True):
                yield check(f"{name} {where}", expected, column[0][name][column[1]], tolerance, "50 eps multiplier**T")


def digits_left() -> Iterator[Check]:
    """How many digits float32 has left on a cliff: gradients against float64 at the same points, across its width."""
    s, eps = 1 / (1 + math.exp(-0.5)), EPS["float32"]
    growth = 5 * s * (1 - s)
    across = np.linspace(-2.0, 2.0, 14)  # the cliff in its own width, multiplier**-T
    bias = [0.5 - 5 * s + across * (growth - 1) * growth**-T for T in LENGTHS]
    points = np.array([(5.0, b) for b in np.concatenate(bias)], np.float32)
    single, double = (_at(Pascanu(), pascanu(), points, LENGTHS, 2, dtype)["d_b"] for dtype in EPS)
    for k, T in enumerate(LENGTHS):
        here = k, slice(k * len(across), (k + 1) * len(across))
        measured = float(np.median([digits(*pair) for pair in zip(double[here], single[here], strict=True)]))
        rule = max(0.0, -math.log10(eps) - T * math.log10(growth))
        name = f"digits of a float32 gradient on the cliff, w = 5, T = {T}"
        note = f"rule: -log10(eps) - T log10({growth:.4f}), gone at T = {24 * math.log(2) / math.log(growth):.0f}"
        yield Check(name, rule, measured, measured, None, note)


def overflow() -> Iterator[Check]:
    """Gradients of 2**T - 1, exact in any precision, inf where the dtype ends, their logarithm right far beyond."""
    lengths, eps = (10, 100, 126, 127, 1000, 10_000, 100_000), EPS["float32"]
    found = _at(SRNN(), reach(), [(2.0, 0.0)], lengths, 1, "float32")
    for k, length in enumerate(lengths):
        # E = (h - 1)², h = 0, dh/db = 2**T - 1, dh/dw = 0
        if length < 1000:
            exact = -float(2 ** (length + 1) - 2) if length < 127 else -math.inf
            yield check(f"d_b where it doubles every step, T = {length}", exact, found["d_b"][k, 0], 2 * eps)
        log10 = math.log10(2 ** (length + 1) - 2) if length < 1000 else (length + 1) * math.log10(2)
        yield check(f"log10 of the gradient, T = {length}", log10, found["log10_gradient"][k, 0], 2 * eps)
        yield check(f"d_w beside it, T = {length}", 0, found["d_w"][k, 0], 0)
    found = _at(Pascanu(), pascanu(0.0), [(8.0, -4.0)], LENGTHS, 2, "float32")
    for k, length in enumerate(LENGTHS[:3]):
        # x = 0, E = .04, E_x = -.1, E_xx = 1/8; x_b = 2**T - 1, x_w = x_b / 2, x_bb = 0, x_wb = (T 2**(T-1) - x_b) / 4
        x_b = 2.0**length - 1
        mixed = x_b**2 / 16 - 0.1 * (length * 2.0 ** (length - 1) - x_b) / 4
        known = {"loss": 0.04, "d_w": -x_b / 20, "d_b": -x_b / 10, "d_w_b": mixed, "d_b_b": x_b**2 / 8}
        for name, expected in known.items():
            got = found[name][k, 0]
            yield check(f"{name} at w = 8, b = -4, T = {length}", expected, got, 16 * eps, "s - 0.7 cancels")


def closed_forms() -> Iterator[Check]:
    """Nonlinear cells that are solved for every length: softsign, the cusp of tanh, frozen gates, the valley."""
    eps = EPS["float64"]
    lengths = (1, 10, 50)
    found = _at(SoftsignRNN(), reach(0.7), [(1.5, 0.0)], lengths, 1, "float64")
    for k, T in enumerate(lengths):
        decay, rest = 1.5**-T, 1 - 1 / 1.5
        turned = decay / 0.7 + (1 - decay) / rest  # 1 / h_T: a Moebius map
        slope = -T * decay / 1.5 / 0.7 + T * decay / 1.5 / rest - (1 - decay) / (1.5 * rest) ** 2
        yield check(f"softsign, loss at T = {T}", (1 / turned - 1) ** 2, found["loss"][k, 0], 8 * eps)
        yield check(f"softsign, d_w at T = {T}", 2 * (1 - 1 / turned) * slope / turned**2, found["d_w"][k, 0], 50 * eps)

    cusp = {100: (0.121182441695172674, 6.10106057422195776), 10_000: (0.0122457151104010458, 61.2370345081077249)}
    found = _at(SRNN(), reach(1.0), [(1.0, 0.0)], tuple(cusp), 1, "float64")
    for k, (T, (h, slope)) in enumerate(cusp.items()):
        # h shrinks so slowly, as sqrt(3 / 2T), that its roundings add up to about T of them at worst
        yield check(f"cusp w = 1, h after T = {T}", h, 1 - math.sqrt(found["loss"][k, 0]), T * eps / h)
        yield check(f"cusp w = 1, d_w after T = {T}", -2 * (1 - h) * slope, found["d_w"][k, 0], T * eps)

    f, i, g = 0.9, 0.5, math.tanh(0.8)
    axes = {"b_i": (0.0, 1.0), "b_f": (0.0, 1.0)}
    found = _at(FrozenLSTM(b_g=0.8), reach(), [(i, f)], (10, 100), 1, "float64", **axes)
    for k, T in enumerate((10, 100)):
        total, slope = (1 - f**T) / (1 - f), (1 - f**T - T * f ** (T - 1) * (1 - f)) / (1 - f) ** 2
        h = math.tanh(i * g * total)
        outer = 2 * (h - 1) * (1 - h**2) * g
        # 1 - h² loses what 1 - h has lost: at T = 100 a factor of 1 / (1 - h)
        for name, expected in (("d_b_i", outer * total), ("d_b_f", outer * i * slope)):
            yield check(f"frozen LSTM, {name} at T = {T}", expected, found[name][k, 0], 50 * eps / (1 - h) * total)

    curvature = {(2.0, 100): None, (3.0, 100): None, (4.0, 50): 5.1495709230745582, (4.3, 50): 17.314863897849601}
    points = [(w, math.log(0.7 / 0.3) - 0.7 * w) for w, _ in curvature]
    found = _at(Pascanu(), pascanu(), points, LENGTHS, 2, "float64")
    for k, ((w, T), known) in enumerate(curvature.items()):
        at = LENGTHS.index(T), k
        hessian = [
            [found[f"d_{min(a, b, key='wb'.index)}_{max(a, b, key='wb'.index)}"][at] for a in "wb"] for b in "wb"
        ]
        limit = 2 * 0.21**2 * 1.49 / (1 - 0.21 * w) ** 2
        note = "" if known else "T to infinity: 2 (.21)² 1.49 / (1 - .21 w)²"
        yield check(
            f"curvature of the valley, w = {w:g}, T = {T}", known or limit, np.linalg.eigvalsh(hessian)[1], 1e-10, note
        )


# The LSTM(1) trained for T = 30 in Keras 2.1.5 by the author of stats.SE 340898: gates i, f, c, o; then Dense(1).
STORED = [
    [[-0.62243706, -0.28811961, -0.73529279, -0.00072615035]],
    [[-0.4820581, 0.07788572, 1.189156, 0.00288322]],
    [0.7042295, 1.9541454, 0.08221795, 2.5031848],
    [[-2.760926]],
    [0.11520614],
]


def replay() -> Iterator[Check]:
    """A published LSTM on fresh latching episodes: with hard gates it answers as in Keras, with logistic ones not."""
    x = episodes(latch(0.1), jax.random.key(0), 200, 30).x
    weights = [np.asarray(array, np.float32) for array in STORED]

    def medians(cell: LSTM) -> np.ndarray:
        model = as_unit(from_keras(RNN(cell=cell, readout=Dense()), weights))
        answers = jax.jit(jax.vmap(lambda x: logistic(run(model, x)[-1])))(x)
        return np.median(np.asarray(answers).reshape(-1, 2), axis=0)

    hard, soft = np.sort(medians(HardLSTM())), np.sort(medians(LSTM()))
    for k, (name, keras) in enumerate((("-", 0.0662822), ("+", 0.9466260))):
        yield check(
            f"Keras' stored LSTM, answer to {name}", keras, hard[k], 3e-6 / keras, "a median of 100 noisy episodes"
        )
        miss = abs(soft[k] - keras)
        yield check(f"its logistic replay misses {name} by > .01", 1, miss > 0.01, 0, f"misses by {miss:.4f}")


def compiled_sums() -> Iterator[Check]:
    """Sums of products of many rows, which jaxlib 0.10.2 compiles wrongly unless told not to (JAX issue 39103)."""
    rows = 2**15 + 1
    squares = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=row.dtype) @ row) ** 2)))
    for dtype in EPS:
        with jax.enable_x64(dtype == "float64"):
            first = jnp.zeros((rows, 3), dtype).at[:, 0].set(jnp.arange(rows, dtype=dtype))
            note = "if it misses, import landscape before JAX computes anything"
            yield check(
                f"sum of squares of the last of {rows:,} rows, {dtype}", (rows - 1) ** 2, squares(first)[-1], 0, note
            )


def risks() -> Iterator[Check]:
    """A quadratic in closed form, and a net with its gradient and Hessian on a plane by reverse mode."""
    draw = np.random.default_rng(340898).normal
    x, y, centre, one, two = draw(size=(20, 4)), draw(size=20), draw(size=4), draw(size=4), draw(size=4)
    for dtype, eps in EPS.items():
        square = Risk(lambda w, x: dot(x, w), (x, y), raw, batch=8, order=2, dtype=dtype)
        found = values(span(centre, {"a": one, "b": two}, a=(0, 1), b=(0, 1)), square, [(0.5, -0.25)])
        miss, along = x @ (centre + 0.5 * one - 0.25 * two) - y, (x @ one, x @ two)
        known: dict[str, Any] = {"loss": miss @ miss, "d_a": 2 * miss @ along[0], "d_b": 2 * miss @ along[1]}
        known |= {"d_a_a": 2 * along[0] @ along[0], "d_a_b": 2 * along[0] @ along[1], "d_b_b": 2 * along[1] @ along[1]}
        for name, total in known.items():
            yield check(f"mean square over data, {name}, {dtype}", total / 20, found[name][0], 100 * eps)

        shapes = {"w": (4, 6), "v": (6, 3)}
        net = [{name: draw(size=shape) for name, shape in shapes.items()} for _ in range(3)]
        risk = Risk(_network, (x, np.arange(20) % 3), batch=8, order=2, dtype=dtype)
        made = Evaluator(span(net[0], {"a": net[1], "b": net[2]}, a=(-1, 1), b=(-1, 1)), risk).origin()
        yield check(f"loss of a net, {dtype}", made["origin_loss_by_another_route"], made["origin_loss"], 32 * eps)
        ours, other = made["origin_derivatives"], made["origin_derivatives_by_another_route"]
        size = max(map(abs, other.values()))
        for name, expected in other.items():
            how = "d'g by reverse mode" if name.count("_") == 1 else "d'Hd by reverse mode"
            yield check(
                f"{name} of a net, {dtype}", expected / size, ours[name] / size, 64 * eps, f"{how}, of {size:.3g}"
            )


def _network(params: dict, x: Array) -> Array:
    return dot(jnp.tanh(dot(x, params["w"])), params["v"])


GROUPS: tuple[Callable[[], Iterator[Check]], ...] = (
    curves,
    saturated,
    orbits,
    steepest,
    basin_line,
    digits_left,
    overflow,
    closed_forms,
    replay,
    compiled_sums,
    risks,
)


def verify() -> list[Check]:
    """All known answers on this backend, float32 and float64, in about half a minute on two cores."""
    return [row for group in GROUPS for row in group()]


def report(checks: Iterable[Check] | None = None, write: Callable[[str], None] = print) -> bool:
    """Print checks, all of `verify` unless given, as a table; return whether none of them missed."""
    started = time.perf_counter()
    rows = list(verify() if checks is None else checks)
    width = max((len(row.quantity) for row in rows), default=8)
    write(f"{'':4} {'quantity':{width}} {'expected':>18} {'got':>18} {'digits':>6}")
    for row in rows:
        mark = {True: "ok", False: "MISS", None: "info"}[row.passed]
        line = f"{mark:4} {row.quantity:{width}} {row.expected:18.11g} {row.got:18.11g} {row.digits:6.1f}  {row.note}"
        write(line.rstrip())
    counted = [row.passed for row in rows if row.passed is not None]
    device = jax.devices()[0]
    write(
        f"{sum(counted)} of {len(counted)} known answers reproduced on {device.device_kind} ({device.platform}), "
        f"jax {jax.__version__}, {time.perf_counter() - started:.1f} s"
    )
    return all(counted)
