"use strict";
// A unit as a fragment shader: the cells of units.js, called with operations that write GLSL instead of computing.

// Operations whose numbers are names of variables; each result is a line `Number v7 = ...;`.
function writer() {
  const lines = [];
  const kept = text => `v${lines.push(`  Number v${lines.length} = ${text};`) - 1}`;
  const call = name => (...terms) => kept(`${name}(${terms.join(", ")})`);
  const operations = {
    add: (...terms) => kept(terms.join(" + ")), mul: call("product"), less: a => kept(`number(1.0) - ${a}`),
    mixed: call("mixture"), tanh: call("tangens"), sigmoid: call("logistic"), relu: call("ramp"), softSign: call("soft"),
    identity: a => a,
  };
  return { lines, operations };
}

const literal = value => value.toExponential(9);

// void advance(h, c, x, at, seed): one step of the unit at a place whose coordinates have tangents `seed`.
function stepText(live) {
  const { lines, operations } = writer(), names = Object.keys(live.parameters);
  const p = Object.fromEntries(names.map(name => [name, "p_" + name]));
  const next = cellsBy(operations)[live.cell](["h", "c"], "x", p);
  const parameters = names.map(name => `  Number p_${name} = parameter(${live.parameters[name].map(literal)}, at, seed);`);
  const assigned = next.map((value, i) => `  ${"hc"[i]} = ${value};`);
  return ["void advance(inout Number h, inout Number c, Number x, vec2 at, float seed) {", ...parameters, ...lines, ...assigned, "}"].join("\n");
}

// Numbers: alone for the loss, with two tangents for its gradient.
const PLAIN = `
#define Number float
Number number(float v) { return v; }
Number parameter(float origin, float p, float q, vec2 at, float seed) { return origin + p * at.x + q * at.y; }
Number product(Number a, Number b) { return a * b; }
Number lifted(float y, float slope, Number a) { return y; }
float value(Number a) { return a; }
void rescale(inout Number h, inout Number c, inout int power) {}
vec2 tangents(Number a) { return vec2(0.0); }
`;
const DUAL = `
#define Number vec3
Number number(float v) { return vec3(v, 0.0, 0.0); }
Number parameter(float origin, float p, float q, vec2 at, float seed) {
  return vec3(origin + p * at.x + q * at.y, p * seed, q * seed);
}
Number product(Number a, Number b) { return vec3(a.x * b.x, a.x * b.yz + b.x * a.yz); }
Number lifted(float y, float slope, Number a) { return vec3(y, slope * a.yz); }
float value(Number a) { return a.x; }
vec2 tangents(Number a) { return a.yz; }
// Tangents beyond 2^40 are divided by it, and the power of two is kept: a gradient cannot overflow.
void rescale(inout Number h, inout Number c, inout int power) {
  vec2 most = max(abs(h.yz), abs(c.yz));
  float largest = max(most.x, most.y);
  int shift = largest > two(40) ? 40 : largest < two(-40) ? -min(40, power) : 0;
  h.yz *= two(-shift);
  c.yz *= two(-shift);
  power += shift;
}
`;

// Exponentials are our own (Cephes, a rounding or two), so that every card gives the same picture; slopes of saturated
// units are never differences of what is close to 1.
const FUNCTIONS = `
float exponential(float x) {
  x = clamp(x, -87.0, 88.0);
  float n = floor(1.44269504 * x + 0.5);
  x = x - n * 0.693359375 + n * 2.12194440e-4;
  float p = ((((1.9875691500e-4 * x + 1.3981999507e-3) * x + 8.3334519073e-3) * x + 4.1665795894e-2) * x
    + 1.6666665459e-1) * x + 5.0000001201e-1;
  return (p * x * x + x + 1.0) * two(int(n));
}
Number tangens(Number a) {
  float x = value(a), e = exponential(-2.0 * abs(x)), z = x * x;
  float small = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
    - 3.33332819422e-1) * z * x + x;
  return lifted(abs(x) < 0.625 ? small : sign(x) * (1.0 - 2.0 * e / (1.0 + e)), 4.0 * e / ((1.0 + e) * (1.0 + e)), a);
}
Number logistic(Number a) {
  float x = value(a), e = exponential(-abs(x));
  return lifted((x > 0.0 ? 1.0 : e) / (1.0 + e), e / ((1.0 + e) * (1.0 + e)), a);
}
Number mixture(Number gate, Number one, Number other) {
  return product(logistic(gate), one) + product(logistic(-gate), other);
}
Number ramp(Number a) { return lifted(max(value(a), 0.0), value(a) > 0.0 ? 1.0 : 0.0, a); }
Number soft(Number a) {
  float all = 1.0 + abs(value(a));
  return lifted(value(a) / all, 1.0 / (all * all), a);
}
`;

