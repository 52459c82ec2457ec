"""Training against Keras 3 and PyTorch: the same latching experiment, from a fresh process to its numbers.

    python benchmarks/training.py                       # 30 repeats at T = 10, 50, 100 for SRNN, LSTM, GRU: 20 min
    python benchmarks/training.py --repeats 3 --figure ''             # a quick look: five minutes

Corrected protocol of stats.SE 340898: 10,000 sequences with balanced classes, a fifth to validate on, one recurrent
unit, Dense(2) + softmax, Adam 1e-3, batch 16, 5 epochs with validation after each. Keras trains on its JAX backend,
the fastest it has, and builds a new model for each repeat. Same initialisers (Glorot, orthogonal), same Adam, GRU with
reset after. Both sides may use every core. Keras and PyTorch live in side environments that this script makes
(.venv-keras, .venv-torch) and are no dependencies. Seconds are those of the whole process, compiling included.

    python benchmarks/training.py --layer              # a layer of 32 units against flax.linen and optax: a minute
    python benchmarks/training.py --fused              # gradients of LSTMs beside a scan fused by hand: a minute
    python benchmarks/training.py --text               # updates a second of an LSTM of 128 units on characters

The learning curves are compared too: at each length and epoch the difference of the two mean validation accuracies
(losses) in its standard errors. Its root mean square is about 1 if both sides train alike.

Measured on two free cores, 2026-11-22, start to numbers: SRNN 2.7 s (1.5 of them compiling), LSTM 4.2 (1.9), GRU 4.0
(1.9), which is 35, 32 and 34 times as fast as Keras 3.15. LSTM is from a second run: in the first it came after a
disk was written to, and took 5.0 s (2.4), 26 times. The figure of 25 lengths x 30 repeats x 3 cells took 41 s here and
about 2,900 s by Keras, 70 times.
Learning curves: .5 to 1.4 standard errors.
A layer of 32 units takes .7 (SRNN), .9 (LSTM) and .7 (GRU) of the processor time of flax.linen and optax.

Gradients beside a scan by hand, milliseconds of processor time, 2026-11-22, beside other work, jax 0.10.2; the better
of two runs, and both ratios:

    layers, units   asked            ours   by hand   ratio
    1 x 32          one answer        1.2       1.2   1.00, 1.01
    1 x 100         one answer        7.2       6.6   1.09, 1.08
    1 x 128         one answer        9.2      12.4    .74,  .76
    1 x 32          at every step     1.6       1.4   1.14, 1.07
    1 x 128         at every step    10.2      12.9    .79,  .96
    2 x 32          at every step     3.6       3.4   1.05, 1.05
    2 x 128         at every step    42.6      35.2   1.21, 1.20

The last takes 38 MB, which glibc, above 32 MB, gives back after each call and asks for again page by page: with
MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ at 1000000000 it is 25.0 and 29.7 ms. A whole training is one call.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELLS = ("SRNN", "LSTM", "GRU")
FIGURE = (2, 5, 8, 10, 15, 20, 25, *range(30, 201, 10))
COUNT, KEPT, EPOCHS, BATCH = 10_000, 8_000, 5, 16


def latching(length, seed=0):
    """Sequences (10000, length, 1) and labels, drawn with NumPy for the other side."""
    import numpy as np

    rng = np.random.default_rng(seed)
    label = np.arange(COUNT) % 2
    x = rng.normal(0, 0.1, (COUNT, length, 1)).astype("float32")
    x[:, 0, 0] += 2 * label - 1
    return x, label


def ours(cells, lengths, repeats):
    """Every length and cell by this package: validation accuracies, and seconds compiling."""
    from concurrent.futures import ThreadPoolExecutor

    import landscape.cells
    from landscape import training
    from landscape.tasks import latch

    def one(name):
        cell = landscape.cells.GRUResetAfter() if name == "GRU" else getattr(landscape.cells, name)()
        setup = lambda key: (training.begin(cell, key), training.keras_adam())  # noqa: E731
        table = training.curves(setup, latch(), lengths, seeds=repeats, epochs=EPOCHS, batch=BATCH, count=COUNT)
        epochs = {
            str(length): [table[name].sel(length=length).values.tolist() for name in ("val_accuracy", "val_loss")]
            for length in lengths
        }
        return {"epochs": epochs, "compiling": table.attrs["seconds_compiling"]}

    with ThreadPoolExecutor(len(cells)) as pool:  # one compiles while another runs
        return dict(zip(cells, pool.map(one, cells), strict=True))


def keras(cells, lengths, repeats):
    """The same by Keras 3: a new model for each repeat, as its users write it."""
    import keras

    layers = {"SRNN": keras.layers.SimpleRNN, "LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}
    result = {}
    for name in cells:
        epochs, seconds = {}, {}
        for length in lengths:
            x, y = latching(length)
            train, rest, began = (x[:KEPT], y[:KEPT]), (x[KEPT:], y[KEPT:]), time.perf_counter()
            epochs[str(length)] = runs = [[], []]
            for seed in range(repeats):
                keras.utils.set_random_seed(seed)
                model = keras.Sequential([keras.Input((length, 1)), layers[name](1), keras.layers.Dense(2, "softmax")])
                model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
                seen = model.fit(*train, batch_size=BATCH, epochs=EPOCHS, validation_data=rest, verbose=0)
                for run, kind in zip(runs, ("val_accuracy", "val_loss"), strict=True):
                    run.append(seen.history[kind])
            seconds[str(length)] = time.perf_counter() - began
        result[name] = {"epochs": epochs, "seconds": seconds}
    return result


def torch(cells, lengths, repeats):
    """The same by PyTorch on the CPU, in the plain loop of its tutorials."""
    import torch

    torch.set_num_threads(1)  # with more it waits for its threads at every step
    layers, result = {"SRNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}, {}
    for name in cells:
        seconds = {}
        for length in lengths:
            x, y = (torch.from_numpy(each) for each in latching(length))
            began = time.perf_counter()
            for seed in range(repeats):
                torch.manual_seed(seed)
                cell, head = layers[name](1, 1, batch_first=True), torch.nn.Linear(1, 2)
                optimiser = torch.optim.Adam([*cell.parameters(), *head.parameters()])
                for _ in range(EPOCHS):
                    for index in torch.randperm(KEPT).split(BATCH):
                        optimiser.zero_grad()
                        answer = head(cell(x[index])[0][:, -1])
                        torch.nn.functional.cross_entropy(answer, y[index]).backward()
                        optimiser.step()
                    with torch.no_grad():
                        (head(cell(x[KEPT:])[0][:, -1]).argmax(1) == y[KEPT:]).float().mean().item()
            seconds[str(length)] = time.perf_counter() - began
        result[name] = {"seconds": seconds}
    return result


UNITS, STEPS, EPISODES = 32, 100, 1000


def fastest(runs, rounds=9):
    """The fewest processor seconds of each of several functions, called in turn so that all meet the same machine."""
    import jax

    best = [math.inf] * len(runs)
    for k in range(rounds + 1):  # the first round compiles
        for i, run in enumerate(runs):
            began = time.process_time()
            jax.block_until_ready(run())
            best[i] = min(best[i], time.process_time() - began) if k else math.inf
    return best


def linen(cell, data, updates):
    """Two epochs of the loop that users of flax.linen and optax write, compiled as a whole."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(nn.RNN(cell(UNITS))(x)[:, -1])

    net, optimiser = Net(), optax.adam(1e-3)
    x, label = data.x[..., None], (data.target > 0).astype(jnp.int32)
    kept = updates * BATCH

    def loss(weights, x, label):
        y = net.apply(weights, x)
        return optax.softmax_cross_entropy_with_integer_labels(y, label).mean(), (y.argmax(-1) == label).mean()

    def epoch(carry, key, x, label):
        def update(carry, index):
            weights, inner = carry
            seen, slope = jax.value_and_grad(loss, has_aux=True)(weights, x[index], label[index])
            change, inner = optimiser.update(slope, inner, weights)
            return (optax.apply_updates(weights, change), inner), seen

        order = jax.random.permutation(key, kept).reshape(updates, BATCH)
        carry, seen = jax.lax.scan(update, carry, order)
        return carry, (seen, loss(carry[0], x[kept:], label[kept:]))

    @jax.jit
    def run(key, weights, x, label):
        keys, begun = jax.random.split(key, 2), (weights, optimiser.init(weights))
        return jax.lax.scan(lambda carry, key: epoch(carry, key, x, label), begun, keys)

    weights = net.init(jax.random.key(0), x[:1])
    return lambda: run(jax.random.key(1), weights, x, label)


