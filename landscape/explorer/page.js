"use strict";
// The page: what is pointed at and which length is shown, and every picture as a function of that.

const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const safe = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
const [xAxis, yAxis] = data.axes;
const WORDS = { loss: "mean loss", log10_gradient: "log₁₀ |gradient|" };
const STYLES = {
  "fold": { dash: [7, 5] },
  "period doubling": { dash: [9, 4, 2, 4] },
  "cliff line": { width: 2 },
  "cliffs": { width: 2 },
  "zero-loss valley": { dash: [2, 4], width: 2.2 },
  "ridge": { colour: "#ff7f32", width: 1.8 },
  "training path": { colour: "#ffd23f", width: 1.8, ends: true },
};
const style = name => ({ colour: "#fff", width: 1.6, casing: "rgba(0, 0, 0, .6)", ...STYLES[name] });
const BAD = css("--bad");

for (const field of Object.values(data.fields)) field.values = floats(field.values);
data.slopes = data.slopes.map(floats);
if (data.live.inputs) data.live.inputs = data.live.inputs.map(floats);

// `window` is the part of the plane that is seen, null for the whole; `live` whether it is computed here.
const view = { point: [0, 0], index: data.lengths.length - 1, field: "loss", pinned: false, hidden: new Set(), window: null, live: true, fit: false };
const unit = stepped();

// The unit, or null where the page cannot step it; then `data.live.reason` says why.
function stepped() {
  const { live } = data;
  if (live.reason) return null;
  if (!CELLS[live.cell]) live.reason = `the step of ${live.cell} is not written in it`;
  else {
    const made = new Unit(live);
    if (agrees(made)) return made;
    live.reason = "its own step gives another loss than the surface";
  }
  return null;
}

// Whether the unit's loss is the surface's at three grid points and the shortest length.
function agrees(made) {
  return data.live.missing > 0 || [[0, 0], [0.5, 0.5], [1, 0.25]].every(([u, v]) => {
    const i = Math.round(u * (xAxis.values.length - 1)), j = Math.round(v * (yAxis.values.length - 1));
    const run = made.run([xAxis.values[i], yAxis.values[j]]), ours = run.loss[data.lengths[0] - 1], there = value("loss", 0, i, j);
    return Math.abs(ours - there) <= 1e-3 * (1 + Math.abs(there)) || !Number.isFinite(there);
  });
}

function value(field, k, i, j) {
  return data.fields[field].values[(k * xAxis.values.length + i) * yAxis.values.length + j];
}

const nearest = (values, v) => values.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(values[best] - v) ? i : best), 0);

// Gradient and Hessian at a grid point, as far as the surface has them: [d_x, d_y, d_xx, d_xy, d_yy].
const slopes = (i, j) => data.slopes.map(values => values[i * yAxis.values.length + j]);

// In words: the gradient, and the eigenvalues of the Hessian, along which the loss bends most and least.
function bent(i, j) {
  const [gx, gy, a, b, c] = slopes(i, j);
  if (gx === undefined) return "";
  const middle = (a + c) / 2, half = Math.hypot((a - c) / 2, b);
  const curvature = a === undefined ? "" : `, curvatures ${brief(middle + half)} and ${brief(middle - half)}`;
  return `, gradient (${brief(gx)}, ${brief(gy)})${curvature}`;
}

// The surface as it is computed here, or null where it cannot be; then `unlit` says why.
let unlit = "";
const live = unit && lit();

function lit() {
  try {
    const made = new Live(unit);
    made.canvas.addEventListener("webglcontextlost", () => show({ live: false }));
    return made;
  } catch (error) {
    unlit = error.message;
    return null;
  }
}

const ABOUT = {
  stored: "“Here” is computed at the very place you point at, a colour at the nearest grid point: on a cliff they differ.",
  live: "Colours are computed at each pixel in float32, “here” at the very place you point at in float64; the lines are those of the stored surface.",
};

// The window ---------------------------------------------------------------------------------------------------------

