"use strict";
// One recurrent unit: its step, its orbit, its loss with exact derivatives, its fixed points.

// A number with two tangents, [value, along the first, along the second]: for the orbit, for the gradient by two
// parameters, and for the Jacobian of its state.
const num = value => [value, 0, 0];
const add = (...terms) => terms.reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
const times = (factor, a) => [factor * a[0], factor * a[1], factor * a[2]];
const mul = (a, b) => [a[0] * b[0], a[1] * b[0] + a[0] * b[1], a[2] * b[0] + a[0] * b[2]];
const lift = (f, slope) => a => {
  const y = f(a[0]), s = slope(a[0], y);
  return [y, s * a[1], s * a[2]];
};
const tanh = lift(Math.tanh, (x, y) => (1 - y) * (1 + y));
const sigmoid = lift(x => 1 / (1 + Math.exp(-x)), (x, y) => y / (1 + Math.exp(x)));
const identity = a => a;
const relu = lift(x => (x > 0 ? x : 0), x => (x > 0 ? 1 : 0));
const softSign = lift(x => x / (1 + Math.abs(x)), x => 1 / (1 + Math.abs(x)) ** 2);
const inverse = lift(x => 1 / x, (x, y) => -y * y);
const less = a => add(num(1), times(-1, a)); // 1 - a

const mixed = (gate, one, other) => add(mul(sigmoid(gate), one), mul(sigmoid(times(-1, gate)), other)); // z a + (1 - z) b

// Every cell, written once, by the operations that it is given: on numbers with tangents here, on text in glsl.js.
// (state [h] or [h, c], input, parameters) -> state.
function cellsBy({ add, mul, less, mixed, tanh, sigmoid, relu, softSign, identity }) {
  const drive = (p, gate, h, x) => add(mul(p["w" + gate], h), mul(p["u" + gate], x), p["b" + gate]);
  const simple = act => ([h], x, p) => [act(drive(p, "", h, x))];
  const map = f => ([h], x, p) => [add(mul(p.w, f(h)), mul(p.u, x), p.b)];
  const leaky = ([h], x, p) => [add(mul(less(p.a), h), mul(p.a, tanh(drive(p, "", h, x))))];

  const gru = (zKeeps, resetAfter) => ([h], x, p) => {
    const z = drive(p, "_z", h, x), r = sigmoid(drive(p, "_r", h, x));
    const kept = resetAfter ? mul(r, add(mul(p.w_h, h), p.c_h)) : mul(p.w_h, mul(r, h));
    const g = tanh(add(kept, mul(p.u_h, x), p.b_h));
    return [zKeeps ? mixed(z, h, g) : mixed(z, g, h)];
  };

  const lstm = ([h, c], x, p) => {
    const i = sigmoid(drive(p, "_i", h, x)), f = sigmoid(drive(p, "_f", h, x)), o = sigmoid(drive(p, "_o", h, x));
    const next = add(mul(f, c), mul(i, tanh(drive(p, "_g", h, x))));
    return [mul(o, tanh(next)), next];
  };

  return { // by the name that the surface gives its cell
    "SRNN": simple(tanh),
    "SRNN(act=sigmoid)": simple(sigmoid),
    "SRNN(act=relu)": simple(relu),
    "SRNN(act=soft_sign)": simple(softSign),
    "SRNN(act=identity)": simple(identity),
    "LeakyRNN": leaky,
    "Pascanu": map(sigmoid),
    "Pascanu(f=tanh)": map(tanh),
    "GRU": gru(true, false),
    "GRU(z_keeps=False)": gru(false, false),
    "GRU(c_h=present, reset_after=True)": gru(true, true),
    "LSTM": lstm,
  };
}
const CELLS = cellsBy({ add, mul, less, mixed, tanh, sigmoid, relu, softSign, identity });
const sizeOf = cell => (cell === "LSTM" ? 2 : 1); // numbers in a state

class Unit {
  constructor(live) {
    this.live = live;
    this.step = CELLS[live.cell];
    this.size = sizeOf(live.cell);
    this.loss = (h, target) => {
      const miss = add(live.squash ? sigmoid(h) : h, num(-target));
      return mul(miss, miss);
    };
  }

  // Parameters at a point; the tangents of the two coordinates have these sizes.
  parameters(point, scale = [0, 0]) {
    const at = ([origin, p, q]) => [origin + p * point[0] + q * point[1], p * scale[0], q * scale[1]];
    return Object.fromEntries(Object.entries(this.live.parameters).map(([name, line]) => [name, at(line)]));
  }

  start() {
    return [num(this.live.start), num(0)].slice(0, this.size);
  }

