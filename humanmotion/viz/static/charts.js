"use strict";
// Line plots on the page's time axis, with one cursor that all of them share.

const SERIES_COLOURS = ["#3f7fe8", "#e0683c", "#2f9e6e", "#a05bd0", "#c7962b", "#2aa3b8"];
const SHOT_COLOURS = ["#5b8def", "#e3a13c", "#4fb286", "#c06bb5", "#d3695a", "#57a9c4"];
const PLOT = { left: 46, right: 10, top: 6, bottom: 20, height: 150 };

function svgNode(parent, name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function element(parent, name, { text, ...rest } = {}) {
  const node = Object.assign(document.createElement(name), rest);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function niceTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || raw;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function frameAt(times, t) {
  let low = 0, high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= t) low = middle; else high = middle;
  }
  return t - times[low] <= times[high] - t ? low : high;
}

class Chart {
  // axis: {times, start, end, shots}; kind: "line", "contact" or "cut"; seek(t) is called on clicks.
  constructor(parent, { title, unit, kind, series, axis, seek }) {
    Object.assign(this, { title, unit, kind, series, axis });
    this.figure = element(parent, "figure");
    const caption = element(this.figure, "figcaption");
    element(caption, "strong", { text: unit ? `${title} (${unit})` : title });
    this.keys = series.map((one) => {
      const key = element(caption, "span", { className: "key" });
      element(key, "i", { className: "swatch" }).style.background = one.colour;
      return element(key, "span", { text: one.name });
    });
    this.height = PLOT.height;
    this.svg = svgNode(this.figure, "svg", { height: this.height, role: "img", "aria-label": title });
    const pick = (event) => {
      const x = event.clientX - this.svg.getBoundingClientRect().left;
      seek(axis.start + (x - PLOT.left) / this.inner * (axis.end - axis.start));
    };
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      pick(event);
    });
    this.svg.addEventListener("pointermove", (event) => { if (event.buttons & 1) pick(event); });
    new ResizeObserver(() => this.draw()).observe(this.svg);
    this.draw();
  }

  x(t) { return PLOT.left + (t - this.axis.start) / (this.axis.end - this.axis.start) * this.inner; }

  y(value) {
    const [low, high] = this.range;
    return this.height - PLOT.bottom - (value - low) / (high - low) * this.tall;
  }

  draw() {
    const width = Math.max(this.svg.clientWidth, 120);
    this.inner = width - PLOT.left - PLOT.right;
    this.tall = this.height - PLOT.top - PLOT.bottom;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.drawTime();
    if (this.kind === "contact") this.series.forEach((one, lane) => this.drawContact(one, lane));
    else {
      this.drawValues(width);
      for (const one of this.series) if (this.kind === "cut") this.drawCuts(one); else this.drawLine(one);
    }
    const bottom = this.height - PLOT.bottom;
    this.cursor = svgNode(this.svg, "line", { class: "cursor", y1: PLOT.top, y2: bottom });
    this.moveTo(this.time ?? this.axis.start);
  }

  drawTime() {
    const bottom = this.height - PLOT.bottom;
    this.axis.shots.forEach((shot, i) => {
      const x = this.x(shot.start);
      const band = { x, y: PLOT.top, width: Math.max(this.x(shot.end) - x, 0), height: this.tall };
      if (i % 2) svgNode(this.svg, "rect", { class: "band", ...band });
      if (i) svgNode(this.svg, "line", { class: "cut", x1: x, x2: x, y1: PLOT.top, y2: bottom });
    });
    const { ticks, digits } = niceTicks(this.axis.start, this.axis.end, this.inner / 80);
    for (const t of ticks) {
      const text = t.toFixed(digits) + " s";
      svgNode(this.svg, "text", { x: this.x(t), y: this.height - 5, "text-anchor": "middle" }, text);
    }
  }

  drawValues(width) {
    const spread = this.kind === "cut"
      ? this.series.flatMap((s) => s.cuts.flatMap((c) => [c.yaw - c.sigma, c.yaw + c.sigma, 0]))
      : this.series.flatMap((s) => s.values.filter((v) => v !== null));
    let low = spread.length ? spread.reduce((a, b) => Math.min(a, b)) : 0;
    let high = spread.length ? spread.reduce((a, b) => Math.max(a, b)) : 1;
    // Quantities that live above zero are read against zero.
    if (low >= 0 && low < high / 2) low = 0;
    const pad = (high - low || Math.abs(high) || 1) * 0.06;
    this.range = [low === 0 ? 0 : low - pad, high + pad];
    const { ticks, digits } = niceTicks(...this.range, 4);
    for (const value of ticks) {
      const y = this.y(value), name = Math.abs(value) < 1e-9 && low < 0 ? "zero" : "axis";
      svgNode(this.svg, "line", { class: name, x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y });
      const place = { x: PLOT.left - 6, y: y + 4, "text-anchor": "end" };
      svgNode(this.svg, "text", place, value.toFixed(digits));
    }
  }

  drawLine(one) {
    const { times } = this.axis;
    let path = "", pen = "M";
    one.values.forEach((value, i) => {
      if (value === null) { pen = "M"; return; }
      path += `${pen}${this.x(times[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
      // A lone frame between gaps would draw nothing without a step.
      if (pen === "M") path += "h0.1";
      pen = "L";
    });
    svgNode(this.svg, "path", { class: "series", d: path, stroke: one.colour });
  }

  drawContact(one, lane) {
    const { times, end } = this.axis, tall = this.tall / this.series.length;
    const y = PLOT.top + lane * tall + tall * 0.2;
    for (let i = 0; i < one.values.length;) {
      let stop = i + 1;
      while (stop < one.values.length && one.values[stop] === one.values[i]) stop++;
      const from = this.x(times[i]), to = this.x(stop < times.length ? times[stop] : end);
      const box = { x: from, y, width: Math.max(to - from, 1), height: tall * 0.6, rx: 2 };
      if (one.values[i]) svgNode(this.svg, "rect", { ...box, fill: one.colour, opacity: one.values[i] });
      i = stop;
    }
  }

  drawCuts(one) {
    for (const cut of one.cuts) {
      const x = this.x(cut.time), y = this.y(cut.yaw);
      const top = this.y(cut.yaw + cut.sigma), bottom = this.y(cut.yaw - cut.sigma);
      const ink = { stroke: one.colour, class: "point" };
      svgNode(this.svg, "line", { ...ink, x1: x, x2: x, y1: top, y2: bottom });
      for (const end of [top, bottom]) svgNode(this.svg, "line", { ...ink, x1: x - 5, x2: x + 5, y1: end, y2: end });
      svgNode(this.svg, "circle", { cx: x, cy: y, r: 4, fill: one.colour });
    }
  }

  moveTo(time) {
    this.time = time;
    const x = this.x(time);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    if (this.kind === "cut") return;
    const frame = frameAt(this.axis.times, time);
    this.series.forEach((one, i) => {
      const value = one.values[frame];
      const text = value === null ? "–" : value.toPrecision(3);
      this.keys[i].textContent = this.kind === "contact" ? one.name : `${one.name} ${text}`;
    });
  }
}