const edges = ({ values }) => [values[0] - (values[1] - values[0]) / 2, values.at(-1) + (values.at(-1) - values.at(-2)) / 2];
const whole = data.axes.map(edges);
const seen = () => view.window || whole;
const step = k => size(whole[k]) / data.axes[k].values.length; // of the grid
const deep = () => size(whole[0]) / size(seen()[0]);

// The smallest window: of the live surface one float32 number for each pixel, of a stored one four points of the grid.
function least() {
  const pixels = surface.frame ? surface.frame.slice(2).map(v => v * (devicePixelRatio || 1)) : [500, 500];
  return seen().map((ends, k) => (live && view.live ? pixels[k] * coarsest(ends) : 4 * step(k)));
}

// The window scaled about a place; the whole, once it is as large.
function zoom(factor, place = view.point) {
  const window = scaled(seen(), factor, place, least(), whole);
  return { window: size(window[0]) < size(whole[0]) || size(window[1]) < size(whole[1]) ? window : null };
}

// A place, and the window that has it in sight.
function placed(point) {
  const by = follow(seen(), point);
  return { point, pinned: true, window: view.window && by.some(Boolean) ? shifted(seen(), by, whole) : view.window };
}

// Colours ------------------------------------------------------------------------------------------------------------

// The scale of colours: of the whole surface at all lengths, or of what is seen now.
function scale(name) {
  const seen = live && view.live && view.fit && live.done && live.picture.field === name ? live.range() : {};
  return seen.low < seen.high ? { ...data.fields[name], ...seen, log: false } : data.fields[name];
}

// Where a value stands on its scale, 0 to 1.
function level(field, v) {
  const { low, high, log } = scale(field);
  return log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
}

// Red, green, blue; inf and NaN have a colour of their own, but a gradient of 0 is just the least.
function colour(field, v) {
  if (!Number.isFinite(v) && !(field === "log10_gradient" && v === -Infinity)) return [1, 3, 5].map(i => parseInt(BAD.slice(i, i + 2), 16));
  const index = Math.min(255, Math.max(0, Math.floor(256 * level(field, v))));
  return data.fields[field].table.slice(3 * index, 3 * index + 3);
}

// The surface --------------------------------------------------------------------------------------------------------

const surface = new Chart(element("surface"), { left: 58, right: 80, top: 8, bottom: 40 });

// Computed live, each pixel has the colour of its own value; stored, that of the nearest grid point: what was computed is
// seen, nothing between.
let field = { key: "", image: null };
function drawField() {
  const { context, frame, canvas, x, y } = surface, ratio = canvas.width / canvas.clientWidth;
  const [left, top, width, height] = frame.map(v => Math.round(v * ratio));
  if (live && view.live && drawLive({ x, y, width, height }, left, top)) return refine();
  const key = [width, height, view.field, view.index, x, y].join();
  if (field.key !== key) field = { key, image: painted(context.createImageData(width, height), x, y) };
  context.putImageData(field.image, left, top);
  return null;
}

// Whether the live picture could be drawn; a card that refuses its program is not asked again.
function drawLive(where, left, top) {
  const { context } = surface;
  try {
    live.ask({ ...where, field: view.field, steps: data.lengths[view.index], set: data.live.nested ? 0 : view.index });
  } catch (error) {
    [unlit, view.live] = [error.message, false];
    return false;
  }
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(live.paint(scale(view.field)), left, top);
  context.restore();
  return true;
}

// While the view stays as it is, compute the values of more pixels, a frame's time in each frame.
let refining = false;
function refine() {
  tellRate();
  if (refining || !view.live || live.done.stride === 1) return;
  refining = true;
  requestAnimationFrame(() => {
    refining = false;
    const { key } = live, before = live.done.stride;
    live.work();
    if (live.done.stride === 1 && before > 1) compare();
    if (live.done.stride < before && key === live.key) drawSurface();
    else refine();
  });
}

