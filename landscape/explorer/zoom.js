"use strict";
// Windows of the plane, [[x0, x1], [y0, y1]]: how deep they may go, how they are moved, and what a hand does with them.

const size = ([low, high]) => high - low;
const spacing = v => 2 ** (Math.floor(Math.log2(Math.max(Math.abs(v), 2 ** -126))) - 23); // of float32 numbers at v
const coarsest = ends => spacing(Math.max(...ends.map(Math.abs)));

// How many digits float32 has left to tell places of a window apart: log10 of how many of its numbers lie in it.
const digits = window => Math.min(...window.map(ends => Math.log10(size(ends) / coarsest(ends))));

// A window scaled by a factor about a place, not smaller than `least` along either side, and inside `whole`.
function scaled(window, factor, place, least, whole) {
  const share = Math.max(factor, ...window.map((ends, k) => Math.min(1, least[k] / size(ends))));
  return inside(window.map((ends, k) => ends.map(v => place[k] + (v - place[k]) * share)), whole);
}

const shifted = (window, by, whole) => inside(window.map((ends, k) => ends.map(v => v + by[k])), whole);

function inside(window, whole) {
  return window.map(([low, high], k) => {
    const [first, last] = whole[k];
    if (high - low >= last - first) return [first, last];
    const back = Math.max(0, first - low) - Math.max(0, high - last);
    return [low + back, high + back];
  });
}

// What a place is moved by so that it lies in a window: the window follows a place that leaves it.
const follow = (window, place) => window.map(([low, high], k) => Math.min(0, place[k] - low) + Math.max(0, place[k] - high));

// Wheel, drag and pinch on a canvas: `change(factor, pixel, by)` gets the factor of the window about a pixel, and by how
// many pixels it is dragged. Tells whether the last press was a drag, which is no click.
function hand(canvas, change, mayScroll) {
  const fingers = new Map(), middle = () => [0, 1].map(k => [...fingers.values()].reduce((sum, at) => sum + at[k] / fingers.size, 0));
  const spread = () => {
    const [a, b] = fingers.values();
    return b ? Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1) : 1;
  };
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let moved = 0;
  canvas.addEventListener("pointerdown", event => {
    if (event.button) return; // a menu
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, at(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (!fingers.has(event.pointerId)) return;
    const [from, before] = [middle(), spread()];
    fingers.set(event.pointerId, at(event));
    const to = middle(), by = to.map((v, k) => v - from[k]);
    moved += Math.hypot(...by) + Math.abs(spread() - before);
    if (moved > 4) change(before / spread(), to, by);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(end, event => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", event => {
    if (mayScroll(event.deltaY)) return;
    event.preventDefault();
    const lines = [1, 16, 400][event.deltaMode];
    change(Math.exp(Math.max(-1, Math.min(1, event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)))), at(event), [0, 0]);
  }, { passive: false });
  return { dragged: () => moved > 4, busy: () => fingers.size > 0 };
}
