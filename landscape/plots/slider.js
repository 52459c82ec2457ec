"use strict";
// A surface in 3-D over two coordinates, one for each length: every pixel has the colour of its height.

const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const [xAxis, yAxis] = data.axes, m = xAxis.values.length, n = yAxis.values.length;
const levels = new Uint16Array(Uint8Array.from(atob(data.levels), c => c.charCodeAt(0)).buffer); // little-endian
const LOST = 65535, FLOOR = -0.08, BAD = css("--bad");
const ASIDE = { turn: -2.44, tilt: 0.6, zoom: 1 }, ABOVE = { turn: 0, tilt: Math.PI / 2, zoom: 1 };
const view = { ...ASIDE, index: data.moments.length - 1 };
const canvas = element("wall"), sheet = document.createElement("canvas");
const level = (i, j) => levels[(view.index * m + i) * n + j];
const real = t => (data.log ? data.low * (data.high / data.low) ** t : data.low + t * (data.high - data.low));
const share = (values, v) => (2 * (v - values[0])) / (values.at(-1) - values[0]) - 1;
const us = xAxis.values.map(v => share(xAxis.values, v)), vs = yAxis.values.map(v => share(yAxis.values, v));

// Where (u, v, height) of a cube lies on the picture, and how near it is; no perspective, so lengths compare.
function camera(width, height) {
  const room = width - 66, size = view.zoom * Math.min(room / 3.2, height / 2.9);
  const [s, c] = [Math.sin(view.turn), Math.cos(view.turn)], [st, ct] = [Math.sin(view.tilt), Math.cos(view.tilt)];
  const left = room / 2 + 12, top = height * 0.52;
  return (u, v, h) => {
    const away = u * s + v * c, up = 1.15 * (h - 0.42);
    return [left + size * (u * c - v * s), top - size * (away * st + up * ct), up * st - away * ct];
  };
}

// Colour, depth and grid point of every pixel.
class Raster {
  constructor(width, height) {
    Object.assign(this, { width, height, image: new ImageData(width, height) });
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.near = new Float32Array(width * height).fill(-Infinity);
    this.point = new Int32Array(width * height).fill(-1);
  }

  put(x, y, z, pixel, point) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = y * this.width + x;
    if (z <= this.near[at]) return;
    this.near[at] = z;
    this.pixels[at] = pixel;
    this.point[at] = point;
  }

  // A triangle of corners [x, y, depth, level, point]; what lies between is interpolated.
  triangle(a, b, c) {
    const area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    if (!area) return;
    const range = (k, most) => [Math.max(0, Math.floor(Math.min(a[k], b[k], c[k]))), Math.min(most - 1, Math.ceil(Math.max(a[k], b[k], c[k])))];
    const [left, right] = range(0, this.width), [top, bottom] = range(1, this.height);
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const q = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area;
        const r = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area, p = 1 - q - r;
        if (p < -1e-6 || q < -1e-6 || r < -1e-6) continue;
        const corner = p >= q && p >= r ? a : q >= r ? b : c;
        this.put(x, y, p * a[2] + q * b[2] + r * c[2], TABLE[Math.min(255, (p * a[3] + q * b[3] + r * c[3]) >> 8)], corner[4]);
      }
    }
  }

  dot(x, y, z, pixel, radius, point) {
    for (let i = -radius; i <= radius; i++) for (let j = -radius; j <= radius; j++) this.put(Math.round(x) + i, Math.round(y) + j, z, pixel, point);
  }
}

const packed = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
const TABLE = Array.from({ length: 256 }, (_, i) => packed(...data.table.slice(3 * i, 3 * i + 3)));
const PINK = packed(...[1, 3, 5].map(i => parseInt(BAD.slice(i, i + 2), 16)));

function painted(width, height, ratio) {
  const raster = new Raster(width, height), project = camera(width, height);
  const corners = us.map((u, i) => vs.map((v, j) => {
    const q = level(i, j), [x, y, z] = project(u, v, q === LOST ? FLOOR : q / 65534);
    return [x, y, z, q, i * n + j];
  }));
  for (const row of corners) for (const [x, y, z, q, point] of row) if (q === LOST) raster.dot(x, y, z, PINK, Math.ceil(ratio), point);
  for (let i = 0; i + 1 < m; i++) {
    for (let j = 0; j + 1 < n; j++) {
      const [a, b, c, d] = [corners[i][j], corners[i + 1][j], corners[i][j + 1], corners[i + 1][j + 1]];
      if (a[3] === LOST || b[3] === LOST || c[3] === LOST || d[3] === LOST) continue;
      raster.triangle(a, b, c);
      raster.triangle(b, d, c);
    }
  }
  return raster;
}

