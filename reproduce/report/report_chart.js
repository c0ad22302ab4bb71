"use strict";
// Curves side by side as SVG, with what is under the pointer spelt out.

const COLOURS = ["#3b82c4", "#d98200", "#1a9a5c", "#c23b3b", "#8b5fbf", "#8c6d46", "#d95f9e", "#7a8794", "#a3a500", "#14a3b8"];
const DASHES = ["", "6 3", "2 3", "9 3 2 3"];
const CHART = { least: 280, most: 400, left: 62, right: 32, top: 12, bottom: 40 };

function make(name, attributes = {}, ...children) {
  const found = name.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  const found = [];
  for (let number = Math.ceil(low / size); number * size <= high + size * 1e-9; number += 1) found.push(number * size);
  return found;
}

const readable = (value) => Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 });

// series: [{label, colour, dash, steps, values}]
function drawChart(holder, series, { across = "step", up = "" } = {}) {
  holder.replaceChildren();
  const shown = series.filter((one) => one.values.length);
  if (!shown.length) {
    holder.append(make("p", { class: "hint" }, "No curve to draw."));
    return;
  }
  const xs = shown.flatMap((one) => one.steps), ys = shown.flatMap((one) => one.values);
  const least = (values) => values.reduce((a, b) => Math.min(a, b)), most = (values) => values.reduce((a, b) => Math.max(a, b));
  const x0 = Math.min(0, least(xs)), x1 = Math.max(most(xs), x0 + 1);
  const pad = (most(ys) - least(ys) || Math.abs(most(ys)) || 1) * 0.05;
  const y0 = least(ys) - pad, y1 = most(ys) + pad;
  const { least: narrowest, most: highest, left, right, top, bottom } = CHART;
  const width = Math.max(narrowest, holder.clientWidth - 18), height = Math.min(highest, 0.75 * width);
  const x = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - right);
  const y = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = make("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${up} against ${across}` });
  for (const value of ticks(y0, y1, height / 60)) {
    svg.append(make("svg:line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    svg.append(make("svg:text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, readable(value)));
  }
  for (const value of ticks(x0, x1, width / 150)) {
    svg.append(make("svg:text", { x: x(value), y: height - bottom + 18, "text-anchor": "middle" }, readable(value)));
  }
  svg.append(make("svg:text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, across));
  const paths = shown.map((one) => {
    const points = one.steps.map((step, k) => `${x(step).toFixed(1)},${y(one.values[k]).toFixed(1)}`);
    const path = make("svg:path", { d: `M${points.join("L")}`, stroke: one.colour, "stroke-dasharray": one.dash || "" });
    if (points.length === 1) path.setAttribute("d", `M${points[0]}h.1`), path.setAttribute("stroke-linecap", "round");
    svg.append(path);
    return path;
  });
  const dot = make("svg:circle", { r: 4, visibility: "hidden" });
  svg.append(dot);
  const tip = make("div", { class: "tip", hidden: "" });
  const chart = make("div", { class: "chart" }, svg, tip, legend(shown));

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), scale = width / box.width;
    const at = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = { distance: Infinity };
    shown.forEach((one, number) => one.steps.forEach((step, k) => {
      const distance = Math.hypot(x(step) - at[0], y(one.values[k]) - at[1]);
      if (distance < best.distance) best = { distance, number, step, value: one.values[k] };
    }));
    const one = shown[best.number];
    paths.forEach((path, number) => path.setAttribute("class", number === best.number ? "at" : "off"));
    dot.setAttribute("cx", x(best.step)), dot.setAttribute("cy", y(best.value));
    dot.setAttribute("fill", one.colour), dot.setAttribute("visibility", "visible");
    tip.hidden = false;
    tip.textContent = `${one.label}: ${readable(best.value)} at ${across} ${readable(best.step)}`;
    const beside = x(best.step) / scale + 14;
    tip.style.left = `${Math.max(0, Math.min(beside, chart.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(0, y(best.value) / scale - tip.offsetHeight - 10)}px`;
  });
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
    dot.setAttribute("visibility", "hidden");
    paths.forEach((path) => path.removeAttribute("class"));
  });
  holder.append(chart);
}

function legend(series) {
  const groups = new Map(series.map((one) => [one.group ?? one.label, one]));
  const names = [...groups].map(([name, one]) => {
    const line = make("i");
    line.style.background = one.colour;
    return make("span", {}, line, name);
  });
  return make("div", { class: "legend" }, ...names);
}