// To how many digits of the range the live picture is that of the unit in float64: the median of nine places. A card that
// is off by more than a hundredth of the whole surface is not believed.
function compare() {
  const { xs, ys, values } = live.read(), { field, steps, set } = live.picture, { low, high } = data.fields[field];
  const thirds = count => [1, 3, 5].map(k => Math.floor((k * count) / 6));
  const gaps = thirds(xs.length).flatMap(i => thirds(ys.length).map(j => {
    const run = unit.run([xs[i], ys[j]], set), ours = (field === "loss" ? run.loss : run.log10)[steps - 1];
    return ours === values[j * xs.length + i] ? 0 : Math.abs(ours - values[j * xs.length + i]) / (high - low);
  }));
  const gap = gaps.filter(v => !Number.isNaN(v)).sort((a, b) => a - b)[4] || 0;
  live.done.agreed = Math.min(7.2, -Math.log10(gap)); // of the 24 bits of float32
  if (gap > 0.01 && !view.window) {
    unlit = "this graphics card gives other numbers";
    show({ live: false });
  }
}

function tellRate() {
  const { done: { stride, ms, agreed }, unit: { live: { missing } } } = live, each = stride === 1 ? "every pixel" : `1 of ${stride * stride} pixels`;
  const part = missing ? `, ${data.live.targets[0].length} of ${data.live.targets[0].length + missing} episodes` : "";
  element("rate").textContent = `live${part}: ${brief(1000 / Math.max(ms, 0.1), 2)} frames a second at ${each}${agreed === undefined ? "" : `; ${agreed.toFixed(1)} digits agree with float64`}`;
}

function tellDepth() {
  const left = digits(seen()), ground = live && view.live, end = seen().some((ends, k) => size(ends) <= least()[k] * 1.001);
  const stop = ground ? "no deeper: neighbouring pixels are neighbouring float32 numbers" : "no deeper: these are points of the grid";
  element("depth").textContent = `zoom ${brief(deep(), 3)}${ground ? `; float32 has ${left.toFixed(1)} digits left here` : ""}${end ? `; ${stop}` : ""}`;
  element("why").textContent = ground ? ABOUT.live : ABOUT.stored;
  if (!ground) element("rate").textContent = unlit ? `as stored: ${unlit}` : "as stored";
  element("nearer").disabled = end;
  element("farther").disabled = element("whole").disabled = !view.window;
}

function painted(image, x, y) {
  const along = (count, values, [low, high]) =>
    Array.from({ length: count }, (_, i) => nearest(values, low + ((i + 0.5) / count) * (high - low)));
  const columns = along(image.width, xAxis.values, x), rows = along(image.height, yAxis.values, y).reverse();
  const pixel = v => colour(view.field, v).reduce((all, part, k) => all + part * 256 ** k, 255 * 256 ** 3);
  const colours = xAxis.values.map((_, i) => yAxis.values.map((_, j) => pixel(value(view.field, view.index, i, j))));
  const pixels = new Uint32Array(image.data.buffer); // little-endian: alpha, blue, green, red
  rows.forEach((j, v) => columns.forEach((i, u) => (pixels[v * image.width + u] = colours[i][j])));
  return image;
}

function drawLines() {
  for (const line of data.lines.filter(line => !view.hidden.has(line.name))) {
    const drawn = style(line.name);
    for (const [xs, ys] of line.points || []) {
      surface.line(xs, ys, drawn);
      if (drawn.ends) [0, -1].forEach(k => surface.dot(xs.at(k), ys.at(k), { colour: drawn.colour, radius: 3.6, filled: k < 0, casing: "#000" }));
    }
    for (const [xs, ys, resolved] of line.by_length ? line.by_length[view.index] : []) {
      surface.line(xs.map((x, i) => (resolved[i] ? x : NaN)), ys, drawn);
      xs.forEach((x, i) => resolved[i] || surface.dot(x, ys[i], { colour: drawn.colour, radius: 0.6, casing: "" }));
    }
  }
}

