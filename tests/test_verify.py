"""The known answers are reproduced here, and verification fails when something is wrong."""

import math
from decimal import Decimal, localcontext

import jax
import numpy as np
import pytest

from landscape import dynamics, verify
from landscape.cells import LSTM, SRNN, Pascanu, SoftsignRNN, logistic
from landscape.planes import plane
from landscape.recurrence import Recurrence
from landscape.surfaces import values
from landscape.tasks import pascanu, reach
from landscape.verify import Check, check, digits, report

AXES = {"w": (-10.0, 10.0), "b": (-10.0, 10.0)}


@pytest.fixture(scope="module")
def rows():
    """The known answers but for the steepest places of cliffs, which take two thirds of the time."""
    return [row for group in verify.GROUPS if group is not verify.steepest for row in group()]


def test_every_known_answer_is_reproduced_on_this_backend(rows):
    assert [row for row in rows if row.passed is False] == []
    assert sum(row.passed is True for row in rows) > 100


@pytest.mark.slow
def test_every_known_answer_on_the_steepest_places_of_cliffs_is_reproduced_on_this_backend():
    rows = list(verify.steepest())
    assert [row for row in rows if row.passed is not True] == []
    assert len(rows) > 5


def test_verification_is_every_group_of_known_answers_in_turn(monkeypatch):
    right, wrong = Check("right", 1.0, 1.0, 17.0, True), Check("wrong", 1.0, 1.1, 1.0, False)
    monkeypatch.setattr(verify, "GROUPS", (lambda: iter([right]), lambda: iter([wrong, right])))
    assert verify.verify() == [right, wrong, right]
    assert not report(write=lambda line: None)


def test_every_kind_of_known_answer_is_there(rows):
    quantities = "\n".join(row.quantity for row in rows)
    for part in (
        "fold of tanh",
        "upper fold, w = 5",
        "period doubling",
        "basin line",
        "d_w_b on the cliff, w = 6, T = 50 [float64]",
        "log10 of the gradient, T = 100000",
        "softsign",
        "cusp",
        "frozen LSTM",
        "curvature of the valley",
        "Keras' stored LSTM",
        "latching bound",
        "noise-dressed multiplier",
        "LSTM origin multiplier",
        "digits of a float32 gradient",
    ):
        assert part in quantities


def test_float32_loses_the_digits_that_rounding_times_multiplier_to_the_t_takes(rows):
    left = [(row.expected, row.got) for row in rows if row.passed is None]
    assert len(left) == len(verify.LENGTHS)
    for rule, measured in left:
        assert abs(measured - rule) < 1  # the rule leaves out a factor of order one and how roundings add up
    assert left[0][1] > 5
    assert left[-1][1] < 1


def test_a_wrong_cell_misses(monkeypatch):
    stiffer = lambda **values: Pascanu(f=lambda x: logistic(x * (1 + 1e-6)), **values)  # noqa: E731
    monkeypatch.setattr(verify, "Pascanu", stiffer)
    missed = [row for row in verify.basin_line() if row.passed is False]
    assert len(missed) > 10
    assert not report(missed, write=lambda line: None)


def test_the_stored_network_misses_with_other_gates(monkeypatch):
    monkeypatch.setattr(verify, "HardLSTM", LSTM)
    assert [row.passed for row in verify.replay()] == [False, True, False, True]


def test_a_wrong_expectation_misses(monkeypatch):
    wrong = tuple(value * (1 + 1e-5) for value in verify.BASIN[5, 20])
    monkeypatch.setattr(verify, "BASIN", {(5, 20): wrong})
    double = [row for row in verify.basin_line() if "d_" in row.quantity and "float64" in row.quantity]
    assert len(double) == 5
    assert not any(row.passed for row in double)


def test_a_check_passes_within_its_tolerance_and_never_with_nan():
    assert check("", 2.0, 2.0 + 1.9e-6, 1e-6).passed
    assert not check("", 2.0, 2.0 + 2.1e-6, 1e-6).passed
    assert check("", 0.0, 1e-7, 1e-6).passed
    assert check("", -math.inf, -math.inf, 0).passed
    for got in (math.nan, math.inf):
        assert not check("", -math.inf, got, 1).passed
        assert not check("", 1.0, got, 1).passed


