// Is it working? The state in a sentence, the books, and what came when.

import { get } from "./api.js";
import { hourly } from "./chart.js";
import { el, facts, fill, say, table } from "./dom.js";
import { verdicts } from "./state.js";
import { ago, at, duration, number, sum } from "./words.js";

export function overview({ about }) {
  const state = el("div"), books = el("div"), reasons = el("div"), times = el("div"), chart = el("div"), metrics = el("div");
  const root = el("div", null,
    el("h1", { class: "unseen" }, "Overview"), state,
    el("h2", null, "What became of it"),
    el("p", { class: "soft small" }, "Every notification that was accepted is in exactly one of these places."),
    books, el("details", null, el("summary", null, "Why some were skipped"), reasons), times,
    el("h2", null, "Events per hour"), chart,
    el("h2", null, "Metrics"), metrics);
  let drawn = "";
  async function draw() {
    const report = await get("/api/events/hours");
    const width = Math.round(chart.clientWidth) || 900;
    const text = JSON.stringify([report, width]);
    // The table below the chart stays open, and under the reader's eyes, while nothing changed.
    if (text !== drawn) {
      const open = chart.querySelector("details")?.open;
      fill(chart, hourly(report, about.metric_prefix, width));
      if (open && chart.querySelector("details")) chart.querySelector("details").open = true;
    }
    drawn = text;
  }
  let looks = 0;
  addEventListener("resize", () => { if (root.isConnected) draw().catch(() => {}); });
  return {
    root,
    async update(status) {
      fill(state, head(status));
      fill(books, equation(status));
      fill(reasons, skipped(status.skipped));
      fill(times, lag(status));
      fill(metrics, metricTable(status.metrics));
      if (looks++ % 6 === 0) await draw();
    },
  };
}

function head(status) {
  return verdicts(status).map((verdict, index) => {
    const more = verdict.link && el("a", { href: verdict.link }, "Go there");
    const box = say(`${verdict.kind}${index === 0 ? " head" : ""}`, index === 0 ? verdict.sentence : el("strong", null, verdict.sentence));
    if (verdict.repair) box.append(el("p", null, verdict.repair, more && " ", more));
    return box;
  });
}

function equation(status) {
  const terms = [
    ["", status.accepted, "accepted"], ["=", status.delivered, "delivered"], ["+", sum(status.skipped), "skipped"],
    ["+", status.parked, "parked"], ["+", status.dead, "dead"], ["+", status.in_flight, "in flight"],
  ];
  const right = terms.slice(1).reduce((total, [, count]) => total + count, 0);
  const signs = { "=": "equals", "+": "plus" };
  return [
    el("ul", { class: "sum", "aria-label": "The books" }, terms.map(([sign, count, what]) =>
      el("li", null, sign && el("span", { class: "sign" }, el("span", { "aria-hidden": "true" }, sign), el("span", { class: "unseen" }, signs[sign])),
        el("span", { class: "term" }, el("span", { class: "number" }, number(count)), el("span", { class: "what" }, what))))),
    right !== status.accepted && el("p", { class: "bad-text" }, `These do not add up: ${number(right)} on the right. Please report this.`),
  ];
}

function skipped(byReason) {
  const rows = Object.entries(byReason).sort((one, other) => other[1] - one[1]).map(([reason, count]) => [reason, number(count)]);
  if (rows.length === 0) return el("p", { class: "empty" }, "Nothing was skipped.");
  return table("Skipped notifications by reason", [["Reason", ""], ["Notifications", "num"]], rows);
}

function lag(status) {
  return facts([
    ["Last notification", ago(status.last_webhook_at)],
    ["Last event taken by Klaviyo", ago(status.last_delivery_at)],
    ["Oldest that waits", status.queue_age_seconds > 0 ? duration(status.queue_age_seconds) : "none"],
    ["Last look for what was missed", status.reconcile?.last_at ? ago(status.reconcile.last_at) : "not yet"],
    status.reconcile?.delivered > 0 && ["Found by that look", `${number(status.reconcile.delivered)} events`],
  ]);
}

function metricTable(metrics) {
  if (metrics.length === 0) return el("p", { class: "empty" }, "No event has been sent yet.");
  const rows = metrics.map((metric) => [metric.name, number(metric.delivered), at(metric.last_at)]);
  return table("Events sent by metric", [["Metric", ""], ["Events", "num"], ["Last", "tight num"]], rows);
}