def layer():
    """Milliseconds of processor time an update of one layer, here and by flax.linen with optax, in one process."""
    import flax.linen as nn
    import jax

    from landscape import cells, training
    from landscape.tasks import episodes, latch

    data = jax.jit(lambda: episodes(latch(), jax.random.key(1), EPISODES, STEPS))()
    updates = round(0.8 * EPISODES) // BATCH
    print(f"a layer of {UNITS} units, T = {STEPS}, batch {BATCH}: processor time of an update")
    pairs = [(cells.SRNN(), nn.SimpleCell), (cells.LSTM(), nn.OptimizedLSTMCell), (cells.GRUResetAfter(), nn.GRUCell)]
    for cell, theirs in pairs:
        model = training.begin(cell, jax.random.key(0), units=UNITS)
        fit = jax.jit(lambda key, model, data: training.fit(key, model, data, training.keras_adam(), epochs=2))
        runs = [lambda fit=fit, model=model: fit(jax.random.key(1), model, data), linen(theirs, data, updates)]
        mine, other = (seconds / (2 * updates) * 1e3 for seconds in fastest(runs))
        name = type(cell).__name__
        print(
            f"{name:5s} ours {mine:.2f} ms   flax.linen and optax {other:.2f} ms   ratio {mine / other:.2f}", flush=True
        )