def test_digits_count_the_decimals_that_agree():
    assert digits(2.0, 2.0 * (1 + 1e-5)) == pytest.approx(5, abs=1e-6)
    assert digits(1.0, 1.0) == verify.MOST_DIGITS
    assert digits(1.0, -3.0) == digits(1.0, math.nan) == digits(1.0, math.inf) == 0


def test_the_report_prints_each_row_and_says_whether_all_passed():
    fine = [Check("right", 1.0, 1.0, 17.0, True), Check("told", 3.0, 2.5, 2.5, None, "a note")]
    lines: list[str] = []
    assert report(fine, lines.append)
    assert [line.split()[0] for line in lines] == ["quantity", "ok", "info", "1"]
    assert lines[2].endswith("a note")
    assert lines[-1].startswith("1 of 1 known answers reproduced on ")
    lines.clear()
    assert not report([*fine, Check("wrong", 1.0, 1.1, 1.0, False)], lines.append)
    assert [line.split()[:2] for line in lines][3] == ["MISS", "wrong"]
    assert lines[-1].startswith("1 of 2 ")


# More closed forms met by the same route, at more points than a table should print


def exactly(w: float, b: float, length: int) -> dict[str, float]:
    """Loss and derivatives of Pascanu's figure by a second-order recursion in 40-digit decimal arithmetic."""
    with localcontext(prec=40):
        w, b, x, goal = Decimal(w), Decimal(b), Decimal("0.5"), Decimal("0.7")
        x_w = x_b = x_ww = x_wb = x_bb = Decimal(0)

        def slopes(x):
            s = 1 / (1 + (-x).exp())
            return s, s * (1 - s), s * (1 - s) * (1 - 2 * s)

        for _ in range(length):
            s, d, dd = slopes(x)
            x_ww = 2 * d * x_w + w * dd * x_w**2 + w * d * x_ww
            x_wb = d * x_b + w * dd * x_w * x_b + w * d * x_wb
            x_bb = w * dd * x_b**2 + w * d * x_bb
            x_w, x_b, x = s + w * d * x_w, 1 + w * d * x_b, w * s + b
        s, d, dd = slopes(x)
        slope, curve = 2 * (s - goal) * d, 2 * (d**2 + (s - goal) * dd)
        out = {
            "loss": (s - goal) ** 2,
            "d_w": slope * x_w,
            "d_b": slope * x_b,
            "d_w_w": slope * x_ww + curve * x_w**2,
            "d_w_b": slope * x_wb + curve * x_w * x_b,
            "d_b_b": slope * x_bb + curve * x_b**2,
        }
        return {name: float(value) for name, value in out.items()}


def test_generic_points_agree_with_forty_digit_arithmetic():
    points = [(4.37, -2.05), (5.213, -2.611), (2.9, -1.3), (-5.1, 3.3), (6.4, -3.9), (4.9, -2.553)]
    found = values(plane(Pascanu(), **AXES), Recurrence(pascanu(), verify.LENGTHS, order=2, dtype="float64"), points)
    for k, (w, b) in enumerate(points):
        for l, length in enumerate(verify.LENGTHS[:3]):
            exact = exactly(w, b, length)
            # Far from the cliff derivatives die out; rounding is then measured against their largest part, near 1.
            for name, expected in exact.items():
                assert found[name][l, k] == pytest.approx(expected, rel=1e-9, abs=1e-16)


@pytest.mark.parametrize("w", [1.5, 1.0, 0.6, -1.5, -0.8])
def test_the_softsign_unit_is_a_moebius_map(w):
    lengths = (1, 2, 7, 50)
    found = values(plane(SoftsignRNN(), **AXES), Recurrence(reach(0.7), lengths, order=0, dtype="float64"), [(w, 0.0)])[
        "loss"
    ]
    for loss, T in zip(found[:, 0], lengths, strict=True):
        size = 1 / abs(w) ** T / 0.7 + ((1 - abs(w) ** -T) / (1 - 1 / abs(w)) if abs(w) != 1 else T)
        h = math.copysign(1, w) ** T / size
        assert loss == pytest.approx((1 - h) ** 2, rel=1e-13)


