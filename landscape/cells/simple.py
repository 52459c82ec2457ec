"""Cells without gates: one nonlinearity round one affine map."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Real

from landscape.activations import tanh
from landscape.cells.base import Cell, State, identity, logistic
from landscape.tree import Parameter, dot, param, pytree, static


@pytree
class SRNN(Cell):
    """``h' = act(w h + u x + b)``, act = tanh: simple recurrent unit (Elman 1990)."""

    w: Parameter = param("unit", "unit", default=1.0)
    u: Parameter = param("input", "unit", default=1.0)
    b: Parameter = param("unit")
    act: Callable = static(tanh)

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        return State(self.act(dot(state.h, self.w) + dot(x, self.u) + self.b))


def LogisticRNN(**values: Parameter) -> SRNN:
    """``h' = s(w h + u x + b)``: `SRNN` with the logistic function (Elman 1990)."""
    return SRNN(act=logistic, **values)


def IRNN(**values: Parameter) -> SRNN:
    """``h' = max(0, w h + u x + b)``, at first w = 1: `SRNN` with ReLU (Le, Jaitly & Hinton 2015)."""
    return SRNN(act=jax.nn.relu, **values)


def SoftsignRNN(**values: Parameter) -> SRNN:
    """``h' = a / (1 + |a|)``, a = w h + u x + b: `SRNN` with softsign, a Moebius map if u x + b = 0."""
    return SRNN(act=jax.nn.soft_sign, **values)


def LinearRNN(**values: Parameter) -> SRNN:
    """``h' = w h + u x + b``: `SRNN` without nonlinearity, solved for every length."""
    return SRNN(act=identity, **values)


@pytree
class LeakyRNN(Cell):
    """``h' = (1 - a) h + a tanh(w h + u x + b)``: leaky integrator (Jaeger et al. 2007, eq. 2)."""

    a: Parameter = param("unit", default=0.5)
    w: Parameter = param("unit", "unit", default=1.0)
    u: Parameter = param("input", "unit", default=1.0)
    b: Parameter = param("unit")

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        new = tanh(dot(state.h, self.w) + dot(x, self.u) + self.b)
        return State(state.h * (1 - self.a) + new * self.a)


@pytree
class Pascanu(Cell):
    """``h' = w f(h) + u x + b``, f = logistic: h is what enters f, not what leaves it (Pascanu et al. 2013, eq. 2)."""

    w: Parameter = param("unit", "unit", default=5.0)
    u: Parameter = param("input", "unit", default=1.0)
    b: Parameter = param("unit", default=-2.5)
    f: Callable = static(logistic)

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        return State(dot(self.f(state.h), self.w) + dot(x, self.u) + self.b)


def TanhMap(**values: Parameter) -> Pascanu:
    """``h' = w tanh(h) + u x + b``: `Pascanu` with f = tanh (Doya 1993; Bengio, Simard & Frasconi 1994)."""
    return Pascanu(f=tanh, **{"w": 1.5, "b": 0.0, **values})


@pytree
class BengioLatch(Cell):
    """``h' = tanh(w h + e . x[:-1] + x[-1])``: latch with trainable inputs (Bengio, Simard & Frasconi 1994, fig. 1a).

    No input weight and no bias: the evidence ``e`` of each class and early step is itself trained. ``x[:-1]`` is
    one-hot over (class, step) while evidence lasts and zero after, ``x[-1]`` is the noise (`landscape.tasks.bengio`).
    ``e`` is one number shared with alternating sign by the two classes, or one number for each (class, step).
    """

    w: Parameter = param("unit", "unit", default=1.25)
    e: Parameter = param("input", "unit", default=0.1)

    def step(self, state: State, x: Real[ArrayLike, "*input"]) -> State:
        x = jnp.asarray(x)
        shown = x[:-1]
        half = shown.shape[0] // 2
        sign = jnp.where(jnp.arange(2 * half) < half, -1, 1).astype(shown.dtype)
        evidence = dot(shown, self.e if jnp.ndim(self.e) else self.e * sign)
        return State(tanh(dot(state.h, self.w) + evidence + x[-1]))
