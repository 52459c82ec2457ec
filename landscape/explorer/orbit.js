"use strict";
// The unit at the place pointed at, in pictures and in numbers: its map, its orbit, its loss by length.

const mapChart = new Chart(document.getElementById("map"), { left: 58, right: 8, top: 8, bottom: 38 });
const stateChart = new Chart(document.getElementById("state"));
const historyChart = new Chart(document.getElementById("history"));
const CLASSES = ["one", "two"];

// Orbits at the pointed place: the first episode of each of at most two targets.
function orbits(past) {
  const k = data.live.nested ? 0 : view.index, targets = data.live.targets[k], run = past.runs ? past.runs[k] : past;
  const shown = [...new Set(targets)].slice(0, 2).map(target => targets.indexOf(target));
  return shown.map((e, i) => ({ h: run.h[e], target: targets[e], name: CLASSES[i] }));
}

function drawMap(paths, fixed, length) {
  const p = unit.parameters(view.point), next = h => unit.next(num(h), p)[0];
  const near = fixed.map(([h]) => h).filter(h => Math.abs(h) < 50);
  const range = padded([...paths.flatMap(({ h }) => h.slice(0, length + 1)), ...near].filter(h => Math.abs(h) <= 1000), 0.1);
  mapChart.begin(range, range, true);
  mapChart.axes("state h", "next state");
  const hs = span(...range, 300);
  mapChart.line(range, range, { colour: css("--faint"), width: 1 });
  mapChart.line(hs, hs.map(next), { colour: css("--ink"), width: 1.8 });
  for (const { h, name } of paths) {
    const xs = [], ys = [];
    for (let t = 0; t < Math.min(length, h.length - 1); t++) {
      xs.push(h[t], h[t]);
      ys.push(h[t], h[t + 1]);
    }
    mapChart.line([...xs, h[length]], [...ys, h[length]], { colour: css("--" + name), width: 1.2, alpha: 0.75 });
    mapChart.dot(h[0], h[0], { colour: css("--" + name), radius: 2.2 });
  }
  for (const [h, m] of fixed) mapChart.dot(h, h, { colour: css("--ink"), radius: 4.2, filled: Math.abs(m) < 1 });
}

function drawState(paths, fixed, length) {
  const longest = Math.max(...paths.map(({ h }) => h.length - 1));
  const range = padded(paths.flatMap(({ h }) => h).filter(h => Math.abs(h) <= 1000), 0.12);
  stateChart.begin([0, longest], range);
  stateChart.axes("time (steps)", "state h");
  for (const [h, m] of fixed) stateChart.line([0, longest], [h, h], { colour: css("--soft"), width: 1, dash: Math.abs(m) < 1 ? [] : [4, 4], alpha: 0.6 });
  stateChart.line([length, length], range, { colour: css("--soft"), width: 1, dash: [2, 3] });
  for (const { h, name } of paths) stateChart.line(h.map((_, t) => t), h, { colour: css("--" + name), width: 1.6 });
}

function drawHistory(past, length) {
  const loss = past.loss.map(Math.log10), all = [...loss, ...past.log10].filter(Number.isFinite);
  const [low, high] = padded(all, 0.08);
  historyChart.begin([0, past.lengths.at(-1)], [Math.max(low, high - 40), high]);
  historyChart.axes("length (steps)", "log scale", true);
  historyChart.line([length, length], historyChart.y, { colour: css("--soft"), width: 1, dash: [2, 3] });
  historyChart.line(past.lengths, past.log10, { colour: css("--two"), width: 1.8 });
  historyChart.line(past.lengths, loss, { colour: css("--one"), width: 1.8 });
}

function writeUnit(past, paths, fixed, length) {
  const at = past.lengths.indexOf(length), gradient = past.gradient[at];
  const several = paths.length > 1 ? paths.map(({ target, name }) => `<span class="${name}">target ${brief(target)}</span>`).join(", ") : "";
  element("map-title").innerHTML = unit.size === 1
    ? `<b>Map</b> at input 0, cobweb to length ${length}` : `<b>Map: projection</b> to h, c at rest, input 0`;
  element("state-title").innerHTML = `<b>State against time</b>${several ? ": " + several : ""}; lines: <span>stable ──, unstable ╌╌</span>`;
  const missing = data.live.missing ? `, ${data.live.targets[0].length} of ${data.live.targets[0].length + data.live.missing} episodes` : "";
  element("history-title").innerHTML = `<b class="one">Loss</b> and <b class="two">norm of its gradient</b> against length${missing}`;
  const rows = fixed.map(([h, m]) => `<tr><td>${brief(h, 6)}</td><td>${brief(m, 5)}</td><td>${Math.abs(m) < 1 ? "● stable" : "○ unstable"}</td></tr>`);
  const here = [["mean loss", brief(past.loss[at], 6)], ...data.axes.map(({ name }, i) => [`d loss / d ${safe(name)}`, brief(gradient[i], 6)]),
    ["log₁₀ |gradient|", brief(past.log10[at], 6)], ...paths.map(({ h, name, target }) => [`<span class="${name}">h<sub>T</sub>${paths.length > 1 ? `, target ${brief(target)}` : ""}</span>`, brief(h[length], 6)])];
  element("facts").innerHTML = `<table><caption>Here, length ${length}</caption>${here.map(([a, b]) => `<tr><td>${a}</td><td>${b}</td></tr>`).join("")}</table>
    <table><caption>Fixed points, input 0</caption><tr><th>h</th><th>multiplier</th><th></th></tr>${rows.join("") || "<tr><td>none with |h| &lt; 1000</td><td></td><td></td></tr>"}</table>`;
}

function drawUnit() {
  const length = data.lengths[view.index], past = unit.history(view.point), fixed = unit.fixedPoints(view.point), paths = orbits(past);
  drawMap(paths, fixed, length);
  drawState(paths, fixed, length);
  drawHistory(past, length);
  writeUnit(past, paths, fixed, length);
}