// Edges of the floor that are near, with their ticks; the axis of heights on the left.
function axes(context, project) {
  const [s, c] = [Math.sin(view.turn), Math.cos(view.turn)], v0 = c >= 0 ? -1 : 1, u0 = s >= 0 ? -1 : 1;
  const middle = project(0, 0, FLOOR), flat = (u, v) => project(u, v, FLOOR);
  context.strokeStyle = css("--faint");
  context.fillStyle = css("--ink");
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "center";
  const line = (...points) => {
    context.beginPath();
    points.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  };
  const beside = ([x, y], [ex, ey], by, text) => {
    const [dx, dy] = [ex - middle[0], ey - middle[1]], far = Math.hypot(dx, dy) || 1;
    context.fillText(text, x + (by * 1.25 * dx) / far, y + (by * dy) / far);
  };
  const along = ([x0, y0], [x1, y1], text) => {
    const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2], far = Math.hypot(x - middle[0], y - middle[1]) || 1;
    const angle = Math.atan2(y1 - y0, x1 - x0);
    context.save();
    context.translate(x + (44 * (x - middle[0])) / far, y + (38 * (y - middle[1])) / far);
    context.rotate(Math.abs(angle) > Math.PI / 2 + 1e-6 ? angle + Math.PI : angle);
    context.fillText(text, 0, 0);
    context.restore();
  };
  line(flat(-1, -1), flat(1, -1), flat(1, 1), flat(-1, 1), flat(-1, -1));
  for (const [axis, place] of [[xAxis, t => flat(t, v0)], [yAxis, t => flat(u0, t)]]) {
    for (const v of ticks(axis.values[0], axis.values.at(-1), 5)) beside(place(share(axis.values, v)), place(0), 15, brief(v));
    along(place(-1), place(1), axis.label);
  }
  if (Math.cos(view.tilt) < 0.2) return;
  const corner = [[-1, -1], [1, -1], [1, 1], [-1, 1]].reduce((a, b) => (flat(...b)[0] < flat(...a)[0] ? b : a));
  line(project(...corner, FLOOR), project(...corner, 1));
  context.textAlign = "right";
  for (const [t, text] of marks()) context.fillText(text, project(...corner, t)[0] - 8, project(...corner, t)[1]);
}

// Round values on the scale of heights and colours, 0 to 1, and their text.
function marks() {
  const { low, high, log } = data;
  if (log) return logTicks(Math.log10(low), Math.log10(high), 6).map(([v, text]) => [(v - Math.log10(low)) / Math.log10(high / low), text]);
  return ticks(low, high, 5).map(v => [(v - low) / (high - low), brief(v)]);
}

function bar(context, width, height) {
  const [left, top, tall] = [width - 62, height * 0.22, height * 0.5];
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `rgb(${data.table.slice(3 * i, 3 * i + 3)})`;
    context.fillRect(left, top + tall * (1 - (i + 1) / 256), 12, tall / 256 + 0.6);
  }
  context.fillStyle = css("--ink");
  context.textAlign = "left";
  for (const [t, text] of marks()) context.fillText(text, left + 16, top + tall * (1 - t));
  context.textAlign = "right";
  context.fillText(data.label + (data.log ? ", log scale" : ""), width - 4, top - 16);
}

let shown = null;
function draw() {
  const ratio = Math.min(devicePixelRatio || 1, 2), [width, height] = [canvas.clientWidth, canvas.clientHeight];
  [canvas.width, canvas.height] = [sheet.width, sheet.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  shown = painted(canvas.width, canvas.height, ratio);
  sheet.getContext("2d").putImageData(shown.image, 0, 0);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  axes(context, camera(width, height));
  context.drawImage(sheet, 0, 0, width, height);
  bar(context, width, height);
  write();
}

function write() {
  const now = data.moments[view.index], size = m * n;
  const bad = levels.subarray(view.index * size, (view.index + 1) * size).filter(q => q === LOST).length;
  element("length").value = view.index;
  element("length").setAttribute("aria-valuetext", now);
  element("length-text").textContent = now;
  element("bad").hidden = !bad;
  element("bad").textContent = `● inf or NaN: ${bad} of ${size} points`;
  element("bad").style.color = BAD;
}

// The grid point under the pointer, in words.
function read(event) {
  const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
  const [x, y] = [event.clientX - box.left, event.clientY - box.top].map(v => Math.round(v * ratio));
  const point = shown && x >= 0 && y >= 0 && x < shown.width && y < shown.height ? shown.point[y * shown.width + x] : -1;
  if (point < 0) return;
  const [i, j] = [Math.floor(point / n), point % n], q = level(i, j);
  const value = q === LOST ? "inf or NaN" : brief(real(q / 65534));
  element("place").textContent = `${xAxis.name} = ${brief(xAxis.values[i])}, ${yAxis.name} = ${brief(yAxis.values[j])}: loss ${value}`;
}

let waiting = false;
function show(change) {
  Object.assign(view, change);
  view.tilt = Math.min(Math.PI / 2, Math.max(0.05, view.tilt));
  view.zoom = Math.min(8, Math.max(0.5, view.zoom));
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function listen() {
  let from = null;
  canvas.addEventListener("pointerdown", event => {
    from = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => (from = null));
  canvas.addEventListener("pointermove", event => {
    if (!from) return read(event);
    show({ turn: view.turn - (event.clientX - from[0]) / 150, tilt: view.tilt + (event.clientY - from[1]) / 150 });
    from = [event.clientX, event.clientY];
  });
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    show({ zoom: view.zoom * Math.exp(-event.deltaY / 600) });
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const { turn, tilt, zoom } = view, changes = {
      ArrowLeft: { turn: turn + 0.1 }, ArrowRight: { turn: turn - 0.1 }, ArrowUp: { tilt: tilt + 0.08 },
      ArrowDown: { tilt: tilt - 0.08 }, "+": { zoom: zoom * 1.15 }, "-": { zoom: zoom / 1.15 },
    };
    if (!changes[event.key]) return;
    event.preventDefault();
    show(changes[event.key]);
  });
  element("aside").addEventListener("click", () => show(ASIDE));
  element("above").addEventListener("click", () => show(ABOVE));
  element("length").addEventListener("input", ({ target }) => show({ index: +target.value }));
  addEventListener("resize", () => show({}));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show({}));
}

element("title").textContent = data.title;
element("settings").textContent = data.said;
element("length").max = data.moments.length - 1;
element("length").setAttribute("aria-label", data.along);
element("moments").hidden = data.moments.length < 2;
listen();
draw();
