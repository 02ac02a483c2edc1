// Events per hour as stacked bars, and the same as a table.

import { el, svg, table } from "./dom.js";
import { at, day, hour, minute, number, plural } from "./words.js";

const HEIGHT = 190, LEFT = 44, BOTTOM = 22, TOP = 8, PADDING = 36;

/** `width`: of the place for it, in pixels, so that its letters are as large as the page's. */
export function hourly(report, prefix, width) {
  const count = report.metrics[0]?.counts.length ?? 0;
  const starts = Array.from({ length: count }, (_, index) => new Date(report.from).getTime() + index * 3600e3);
  const totals = starts.map((_, index) => report.metrics.reduce((total, metric) => total + metric.counts[index], 0));
  const all = totals.reduce((one, other) => one + other, 0);
  if (all === 0) return el("p", { class: "empty" }, "No event was sent in the last 48 hours.");
  const short = (name) => (prefix && name.startsWith(prefix) ? name.slice(prefix.length) : name);
  return el("div", { class: "chart" },
    bars(report.metrics, starts, totals, { all, short, width: Math.max(240, width - PADDING) }),
    el("ul", { class: "legend", "aria-hidden": "true" }, report.metrics.map((metric, index) => el("li", null, swatch(index), short(metric.name)))),
    numbers(report.metrics, starts, totals, short));
}

function swatch(index) {
  return svg("svg", { viewBox: "0 0 10 10" }, svg("rect", { width: 10, height: 10, rx: 2, class: `s${index % 12}` }));
}

function bars(metrics, starts, totals, { all, short, width }) {
  const every = width < 560 ? 12 : 6;
  const highest = nice(Math.max(...totals));
  const step = (width - LEFT) / starts.length;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / highest);
  const drawn = [];
  for (const part of [0, .5, 1]) {
    const value = highest * part;
    drawn.push(svg("line", { x1: LEFT, x2: width, y1: y(value), y2: y(value), class: part === 0 ? "base" : "grid" }));
    if (Number.isInteger(value)) drawn.push(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  starts.forEach((start, index) => {
    let below = 0;
    const column = metrics.map((metric, series) => {
      const value = metric.counts[index];
      const top = y(below + value), height = y(below) - top;
      below += value;
      return value > 0 && svg("rect", { x: LEFT + index * step + 1, y: top, width: Math.max(1, step - 2), height, class: `s${series % 12}` });
    });
    const lines = metrics.filter((metric) => metric.counts[index] > 0).map((metric) => `${short(metric.name)}: ${number(metric.counts[index])}`);
    if (below > 0) drawn.push(svg("g", null, svg("title", null, `${at(start)}\n${lines.join("\n")}`), column));
    if (new Date(start).getHours() % every === 0) {
      drawn.push(svg("text", { x: LEFT + index * step, y: HEIGHT - 6 }, new Date(start).getHours() === 0 ? day(start).replace(/ \d{4}$/, "") : hour(start)));
    }
  });
  const busiest = totals.indexOf(Math.max(...totals));
  const label = `${plural(all, "event")} in the last 48 hours, most of them at ${at(starts[busiest])}: ${number(totals[busiest])}. The table below has all numbers.`;
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label }, drawn);
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  const factor = [1, 2, 4, 6, 10].find((factor) => factor * power >= value);
  return Math.max(2, factor * power);
}

function numbers(metrics, starts, totals, short) {
  const columns = [["Hour", "tight"], ...metrics.map((metric) => [short(metric.name), "num"]), ["All", "num"]];
  const rows = starts
    .map((start, index) => [minute(start), ...metrics.map((metric) => number(metric.counts[index])), number(totals[index])])
    .filter((_, index) => totals[index] > 0)
    .reverse();
  const made = el("details", null, el("summary", null, "As a table"));
  made.addEventListener("toggle", () => {
    if (made.open && made.childElementCount === 1) made.append(table("Events sent in each hour", columns, rows));
  });
  return made;
}