const MAIN = `
float entry(int i) { return texelFetch(episodes, ivec2(i % ROW, i / ROW), 0).x; }
void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  vec2 at = vec2(texelFetch(places, ivec2(pixel.x, 0), 0).x, texelFetch(places, ivec2(pixel.y, 1), 0).x);
  float loss = 0.0;
  vec2 gradient = vec2(0.0); // times 2^most
  int most = 0;
  for (int e = 0; e < EPISODES; e++) {
    Number h = number(START), c = number(0.0);
    int power = 0;
    for (int t = 0; t < steps; t++) {
      advance(h, c, number(entry(EPISODES * (t + 1) + e)), at, two(-power));
      rescale(h, c, power);
    }
    Number miss = ANSWER(h) - number(entry(e)), squared = product(miss, miss);
    loss += value(squared);
    int top = max(most, power);
    gradient = gradient * two(most - top) + tangents(squared) * two(power - top);
    most = top;
  }
  bits = result(loss / float(EPISODES), gradient / float(EPISODES), most);
}
`;
const RESULTS = {
  loss: `uint result(float loss, vec2 gradient, int power) { return loss < 3.4e38 ? floatBitsToUint(loss) : INFINITE; }`,
  log10_gradient: `
uint result(float loss, vec2 gradient, int power) {
  vec2 size = abs(gradient);
  float large = max(size.x, size.y), ratio = min(size.x, size.y) / large;
  if (large == 0.0) return NOTHING;
  float log10 = 0.30102999566 * (log2(large) + 0.5 * log2(1.0 + ratio * ratio) + float(power));
  return large < 3.4e38 ? floatBitsToUint(log10) : INFINITE;
}`,
};

const ROW = 1024; // texels in a row of the episodes' texture
const VERTEX = `#version 300 es
void main() { gl_Position = vec4(4.0 * float(gl_VertexID % 2) - 1.0, 4.0 * float(gl_VertexID / 2) - 1.0, 0.0, 1.0); }`;

// The program of a field, "loss" or "log10_gradient": at each pixel the bits of its float32 value.
function shaderText(live, field) {
  const constants = { EPISODES: live.targets[0].length, START: literal(live.start), ROW, INFINITE: "0x7f800000u", NOTHING: "0xff800000u",
    ANSWER: live.squash ? "logistic" : "" };
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
${Object.entries(constants).map(([name, text]) => `#define ${name} ${text}`).join("\n")}
uniform sampler2D places, episodes;
uniform int steps;
out uint bits;
float two(int e) { return e < -126 ? 0.0 : intBitsToFloat((min(e, 127) + 127) << 23); }
${[field === "loss" ? PLAIN : DUAL, FUNCTIONS, stepText(live), RESULTS[field], MAIN].join("\n")}`;
}

// Colours of values, as `colour` in page.js has them.
const COLOURS = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D values;
uniform highp sampler2D table;
uniform int stride;
uniform vec2 ends;
uniform bool logarithmic, zeroes;
uniform vec3 bad;
out vec4 shade;
void main() {
  uint bits = texelFetch(values, ivec2(gl_FragCoord.xy) / stride, 0).x;
  float v = uintBitsToFloat(bits);
  bool least = zeroes && bits == 0xff800000u, wrong = !least && (bits & 0x7f800000u) == 0x7f800000u;
  float level = logarithmic ? log(v / ends.x) / log(ends.y / ends.x) : (v - ends.x) / (ends.y - ends.x);
  int index = least ? 0 : int(clamp(floor(256.0 * level), 0.0, 255.0));
  shade = vec4(wrong ? bad : texelFetch(table, ivec2(index, 0), 0).xyz, 1.0);
}`;