  // All episodes of input set k from point, step by step: h[episode][t], and by t the mean loss, its gradient as
  // mantissas along each coordinate with a power of two, and log10 of the gradient's norm, which cannot overflow.
  run(point, k = 0) {
    const x = this.live.inputs[k], targets = this.live.targets[k], T = this.live.times[k], E = targets.length;
    const power = [0, 0];
    const parameters = () => this.parameters(point, power.map(e => 2 ** -e));
    let p = parameters(), states = targets.map(() => this.start());
    const h = targets.map(() => [this.live.start]), loss = [], gradient = [], log10 = [];
    for (let t = 0; t < T; t++) {
      states = states.map((s, e) => this.step(s, num(x[t * E + e]), p));
      states.forEach((s, e) => h[e].push(s[0][0]));
      const mean = times(1 / E, add(...states.map((s, e) => this.loss(s[0], targets[e]))));
      loss.push(mean[0]);
      gradient.push([0, 1].map(i => mean[i + 1] * 2 ** power[i]));
      log10.push(norm10(mean, power));
      if (this.rescale(states, power)) p = parameters();
    }
    return { h, loss, gradient, log10 };
  }

  // Tangents that grew beyond 2^300 are divided by it, along both coordinates on their own.
  rescale(states, power) {
    let changed = false;
    for (const i of [0, 1]) {
      const largest = Math.max(...states.flat().map(a => Math.abs(a[i + 1])));
      const shift = largest > 2 ** 300 ? 300 : largest < 2 ** -300 && power[i] > 0 ? -Math.min(300, power[i]) : 0;
      if (!shift) continue;
      for (const a of states.flat()) a[i + 1] *= 2 ** -shift;
      power[i] += shift;
      changed = true;
    }
    return changed;
  }

  // Loss by length and log10 of its gradient, at all lengths the page can step to; for a task whose short episode is
  // no prefix of the long one each length is a run of its own.
  history(point) {
    const runs = this.live.inputs.map((_, k) => this.run(point, k));
    if (this.live.nested) return { ...runs[0], lengths: runs[0].loss.map((_, t) => t + 1) };
    const last = name => runs.map(run => run[name].at(-1));
    const own = { loss: last("loss"), gradient: last("gradient"), log10: last("log10"), lengths: this.live.times };
    return { ...own, runs };
  }

  // The state that a step leaves as it is in all but h: where c' = f c + i g, that is c = i g / (1 - f).
  settle(h, p, x = num(0)) {
    if (this.size === 1) return [h];
    const [fresh, more] = [0, 1].map(c => this.step([h, num(c)], x, p)[1]);
    return [h, mul(fresh, inverse(less(add(more, times(-1, fresh)))))];
  }

  // h -> the next h, of a cell that is its own map, or of one whose c rests at this h.
  next(h, p, x = num(0)) {
    return this.step(this.settle(h, p, x), x, p)[0];
  }

  // Multiplier of a state: the eigenvalue of largest modulus of the Jacobian, of a complex pair its modulus.
  multiplier(h, p, x = num(0)) {
    const state = this.settle(num(h), p, x).map((a, i) => [a[0], i === 0 ? 1 : 0, i === 1 ? 1 : 0]);
    const J = this.step(state, x, p);
    if (this.size === 1) return J[0][1];
    const half = (J[0][1] + J[1][2]) / 2, det = J[0][1] * J[1][2] - J[0][2] * J[1][1], square = half * half - det;
    return square >= 0 ? half + (half < 0 ? -1 : 1) * Math.sqrt(square) : Math.sqrt(Math.max(det, 0));
  }

  // Every fixed point under input 0, as [h, multiplier] in increasing order: roots of next(h) - h, bracketed by a grid
  // and the turning points of that function, so that no pair hides between two nodes, and bisected to rounding.
  fixedPoints(point) {
    const p = this.parameters(point);
    const g = h => this.next(num(h), p)[0] - h, slope = h => this.next([h, 1, 0], p)[1] - 1;
    const nodes = [...GRID, ...crossings(slope, GRID)].sort((a, b) => a - b);
    return crossings(g, nodes).map(h => [h, this.multiplier(h, p)]);
  }
}

// log10 of the norm of the two tangents of a dual number, each with its power of two.
function norm10([, a, b], power) {
  const top = Math.max(...power);
  return Math.log10(Math.hypot(a * 2 ** (power[0] - top), b * 2 ** (power[1] - top))) + top * Math.log10(2);
}

const span = (low, high, count) => Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
const OUTSIDE = span(Math.log(1e-7), Math.log(999), 400).map(v => 1 + Math.exp(v));
// Dense in atanh(h) inside (-1, 1), where cells saturate, and on to 1000 on both sides.
const GRID = [...OUTSIDE.map(v => -v).reverse(), ...span(-9, 9, 1201).map(Math.tanh), ...OUTSIDE];

// Where g changes sign along the nodes; where rounding makes it zero it keeps the sign before.
function crossings(g, nodes) {
  const roots = [];
  let before = 0, from = nodes[0];
  for (const node of nodes) {
    const sign = Math.sign(g(node));
    if (sign && before && sign !== before) roots.push(bisect(g, before, from, node));
    if (sign) before = sign;
    from = node;
  }
  return roots;
}

function bisect(g, sign, low, high) {
  for (let k = 0; k < 64; k++) {
    const middle = low / 2 + high / 2;
    if (Math.sign(g(middle)) === sign) low = middle;
    else high = middle;
  }
  return Math.abs(g(low)) < Math.abs(g(high)) ? low : high;
}