def test_basin_cliffs_of_all_lengths_fall_on_one_curve():
    # In z = (b - b_c) m**T / (m - 1) the state tends to Poincare's function Phi; z = -.3 and .3 lie on its two sides.
    table = {
        -3.0: {20: -2.007252766, 50: -2.009797052, 100: -2.010246771},
        -0.3: {20: 0.1642266231, 50: 0.1313349612, 100: 0.1307641273},
        0.3: {20: 0.7456638741, 50: 0.7445880731, 100: 0.7444435719},
    }
    w = 5.0
    with jax.enable_x64(True):
        cliff = dynamics.cliff_line(logistic, w, 0.5)
        b, m = float(cliff.b), float(cliff.multiplier)
    points = [(w, b + z * (m - 1) * m**-T) for z, row in table.items() for T in row]
    found = values(
        plane(Pascanu(), **AXES), Recurrence(reach(0.5, 0.0), (20, 50, 100), order=0, dtype="float64"), points
    )["loss"]
    for k, (z, row) in enumerate(table.items()):
        for l, (T, expected) in enumerate(row.items()):
            # At T = 100 the width is 1e-7: b has nine digits of it left, and the orbit amplifies its own rounding.
            assert math.sqrt(found[l, 3 * k + l]) == pytest.approx(abs(expected), abs=1e-9 if T < 100 else 1e-7), z


def test_curvature_is_the_square_of_the_slope_on_a_basin_cliff():
    s = 1 / (1 + math.exp(-0.5))
    points = [(w, 0.5 - w * s) for w in (5.0, 6.0)]
    found = values(plane(Pascanu(), **AXES), Recurrence(pascanu(), verify.LENGTHS, order=2, dtype="float64"), points)
    slope, bend = s * (1 - s), s * (1 - s) * (1 - 2 * s)
    by_x, by_xx = 2 * (s - 0.7) * slope, 2 * (slope**2 + (s - 0.7) * bend)
    for k, (w, limit, length) in enumerate(((5.0, -1.39938679, 100), (6.0, -0.5973301413, 50))):
        m, at = w * slope, (verify.LENGTHS.index(length), k)
        assert w * bend / (m * (m - 1)) == pytest.approx(limit, abs=6e-9)
        x_b = found["d_b"][at] / by_x
        # The limit is met to about T m**-T: the first steps, before the tangent has its direction.
        assert (found["d_b_b"][at] - by_xx * x_b**2) / by_x / x_b**2 == pytest.approx(
            limit, rel=length * m**-length * 5
        )


def test_the_cusp_decays_as_the_square_root_of_time():
    lengths = (100, 1000, 10_000)
    found = values(plane(SRNN(), **AXES), Recurrence(reach(1.0, 0.0), lengths, order=0, dtype="float64"), [(1.0, 0.0)])[
        "loss"
    ][:, 0]
    constant = 1 / found - 2 * np.array(lengths) / 3 - 0.1 * np.log(lengths)
    np.testing.assert_allclose(constant[1:], 0.96665, atol=3e-4)  # o(1), of order 1/T
    assert abs(constant[2] - 0.96665) < abs(constant[1] - 0.96665) < abs(constant[0] - 0.96665)


def test_a_gradient_along_the_cliff_dies_while_the_one_across_it_explodes():
    found = values(plane(SRNN(), **AXES), Recurrence(reach(), (10, 60), order=1, dtype="float32"), [(2.0, 0.0)])
    assert np.all(found["d_w"] == 0)
    np.testing.assert_array_equal(found["d_b"][:, 0], [-(2.0**11) + 2, -(2.0**61)])  # 2**61 - 2 rounds to 2**61
