"""The same mathematics once more, in plain NumPy: slow, obvious, and sharing no line with the package.

``Name(p, state, x)`` is the step of the cell ``Name``: parameters ``p`` by name as full matrices (unit, unit),
(input, unit) and vectors (unit,), the state as a tuple of vectors, ``x`` (input,). Returns the next state as a tuple.
A new cell needs one more such function here.
"""

import functools

import numpy as np


def s(x):
    return 1 / (1 + np.exp(-x))


def clip(x):
    return np.minimum(1, np.maximum(0, 0.2 * x + 0.5))


def softsign(x):
    return x / (1 + np.abs(x))


def relu(x):
    return np.where(x > 0, x, 0)


def same(x):
    return x


def _simple(p, state, x, act):
    (h,) = state
    return (act(h @ p["w"] + x @ p["u"] + p["b"]),)


SRNN = functools.partial(_simple, act=np.tanh)
LogisticRNN = functools.partial(_simple, act=s)
IRNN = functools.partial(_simple, act=relu)
SoftsignRNN = functools.partial(_simple, act=softsign)
LinearRNN = functools.partial(_simple, act=same)


def LeakyRNN(p, state, x):
    (h,) = state
    return (h - p["a"] * h + p["a"] * np.tanh(h @ p["w"] + x @ p["u"] + p["b"]),)


def _map(p, state, x, f):
    (h,) = state
    return (f(h) @ p["w"] + x @ p["u"] + p["b"],)


Pascanu = functools.partial(_map, f=s)
TanhMap = functools.partial(_map, f=np.tanh)


def BengioLatch(p, state, x):
    (h,) = state
    e = p["e"]
    if e.shape == (1, 1):  # one number for both classes: minus for the first half of the inputs, plus for the second
        half = (len(x) - 1) // 2
        e = np.array([[-e[0, 0]]] * half + [[e[0, 0]]] * half)
    return (np.tanh(h @ p["w"] + x[:-1] @ e + x[-1]),)


def _gru(p, state, x, gate=s, after=False, z_keeps=True):
    (h,) = state
    z = gate(h @ p["w_z"] + x @ p["u_z"] + p["b_z"])
    r = gate(h @ p["w_r"] + x @ p["u_r"] + p["b_r"])
    if after:
        g = np.tanh(x @ p["u_h"] + p["b_h"] + r * (h @ p["w_h"] + p["c_h"]))
    else:
        g = np.tanh(x @ p["u_h"] + p["b_h"] + (r * h) @ p["w_h"])
    return (z * h + (1 - z) * g,) if z_keeps else ((1 - z) * h + z * g,)


GRU = _gru
GRUResetAfter = functools.partial(_gru, after=True)
GRUChung = functools.partial(_gru, z_keeps=False)
HardGRU = functools.partial(_gru, gate=clip)


def MUT1(p, state, x):
    (h,) = state
    z = s(x @ p["u_z"] + p["b_z"])
    r = s(x @ p["u_r"] + h @ p["w_r"] + p["b_r"])
    seen = x @ p["p"] if "p" in p else x
    return (np.tanh((r * h) @ p["w_h"] + np.tanh(seen) + p["b_h"]) * z + h * (1 - z),)


def MUT2(p, state, x):
    (h,) = state
    seen = x @ p["p"] if "p" in p else x
    z = s(x @ p["u_z"] + h @ p["w_z"] + p["b_z"])
    r = s(seen + h @ p["w_r"] + p["b_r"])
    return (np.tanh((r * h) @ p["w_h"] + x @ p["u_h"] + p["b_h"]) * z + h * (1 - z),)


def MUT3(p, state, x):
    (h,) = state
    z = s(x @ p["u_z"] + np.tanh(h) @ p["w_z"] + p["b_z"])
    r = s(x @ p["u_r"] + h @ p["w_r"] + p["b_r"])
    return (np.tanh((r * h) @ p["w_h"] + x @ p["u_h"] + p["b_h"]) * z + h * (1 - z),)


def _lstm(p, state, x, gate=s, g_act=np.tanh, h_act=np.tanh, absent="", coupled=False):
    h, c, *gates = state

    def opened(a, cell):
        if a in absent:
            return np.ones_like(c)
        total = x @ p[f"u_{a}"] + h @ p[f"w_{a}"] + p[f"b_{a}"]
        if f"p_{a}" in p:
            total = total + p[f"p_{a}"] * cell
        for b, last in zip("ifo", gates, strict=False):
            total = total + last @ p[f"r_{b}{a}"]
        return gate(total)

    i = opened("i", c)
    f = 1 - i if coupled else opened("f", c)
    new = f * c + i * g_act(x @ p["u_g"] + h @ p["w_g"] + p["b_g"])
    o = opened("o", new)
    return (o * h_act(new), new, *((i, f, o) if gates else ()))


LSTM = NP = LSTMPeephole = FGR = _lstm
HardLSTM = functools.partial(_lstm, gate=clip)
FrozenLSTM = functools.partial(_lstm, gate=same)
LSTM1997 = functools.partial(_lstm, g_act=lambda x: 4 * s(x) - 2, h_act=lambda x: 2 * s(x) - 1, absent="f")
NIG = functools.partial(_lstm, absent="i")
NFG = functools.partial(_lstm, absent="f")
NOG = functools.partial(_lstm, absent="o")
NIAF = functools.partial(_lstm, g_act=same)
NOAF = functools.partial(_lstm, h_act=same)
CIFG = functools.partial(_lstm, coupled=True)


def MemoryBlocks(p, state, x):
    h, c, i, o = state
    reach = lambda k: h @ p[f"w_{k}"] + i @ p[f"r_i{k}"] + o @ p[f"r_o{k}"] + x @ p[f"u_{k}"] + p[f"b_{k}"]  # noqa: E731
    opened, shown = s(reach("i")), s(reach("o"))
    share = len(c) // len(opened)
    new = c + np.repeat(opened, share) * (4 * s(reach("g")) - 2)
    return np.repeat(shown, share) * (2 * s(new) - 1), new, opened, shown