// The gradient at the nearest grid point, an arrow that is a sixth of the frame where it is longest.
function drawArrow() {
  if (data.slopes.length < 2) return;
  const [i, j] = [nearest(xAxis.values, view.point[0]), nearest(yAxis.values, view.point[1])], [gx, gy] = slopes(i, j);
  const [spanX, spanY] = [surface.x[1] - surface.x[0], surface.y[1] - surface.y[0]];
  const size = k => Math.hypot(data.slopes[0][k] * spanX, data.slopes[1][k] * spanY);
  longest ||= data.slopes[0].reduce((most, _, k) => (Number.isFinite(size(k)) ? Math.max(most, size(k)) : most), 0);
  const from = [xAxis.values[i], yAxis.values[j]], to = [from[0] + gx * spanX * spanX / longest / 6, from[1] + gy * spanY * spanY / longest / 6];
  if (!to.every(Number.isFinite)) return;
  surface.line([from[0], to[0]], [from[1], to[1]], { colour: "#fff", width: 2.4, casing: "rgba(0, 0, 0, .6)" });
  surface.dot(...to, { colour: "#fff", radius: 3.2, casing: "#000" });
}
let longest = 0;

function drawBar() {
  const { context: c, frame: [left, top, width, height], canvas } = surface;
  const x = left + width + 14, { low, high, log, table } = scale(view.field);
  for (let i = 0; i < 256; i++) {
    c.fillStyle = `rgb(${table.slice(3 * i, 3 * i + 3)})`;
    c.fillRect(x, top + height * (1 - (i + 1) / 256), 14, height / 256 + 0.6);
  }
  c.fillStyle = css("--ink");
  c.textAlign = "left";
  c.textBaseline = "middle";
  const marks = log ? ticks(Math.log10(low), Math.log10(high), 6).filter(Number.isInteger).map(e => 10 ** e) : ticks(low, high, 7);
  for (const v of marks) {
    const y = top + height * (1 - level(view.field, v));
    c.fillText(log ? "10" + raised(Math.round(Math.log10(v))) : brief(v), x + 19, y);
  }
  c.save();
  c.translate(canvas.clientWidth - 9, top + height / 2);
  c.rotate(-Math.PI / 2);
  c.textAlign = "center";
  c.fillText(WORDS[view.field] + (log ? ", log scale" : ""), 0, 0);
  c.restore();
}

function drawSurface() {
  surface.begin(...seen());
  drawField();
  drawLines();
  drawArrow();
  surface.axes(xAxis.label, yAxis.label);
  drawBar();
  const [x, y] = view.point;
  surface.dot(x, y, { colour: "#fff", radius: view.pinned ? 4 : 6, filled: view.pinned, casing: "#000" });
  if (!view.pinned) surface.dot(x, y, { colour: "#fff", radius: 0.8 });
  tellDepth();
}

// All of it ----------------------------------------------------------------------------------------------------------

function draw() {
  const length = data.lengths[view.index];
  element("length").value = view.index;
  element("length").setAttribute("aria-valuetext", `length ${length}`);
  element("length-text").textContent = `length ${length}`;
  const [i, j] = [nearest(xAxis.values, view.point[0]), nearest(yAxis.values, view.point[1])];
  const read = Object.keys(data.fields).map(field => `${WORDS[field]} ${brief(value(field, view.index, i, j))}`);
  const size = xAxis.values.length * yAxis.values.length;
  const bad = data.fields[view.field].values.subarray(view.index * size, (view.index + 1) * size).filter(v => !Number.isFinite(v) && v !== -Infinity).length;
  const there = `${xAxis.name} = ${brief(xAxis.values[i])}, ${yAxis.name} = ${brief(yAxis.values[j])}`;
  element("grid-value").textContent = `nearest grid point, ${there}: ${read.join(", ")}${bent(i, j)}`;
  element("bad").hidden = !bad;
  element("lines").hidden = !bad && !data.lines.length;
  element("bad").lastChild.textContent = ` inf or NaN: ${bad} of ${size} points`;
  element("pin").textContent = view.pinned ? "pinned: release" : "click to pin";
  data.axes.forEach(({ name }, k) => {
    const input = element("at-" + name);
    if (document.activeElement !== input) input.value = +view.point[k].toPrecision(Math.min(12, 7 + Math.ceil(Math.log10(deep()))));
    input.step = +(step(k) / deep() / 10).toPrecision(3);
  });
  for (const input of document.querySelectorAll("input[name=field]")) input.checked = input.value === view.field;
  element("live").checked = view.live;
  element("fit").checked = view.fit;
  element("fit").disabled = !view.live;
  drawSurface();
  element("surface").style.touchAction = view.window ? "none" : "pan-x pan-y"; // the whole leaves one finger to the page
  if (unit) drawUnit();
}

