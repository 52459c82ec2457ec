"""The law of success as a surface: where learning ends is found in worlds where it is planted."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from landscape import names
from landscape.models import run as answers

ROOT = Path(__file__).parents[1]
experiment, figure = (names.module(str(ROOT / f"{folder}/success_surface.py")) for folder in ("experiments", "figures"))
RATES, FADINGS, LENGTHS, SEEDS = 3, 24, (10, 40), 24


def world(ends) -> xarray.Dataset:
    """Runs as `curves` lists them, which learn up to ``ends(rate, length)`` if their readout has the right sign."""
    rng = np.random.default_rng(1)
    rates, fadings = np.geomspace(1e-4, 1e-1, RATES), np.geomspace(5e-3, 1, FADINGS)
    ratio = fadings[1] / fadings[0]
    k = fadings[:, None] * ratio ** rng.uniform(-0.5, 0.5, SEEDS)
    start = np.stack([np.exp(-k), *np.broadcast_to(rng.normal(size=(3, 1, SEEDS)), (3, FADINGS, SEEDS))], -1)
    initial = np.broadcast_to(start, (len(LENGTHS), RATES, FADINGS, SEEDS, 4))
    right = (start[0, :, 3] - start[0, :, 2]) * start[0, :, 1] > 0
    end = np.array([[ends(rate, length) for rate in rates] for length in LENGTHS])
    x = np.array(LENGTHS)[:, None, None] * k
    learnt = (x[:, None] < end[..., None, None]) & right
    dims = ("length", "rate", "fading", "seed")
    coordinates = {"length": list(LENGTHS), "rate": rates, "fading": fadings, "seed": np.arange(SEEDS)}
    coordinates["parameter"] = ["w", "u", "readout.w[0]", "readout.w[1]"]
    made = {"accuracy": (dims, np.where(learnt, 1.0, 0.5)), "initial": ((*dims, "parameter"), initial)}
    return xarray.Dataset(made, coordinates)


def test_the_cut_is_where_it_was_planted_within_its_interval() -> None:
    found = experiment.judged(world(lambda rate, length: 5.0))
    low, high = (found.cut.sel(end=end) for end in ("low", "high"))
    assert np.all((low <= 5) & (high >= 5))
    assert np.all(high - low < 3)  # 24 starts, about 12 of the right sign, each with an x in every cell of 1.26
    assert experiment.together(found).all()


def test_cuts_at_a_number_of_steps_are_no_law_of_what_is_lost() -> None:
    """Where learning ends at the same fading a step, and so at four times the x, the lengths do not fall together."""
    found = experiment.judged(world(lambda rate, length: 0.2 * length))
    assert not experiment.together(found).any()
    assert "a cut for each length" in experiment.sentence(found)


def test_a_cut_beyond_all_starts_has_no_upper_end() -> None:
    found = experiment.judged(world(lambda rate, length: np.inf if rate > 0.05 else 5.0))
    assert np.isinf(found.cut.sel(end="high").isel(rate=-1)).all()
    assert np.isfinite(found.cut.sel(end="high").isel(rate=0)).all()


def test_runs_of_the_wrong_sign_count_in_the_share_and_not_in_the_cut() -> None:
    found = experiment.judged(world(lambda rate, length: 5.0))
    assert found.share.max() == float(found.aligned[0]) / SEEDS < 1


def test_starts_lie_in_their_cell_and_their_sign_is_that_of_an_answer_without_noise() -> None:
    """At even and odd lengths, for recurrent weights of both signs."""

    @jax.jit
    @jax.vmap
    def one(key):
        model = experiment.begun(key, 0.1, 0.2, 1.5)[0]
        bit = jnp.zeros(5).at[0].set(1.0)
        apart = answers(model, bit) - answers(model, -bit)
        return jnp.stack([model.cell.w, model.cell.u, *model.readout.w]), apart[3:, 1] - apart[3:, 0]

    starts, apart = one(jax.random.split(jax.random.key(3), 8))
    parameter = ["w", "u", "readout.w[0]", "readout.w[1]"]
    initial = xarray.DataArray(np.asarray(starts), {"parameter": parameter}, ("seed", "parameter"))
    w = initial.sel(parameter="w").values
    assert len(set(np.sign(w))) == 2
    assert np.all(np.abs(np.log(-np.log(np.abs(w)) / 0.2)) <= np.log(1.5) / 2)
    for column, length in enumerate((4, 5)):
        np.testing.assert_array_equal(experiment.aligned(initial, length).values, np.asarray(apart)[:, column] > 0)


def test_the_figure_says_where_the_least_rate_ends_and_what_the_largest_finds() -> None:
    some = experiment.judged(world(lambda rate, length: np.inf if rate > 0.05 else 5.0))
    share = 100 * int(some.aligned[0]) / SEEDS
    last = float(re.search(r"fade by (\d+) e-folds", figure.title(some))[1])
    assert 5 <= last <= 5 * 1.26 + 0.5  # a cell, whole e-folds
    assert figure.title(some).endswith(f"; 0.1: {share:.0f} to {share:.0f} % learn the most faded")
    none = experiment.judged(world(lambda rate, length: 3.0)).assign_attrs(repeats=SEEDS, count=100)
    assert figure.title(none).endswith("0.1: 0 to 0 % learn the most faded")
    assert len([ax for ax in figure.page(none).axes if ax.get_title().startswith("T = ")]) == len(LENGTHS)


def test_one_fading_is_no_surface() -> None:
    with pytest.raises(ValueError, match="needs two fadings or more, given 1"):
        experiment.run(fadings=1)


@pytest.mark.slow
def test_small_rates_stop_where_large_ones_do_not() -> None:
    found = experiment.run(quick=True)
    assert found.sizes == {"length": 2, "rate": 3, "fading": 8, "end": 3}
    assert float(found.cut.sel(end="low").isel(rate=-1).min()) > float(found.cut.sel(end="high").isel(rate=0).max())
