"use strict";
// Charts on a canvas: a frame with ticks, and lines and dots in its coordinates.

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const raised = n => [...String(n)].map(c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
const brief = (v, digits = 4) => {
  if (!Number.isFinite(v)) return String(v).replace("Infinity", "∞").replace("-", "−");
  const text = v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3) ? v.toExponential(digits - 2) : String(+v.toPrecision(digits));
  return text.replace(/e\+?(-?\d+)$/, (_, n) => "·10" + raised(n)).replace("-", "−");
};

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(12));
}

// The same where low and high are log10 of what is shown, with the text of each: decades, or within two also 2 and 5.
function logTicks(low, high, count) {
  if (high - low > 2) return ticks(low, high, Math.max(2, count)).filter(Number.isInteger).map(v => [v, "10" + raised(v)]);
  const decades = span(Math.floor(low), Math.ceil(high), Math.ceil(high) - Math.floor(low) + 1);
  const values = decades.flatMap(e => [1, 2, 5].map(k => k * 10 ** e));
  return values.map(v => [Math.log10(v), brief(v)]).filter(([v]) => low <= v && v <= high);
}

// Ticks with their texts. Where those would need more than four digits, they count from a round number and in a power of
// ten, and `from` says which.
function based([low, high], count) {
  const large = Math.max(Math.abs(low), Math.abs(high)), round = 10 ** Math.ceil(Math.log10(high - low));
  const base = (high - low) / large > 3e-2 ? 0 : Math.round((low + high) / 2 / round) * round;
  const power = base ? Math.log10(round) - 1 : 0, from = `${base < 0 ? " +" : " −"} ${+Math.abs(base).toPrecision(10)}, in 10${raised(Math.round(power))}`;
  const marks = ticks((low - base) / 10 ** power, (high - base) / 10 ** power, Math.max(3, count)).map(v => [v * 10 ** power + base, brief(v)]);
  return { marks, from: base ? from : "" };
}

function padded(values, share = 0.06) {
  const fine = values.filter(Number.isFinite);
  const low = Math.min(...fine), high = Math.max(...fine), room = share * (high - low || Math.abs(high) || 1);
  return fine.length ? [low - room, high + room] : [-1, 1];
}

class Chart {
  constructor(canvas, margin = { left: 58, right: 12, top: 10, bottom: 36 }) {
    Object.assign(this, { canvas, margin });
  }

  // Clear, and set the ranges of both axes; `square` makes the frame a square.
  begin(x, y, square = false) {
    const ratio = devicePixelRatio || 1, { canvas, margin } = this;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    this.context = canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = "12px system-ui, sans-serif";
    this.frame = [margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom];
    if (square) this.frame[2] = this.frame[3] = Math.min(this.frame[2], this.frame[3]);
    Object.assign(this, { x, y });
  }

  X(v) {
    return this.frame[0] + ((v - this.x[0]) / (this.x[1] - this.x[0])) * this.frame[2];
  }

  Y(v) {
    return this.frame[1] + (1 - (v - this.y[0]) / (this.y[1] - this.y[0])) * this.frame[3];
  }

  // The place under a pixel of the canvas, held inside the frame.
  place([u, v], [x, y] = [this.x, this.y]) {
    const [left, top, width, height] = this.frame, share = (at, from, long) => Math.min(1, Math.max(0, (at - from) / long));
    return [x[0] + share(u, left, width) * (x[1] - x[0]), y[1] - share(v, top, height) * (y[1] - y[0])];
  }

  // The same under a pointer.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.place([event.clientX - box.left, event.clientY - box.top]);
  }

  // The frame, ticks and names of the axes; with `decades` the second axis holds log10 of what it shows.
  axes(xName, yName, decades = false) {
    const c = this.context, [left, top, width, height] = this.frame;
    c.strokeStyle = css("--faint");
    c.lineWidth = 1;
    c.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    c.fillStyle = css("--ink");
    c.textAlign = "center";
    c.textBaseline = "top";
    const across = based(this.x, width / 60), up = decades ? { marks: logTicks(...this.y, height / 26), from: "" } : based(this.y, height / 38);
    for (const [v, text] of across.marks) {
      this.stroke([[this.X(v), top + height], [this.X(v), top + height + 4]]);
      c.fillText(text, this.X(v), top + height + 6);
    }
    c.fillText(xName + across.from, left + width / 2, top + height + 21);
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const [v, text] of up.marks) {
      this.stroke([[left - 4, this.Y(v)], [left, this.Y(v)]]);
      c.fillText(text, left - 6, this.Y(v));
    }
    c.save();
    c.translate(left - this.margin.left + 9, top + height / 2);
    c.rotate(-Math.PI / 2);
    c.textAlign = "center";
    c.fillText(yName + up.from, 0, 0);
    c.restore();
  }

  stroke(pixels) {
    this.context.beginPath();
    pixels.forEach(([x, y], i) => (i ? this.context.lineTo(x, y) : this.context.moveTo(x, y)));
    this.context.stroke();
  }

  inside(draw) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(...this.frame);
    this.context.clip();
    draw(this.context);
    this.context.restore();
  }

  // A line through (xs, ys); it breaks where a value is not finite. With `casing` it stands out on any ground.
  line(xs, ys, { colour, width = 1.5, dash = [], alpha = 1, casing = "" }) {
    const parts = [[]];
    xs.forEach((x, i) => {
      if (Number.isFinite(x) && Number.isFinite(ys[i])) parts.at(-1).push([this.X(x), this.Y(ys[i])]);
      else parts.push([]);
    });
    this.inside(c => {
      c.globalAlpha = alpha;
      c.lineJoin = "round";
      for (const [style, more, dashes] of [[casing, 2.5, []], [colour, 0, dash]]) {
        if (!style) continue;
        c.strokeStyle = style;
        c.lineWidth = width + more;
        c.setLineDash(dashes);
        for (const part of parts) this.stroke(part);
      }
    });
  }

  dot(x, y, { colour, radius = 4, filled = true, casing = "" }) {
    this.inside(c => {
      c.beginPath();
      c.arc(this.X(x), this.Y(y), radius, 0, 2 * Math.PI);
      c.fillStyle = filled ? colour : css("--ground");
      c.fill();
      for (const [style, width] of [[casing, 4], [colour, 1.75]]) {
        if (!style) continue;
        c.strokeStyle = style;
        c.lineWidth = width;
        c.stroke();
      }
    });
  }
}