let waiting = false, writing = 0;
// Change the view; draw once a frame, and leave in the address what it takes to come back.
function show(change) {
  Object.assign(view, change);
  clearTimeout(writing);
  if (location.protocol !== "about:") writing = setTimeout(() => history.replaceState(null, "", "#" + address()), 250); // else in a notebook
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function address() {
  const words = { cell: data.cell, ...(data.along && { length: data.lengths[view.index] }), show: view.field };
  data.axes.forEach(({ name }, k) => (words[name] = +view.point[k].toPrecision(12)));
  if (view.window) words.window = view.window.flat().map(v => +v.toPrecision(12)).join("_");
  if (live && !view.live) words.picture = "stored";
  if (view.fit) words.colours = "view";
  return new URLSearchParams(words).toString();
}

// What the address says; what it does not say stays.
function addressed() {
  const words = new URLSearchParams(location.hash.slice(1)), found = {};
  const point = data.axes.map(({ name }, k) => (words.has(name) && Number.isFinite(+words.get(name)) ? +words.get(name) : view.point[k]));
  if (data.axes.some(({ name }) => words.has(name))) Object.assign(found, { point, pinned: true });
  if (words.has("length")) found.index = nearest(data.lengths, +words.get("length"));
  if (words.get("show") in data.fields) found.field = words.get("show");
  if (words.has("colours")) found.fit = words.get("colours") === "view";
  if (words.has("picture")) found.live = words.get("picture") !== "stored";
  const [a, b, c, d] = (words.get("window") || "").split("_").map(Number);
  if (a < b && c < d) {
    view.window = inside([[a, b], [c, d]], whole);
    Object.assign(found, zoom(1, view.window.map(([low, high]) => (low + high) / 2)));
  }
  const other = words.get("cell");
  element("other").hidden = !other || other === data.cell;
  element("other").textContent = `The link is to a page of ${other}, and this page holds ${data.cell}: make that one to see its place.`;
  return found;
}

// At first a place on a cliff: of the steps of the grid with at least half the largest jump of the loss, at the longest
// length, the one nearest to the middle.
function steepest() {
  const k = data.lengths.length - 1, [m, n] = [xAxis.values.length, yAxis.values.length];
  const jumps = xAxis.values.flatMap((_, i) => yAxis.values.slice(1).map((_, j) => {
    const jump = Math.abs(value("loss", k, i, j + 1) - value("loss", k, i, j));
    return { i, j, jump: Number.isFinite(jump) ? jump : 0, away: Math.hypot(i / m - 0.5, j / n - 0.5) };
  }));
  const top = jumps.reduce((most, { jump }) => Math.max(most, jump), 0);
  const { i, j } = jumps.filter(({ jump }) => jump >= top / 2).reduce((a, b) => (b.away < a.away ? b : a));
  return [xAxis.values[i], (yAxis.values[j] + yAxis.values[j + 1]) / 2];
}

function build() {
  element("title").textContent = data.title;
  element("settings").textContent = [data.settings, data.note].filter(Boolean).join("; ");
  element("made").textContent = data.made;
  element("length").max = data.lengths.length - 1;
  for (const name of ["play", "length", "length-text"]) element(name).hidden = !data.along;
  for (const name of Object.keys(data.fields)) {
    element("fields").insertAdjacentHTML("beforeend", `<label><input type="radio" name="field" value="${name}">${WORDS[name]}</label>`);
  }
  if (Object.keys(data.fields).length < 2) element("fields").replaceChildren();
  for (const { name, about } of data.lines) {
    const { colour, width, dash = [] } = style(name);
    const sample = `<svg width="30" height="12"><path d="M2 6H28" stroke="${colour}" stroke-width="${width}" stroke-dasharray="${dash}"/></svg>`;
    element("lines").insertAdjacentHTML("beforeend", `<label title="${about}"><input type="checkbox" checked value="${name}">${sample}${name}</label>`);
  }
  element("lines").insertAdjacentHTML("beforeend", `<span id="bad"><svg width="12" height="12"><rect width="12" height="12" fill="${BAD}"/></svg><span></span></span>`);
  data.axes.forEach(({ name, values }, k) => {
    const step = +((values.at(-1) - values[0]) / (values.length - 1)).toPrecision(3);
    element("pin").insertAdjacentHTML("beforebegin", `<label>${safe(name)} <input id="at-${safe(name)}" type="number" step="${step / 10}"></label>`);
    element("at-" + name).addEventListener("input", ({ target }) => {
      if (target.value !== "") show(placed(view.point.map((v, l) => (l === k ? +target.value : v))));
    });
  });
  element("as").hidden = !live;
  element("unit").hidden = !unit;
  element("why").hidden = !unit;
  element("unknown").hidden = Boolean(unit);
  element("unknown").textContent = `This page shows the surface only: it cannot step the unit itself, because ${data.live.reason}.`;
}

function listen() {
  const canvas = element("surface"), touch = hand(canvas, handled, out => out > 0 && !view.window);
  canvas.addEventListener("pointermove", event => view.pinned || touch.busy() || show({ point: surface.at(event) }));
  canvas.addEventListener("click", event => touch.dragged() || show({ point: surface.at(event), pinned: true }));
  canvas.addEventListener("keydown", event => {
    const asked = key(event);
    if (!asked) return;
    event.preventDefault();
    show(asked);
  });
  element("nearer").addEventListener("click", () => show(zoom(0.5)));
  element("farther").addEventListener("click", () => show(zoom(2)));
  element("whole").addEventListener("click", () => show({ window: null }));
  element("fit").addEventListener("change", ({ target }) => show({ fit: target.checked }));
  element("live").addEventListener("change", ({ target }) => {
    show({ live: target.checked });
    show(zoom(1));
  });
  addEventListener("keydown", event => event.key === "Escape" && show({ pinned: false }));
  element("pin").addEventListener("click", () => show({ pinned: !view.pinned }));
  element("length").addEventListener("input", ({ target }) => show({ index: +target.value }));
  element("fields").addEventListener("change", ({ target }) => target.name === "field" && show({ field: target.value }));
  element("lines").addEventListener("change", ({ target }) => {
    view.hidden[target.checked ? "delete" : "add"](target.value);
    show({});
  });
  element("play").addEventListener("click", play);
  addEventListener("hashchange", () => show(addressed()));
  addEventListener("resize", () => show({}));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show({}));
}

