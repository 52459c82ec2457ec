"use strict";
// The surface computed live: the shader of glsl.js at every pixel, first at few, then at all, in strips that keep the
// page awake.

const COARSEST = 32; // pixels along a side that share a value at first
const MOVING = 30, STILL = 45; // ms of computing in a frame

class Live {
  // Throws where there is no WebGL2, or the card refuses the program.
  constructor(unit) {
    this.canvas = document.createElement("canvas");
    const gl = this.gl = this.canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("this browser has no WebGL2");
    Object.assign(this, { unit, rates: {}, programs: {}, tables: {}, key: "", set: -1, done: null, next: null });
    gl.bindVertexArray(gl.createVertexArray());
    this.frame = gl.createFramebuffer();
    this.places = this.texture();
    this.episodes = this.texture();
    this.colours = this.program(COLOURS);
  }

  program(text) {
    const { gl } = this, made = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, text]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(`the graphics card refuses: ${gl.getProgramInfoLog(made)}`);
    return Object.assign(made, { at: name => gl.getUniformLocation(made, name) });
  }

  texture() {
    const { gl } = this, made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    for (const which of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, which, gl.NEAREST);
    return made;
  }

  fill(texture, width, height, values, kinds) {
    const { gl } = this, [inner, format, type] = kinds || [gl.R32F, gl.RED, gl.FLOAT];
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, inner, width, height, 0, format, type, values);
  }

  // The targets and then the inputs of the episodes of set k, in rows of a texture.
  feed(k) {
    if (this.set === k) return;
    const { targets, inputs } = this.unit.live, all = [...targets[k], ...inputs[k]], rows = Math.ceil(all.length / ROW);
    const padded = new Float32Array(rows * ROW);
    padded.set(all);
    this.fill(this.episodes, ROW, rows, padded);
    this.set = k;
  }

  // Ask for a picture { x, y, width, height, field, steps, set }: at once at as many pixels as there is time for.
  ask(picture) {
    const key = JSON.stringify(picture), { gl } = this;
    if (key === this.key) return;
    Object.assign(this, { key, picture });
    this.programs[picture.field] ||= this.program(shaderText(this.unit.live, picture.field));
    this.feed(picture.set);
    this.rates[picture.field] ||= this.tried();
    const { width, height } = picture, strides = [1, 2, 4, 8, 16, COARSEST];
    const fits = stride => (width * height * picture.steps) / stride ** 2 / this.rates[picture.field] < MOVING;
    this.begin(strides.find(fits) || COARSEST);
    while (this.next.row < this.next.height) this.strip(Infinity);
    this.finish();
  }

  // Pixels times steps per ms, from one row of pixels; drawn twice, as the first waits for the compiler.
  tried() {
    const once = () => {
      this.begin(COARSEST);
      const { row, height, width, ms } = this.strip(0);
      return (width * row * this.picture.steps) / Math.max(ms, 0.05);
    };
    return once(), once();
  }

  // A new level: its places in float32, exactly those at which it is computed, and a texture for its values.
  begin(stride) {
    const { gl, picture: { x, y, width, height } } = this, columns = Math.ceil(width / stride), rows = Math.ceil(height / stride);
    const along = (count, size, [low, high]) =>
      Float32Array.from({ length: count }, (_, i) => low + (Math.min(i * stride + stride / 2, size - 0.5) / size) * (high - low));
    const xs = along(columns, width, x), ys = along(rows, height, y), long = Math.max(columns, rows), places = new Float32Array(2 * long);
    places.set(xs);
    places.set(ys, long);
    this.fill(this.places, long, 2, places);
    const values = this.next?.values || this.texture();
    this.fill(values, columns, rows, null, [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT]);
    this.next = { stride, values, xs, ys, width: columns, height: rows, row: 0, ms: 0 };
  }

  // Some rows of the level, as many as the budget in ms allows; one pixel is read, so that the clock sees the end.
  strip(budget) {
    const { gl, next, picture: { field, steps } } = this, program = this.programs[field], started = performance.now();
    const wished = Math.floor((budget * (this.rates[field] || 0)) / (next.width * steps)), count = Math.max(1, Math.min(next.height - next.row, wished || 1));
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, next.values, 0);
    gl.viewport(0, 0, next.width, next.height);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, next.row, next.width, count);
    gl.useProgram(program);
    this.bind(program, { places: this.places, episodes: this.episodes });
    gl.uniform1i(program.at("steps"), steps);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.readPixels(0, next.row, 1, 1, gl.RED_INTEGER, gl.UNSIGNED_INT, new Uint32Array(1));
    gl.disable(gl.SCISSOR_TEST);
    next.row += count;
    next.ms += performance.now() - started;
    return next;
  }

  bind(program, textures) {
    Object.entries(textures).forEach(([name, texture], i) => {
      this.gl.activeTexture(this.gl.TEXTURE0 + i);
      this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
      this.gl.uniform1i(program.at(name), i);
    });
    this.gl.activeTexture(this.gl.TEXTURE0 + 2); // where textures are filled
  }

  // The level is whole: it is what is shown, and the rate of the next ones.
  finish() {
    const { next, picture: { field, steps } } = this;
    this.rates[field] = (next.width * next.height * steps) / Math.max(next.ms, 0.05);
    [this.done, this.next] = [next, this.done && { values: this.done.values }];
  }

  // Go on towards a value for every pixel, for one frame's time; whether there is more to do.
  work() {
    if (this.done.stride === 1) return false;
    if (!(this.next?.row < this.next?.height)) this.begin(this.done.stride / 2);
    this.strip(STILL);
    if (this.next.row >= this.next.height) this.finish();
    return this.done.stride > 1;
  }

  // The canvas with the colours of what is computed.
  paint({ low, high, log, table }) {
    const { gl, canvas, done, colours, picture: { width, height, field } } = this;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    if (!this.tables[field]) {
      const shades = Uint8Array.from({ length: 1024 }, (_, i) => (i % 4 === 3 ? 255 : table[3 * (i >> 2) + (i % 4)]));
      this.fill((this.tables[field] = this.texture()), 256, 1, shades, [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE]);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.useProgram(colours);
    this.bind(colours, { values: done.values, table: this.tables[field] });
    gl.uniform1i(colours.at("stride"), done.stride);
    gl.uniform2f(colours.at("ends"), low, high);
    gl.uniform1i(colours.at("logarithmic"), log);
    gl.uniform1i(colours.at("zeroes"), field === "log10_gradient");
    gl.uniform3f(colours.at("bad"), ...[1, 3, 5].map(i => parseInt(BAD.slice(i, i + 2), 16) / 255));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return canvas;
  }

  // The least and the largest finite value of what is computed.
  range() {
    return (this.done.range ||= this.read().values.reduce(({ low, high }, v) =>
      (Number.isFinite(v) ? { low: Math.min(low, v), high: Math.max(high, v) } : { low, high }), { low: Infinity, high: -Infinity }));
  }

  // What is computed, from below: the places in float32, and values row by row.
  read() {
    const { gl, done } = this, bits = new Uint32Array(done.width * done.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, done.values, 0);
    gl.readPixels(0, 0, done.width, done.height, gl.RED_INTEGER, gl.UNSIGNED_INT, bits);
    return { xs: done.xs, ys: done.ys, values: new Float32Array(bits.buffer) };
  }
}