def by_hand(units, depth, every):
    """The gradient of LSTM layers written by hand, the four gates of a layer in one product: what one would aim at."""
    import jax
    import jax.numpy as jnp

    def step(layers, states, x):
        after = []
        for (u, w, b), (h, c) in zip(layers, states, strict=True):
            i, f, g, o = jnp.split(x @ u + h @ w + b, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            x = jax.nn.sigmoid(o) * jnp.tanh(c)
            after.append((x, c))
        return after, x

    def loss(weights, x, target):
        *layers, (v, c) = weights
        still = jnp.zeros((x.shape[1], units))
        h = jax.lax.scan(lambda states, x: step(layers, states, x), [(still, still)] * depth, x)[1]
        log_p = jax.nn.log_softmax((h if every else h[-1]) @ v + c)
        return -jnp.mean(jnp.take_along_axis(log_p, target[..., None], -1))

    key, sizes = jax.random.key(0), [(1 if k == 0 else units, units, 0) for k in range(depth)]
    draw = lambda *shape: 0.1 * jax.random.normal(key, shape)  # noqa: E731
    weights = [[draw(n, 4 * units) if n else jnp.zeros(4 * units) for n in size] for size in sizes]
    return jax.jit(jax.value_and_grad(loss)), [*weights, [draw(units, 10), jnp.zeros(10)]]


def fused():
    """Milliseconds of processor time of one gradient, by `training.reverse` and by hand: LSTM, T = 64, batch 32."""
    import jax
    import jax.numpy as jnp

    from landscape import cells, losses, training
    from landscape.models import Stack
    from landscape.tasks import Episode

    time_, batch, many = 64, 32, 10
    print(f"gradient of an LSTM, T = {time_}, batch {batch}: processor time")
    for units, depth, every in ((32, 1, 0), (100, 1, 0), (128, 1, 0), (32, 1, 1), (128, 1, 1), (32, 2, 1), (128, 2, 1)):
        cell = cells.LSTM() if depth == 1 else Stack(layers=(cells.LSTM(),) * depth)
        model = training.begin(cell, jax.random.key(0), units=units, inputs=1, outputs=10)
        x, asked = jax.random.normal(jax.random.key(1), (time_, batch, 1)), (time_, batch)[1 - every :]
        target = jax.random.randint(jax.random.key(2), asked, 0, 10)
        data = Episode(x=x, target=target, mask=jnp.ones(asked) / time_ if every else None)
        route, index = training.reverse(losses.classes), jnp.arange(batch)
        ours = jax.jit(lambda model, r=route, d=data, i=index: r.gradient(model, d, i, jnp.int32(time_)))
        hand, weights = by_hand(units, depth, every)
        runs = [
            lambda ours=ours, model=model: [ours(model) for _ in range(many)],
            lambda hand=hand, w=weights, x=x, target=target: [hand(w, x, target) for _ in range(many)],
        ]
        mine, other = (seconds / many * 1e3 for seconds in fastest(runs))
        what = (
            f"{depth} layer{'s' * (depth > 1)} of {units}, {'masks, a loss at every step' if every else 'one answer'}"
        )
        print(f"{what:46s} ours {mine:5.1f} ms   by hand {other:5.1f} ms   ratio {mine / other:.2f}", flush=True)


def text():
    """Updates a second, by processor time, of a character LSTM of 128 units: 96 symbols, 32 lanes, slices of 50."""
    import jax
    import numpy as np
    import optax

    from landscape import cells, data, training

    symbols, updates = np.random.default_rng(0).integers(0, 96, 32 * 50 * 20 + 1), 20
    lanes, test = data.next_symbols(symbols, 50 * updates), data.next_symbols(symbols[:51], 50)
    model = training.begin(cells.LSTM(), jax.random.key(0), units=128, inputs=96, outputs=96)
    rule = optax.chain(optax.clip(5.0), optax.rmsprop(2e-3, decay=0.95))
    run = jax.jit(lambda model: training.stream(model, lanes, rule, steps=50, validation=test))
    (seconds,) = fastest([lambda: run(model)], rounds=5)
    print(
        f"LSTM of 128 units on characters, 32 x 50: {updates / seconds:.0f} updates a second of processor time "
        f"(load {os.getloadavg()[0]:.1f})"
    )


def environment(name, *packages):
    """The interpreter of a side environment, made if it is not there."""
    home = ROOT / f".venv-{name}"
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        print(f"making {home.name} with {' '.join(packages)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (home / ".ready").touch()
    return python


def process(python, side, cells, lengths, repeats):
    """Run one side in a fresh process: its result, and the seconds from start to numbers, not those that it takes to
    leave: .4 s here, the interpreter's last look for cycles.
    """
    words = [
        "--side",
        side,
        "--repeats",
        str(repeats),
        "--cells",
        ",".join(cells),
        "--lengths",
        ",".join(map(str, lengths)),
    ]
    began, said = time.perf_counter(), []
    surroundings = {**os.environ, "KERAS_BACKEND": "jax"}
    with subprocess.Popen([python, __file__, *words], env=surroundings, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout:
            said.append((line, time.perf_counter() - began))
    if running.returncode:
        raise SystemExit(f"{side} failed with exit code {running.returncode}")
    numbers, seconds = said[-1]
    return json.loads(numbers), seconds


def solved(epochs):
    """Share of runs that ended above .95 correct, and how many there were."""
    flat = [run[-1] > 0.95 for accuracies, _ in epochs.values() for run in accuracies]
    return sum(flat) / len(flat), len(flat)


def apart(mine, theirs):
    """How far two sets of learning curves (run, epoch) lie apart: differences of means over their standard errors."""
    import numpy as np

    a, b = np.array(mine), np.array(theirs)
    noise = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
    return (a.mean(0) - b.mean(0)) / noise


def agreement(mine, theirs):
    """In words, how well the curves of validation agree, over every length and epoch."""
    import numpy as np

    said = []
    for kind, name in enumerate(("accuracy", "loss")):
        z = np.concatenate([apart(mine[length][kind], theirs[length][kind]) for length in mine])
        said.append(f"{name} {np.sqrt(np.mean(z**2)):.2f} (at most {np.abs(z).max():.1f})")
    return f"differences in standard errors, root mean square over {len(z)} lengths x epochs: {', '.join(said)}"


def for_figure(seconds, repeats):
    """Seconds for 30 repeats of the 25 lengths, from a line through the seconds per repeat against length."""
    points = [(float(length), total / repeats) for length, total in seconds.items()]
    x, y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((p[0] - x) ** 2 for p in points)
    slope = sum((p[0] - x) * (p[1] - y) for p in points) / spread if spread else 0.0
    return 30 * sum(y + slope * (length - x) for length in FIGURE)


def main():
    """Make the environments, run both sides cell by cell, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--lengths", default="10,50,100")
    parser.add_argument("--torch-repeats", type=int, default=1, help="0 leaves PyTorch out; its seconds are scaled up")
    parser.add_argument("--figure", default=",".join(CELLS), help="cells of the 25-length figure; '' leaves it out")
    parser.add_argument("--layer", action="store_true", help="a layer against flax.linen and optax, and nothing else")
    parser.add_argument("--fused", action="store_true", help="gradients beside a scan by hand, and nothing else")
    parser.add_argument("--text", action="store_true", help="an LSTM on characters, and nothing else")
    parser.add_argument("--side", choices=("ours", "keras", "torch"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    cells, lengths = given.cells.split(","), [int(length) for length in given.lengths.split(",")]
    if unknown := {*cells, *filter(None, given.figure.split(","))} - {*CELLS}:
        parser.error(f"cells are {', '.join(CELLS)}; given {sorted(unknown)[0]!r}")
    for name, alone in (("layer", layer), ("fused", fused), ("text", text)):
        if getattr(given, name):
            alone()
            return
    if given.side:
        print(json.dumps(globals()[given.side](cells, lengths, given.repeats)), flush=True)
        return

    side = environment(
        "keras", "keras>=3.12", f"jax=={metadata.version('jax')}", f"jaxlib=={metadata.version('jaxlib')}"
    )
    whole = {}
    print(f"{given.repeats} repeats at T = {lengths}, fresh process to numbers, {os.cpu_count()} cores")
    for cell in cells:
        mine, seconds = process(sys.executable, "ours", [cell], lengths, given.repeats)
        theirs, keras_seconds = process(side, "keras", [cell], lengths, given.repeats)
        (a, n), (b, m) = solved(mine[cell]["epochs"]), solved(theirs[cell]["epochs"])
        noise = math.sqrt(a * (1 - a) / n + b * (1 - b) / m)
        print(
            f"{cell:5s} ours {seconds:.1f} s ({mine[cell]['compiling']:.1f} compiling)   Keras {keras_seconds:.1f} s   "
            f"ratio {keras_seconds / seconds:5.1f}   solved {a:.2f} and {b:.2f}, standard error {noise:.2f}",
            flush=True,
        )
        if given.repeats > 1:
            print(f"      learning curves: {agreement(mine[cell]['epochs'], theirs[cell]['epochs'])}", flush=True)
        whole[cell] = for_figure(theirs[cell]["seconds"], given.repeats)
        if given.torch_repeats:
            python = environment("torch", "torch==2.13.0", "numpy") if sys.version_info[:2] == (3, 11) else None
            if python is None:
                print("      PyTorch left out: its CPU build installs on Python 3.11 only")
                continue
            plain, _ = process(python, "torch", [cell], lengths, given.torch_repeats)
            total = sum(plain[cell]["seconds"].values()) * given.repeats / given.torch_repeats
            print(f"      PyTorch {total:.0f} s, scaled from {given.torch_repeats} of {given.repeats} repeats: "
                  f"ratio {total / seconds:.0f}", flush=True)  # fmt: skip
    if given.figure:
        chosen = given.figure.split(",")
        result, seconds = process(sys.executable, "ours", chosen, FIGURE, 30)
        print(f"the figure, 25 lengths x 30 repeats x {', '.join(chosen)}: ours {seconds:.1f} s "
              f"({sum(each['compiling'] for each in result.values()):.1f} compiling, side by side)")  # fmt: skip
        if all(cell in whole for cell in chosen):
            estimate = sum(whole[cell] for cell in chosen)
            print(f"Keras, by a line through its lengths: {estimate:.0f} s, ratio {estimate / seconds:.0f}")


if __name__ == "__main__":
    main()