// What a hand did: the window scaled about the place under a pixel, and dragged along with it.
function handled(factor, pixel, by) {
  const perPixel = [size(seen()[0]) / surface.frame[2], -size(seen()[1]) / surface.frame[3]];
  view.window = shifted(seen(), by.map((v, k) => -v * perPixel[k]), whole);
  show(zoom(factor, surface.place(pixel, view.window)));
}

// What a key on the surface asks for, if anything.
function key({ key, shiftKey, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return null;
  if (key === "+" || key === "=") return zoom(1 / 1.5);
  if (key === "-") return zoom(1.5);
  if (key === "0") return { window: null };
  const [k, sign] = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] }[key] || [];
  if (k === undefined) return null;
  const { values } = data.axes[k], by = ((values.at(-1) - values[0]) / (values.length - 1) / deep()) * (shiftKey ? 0.1 : 1);
  return placed(view.point.map((v, l) => (l === k ? v + sign * by : v)));
}

let playing = 0;
function play() {
  clearInterval(playing);
  if (playing) playing = 0;
  else playing = setInterval(() => show({ index: (view.index + 1) % data.lengths.length }), 450);
  element("play").textContent = playing ? "❚❚" : "▶";
}

view.point = steepest();
build();
listen();
Object.assign(view, addressed());
draw();
