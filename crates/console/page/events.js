// What came in lately, and what became of it.

import { get } from "./api.js";
import { announce, button, el, facts, fill, say, show, table } from "./dom.js";
import { at } from "./words.js";

const FATES = { sent: ["sent", "good"], skipped: ["skipped", ""], parked: ["parked", "wait"], dead: ["refused", "bad"] };

export function events() {
  const list = el("div"), more = el("div", { class: "actions" });
  const metric = el("select", { id: "metric" }, el("option", { value: "" }, "Any metric"));
  const fate = el("select", { id: "fate" }, el("option", { value: "" }, "Any fate"),
    Object.entries(FATES).map(([value, [label]]) => el("option", { value }, label)));
  const contact = el("input", { id: "contact", type: "text", autocomplete: "off", spellcheck: "false" });
  const field = (label, control, kind = "") => el("div", { class: `field ${kind}` }, el("label", { for: control.id }, label), control);
  const form = el("form", { class: "line", role: "search", "aria-label": "Filter events" }, field("Metric", metric), field("Fate", fate),
    field("Intercom contact id", contact, "grow"), el("button", { type: "submit" }, "Show"));
  const root = el("div", null, el("h1", null, "Events"),
    el("p", { class: "lead" }, "The newest first. They are listed by ids only; whose they are, Intercom and Klaviyo know."), form, list, more);
  let shown = [], next = null, extended = false;

  async function load(after) {
    const query = new URLSearchParams({ limit: "50" });
    for (const [name, control] of [["metric", metric], ["fate", fate], ["contact", contact]]) if (control.value.trim()) query.set(name, control.value.trim());
    if (after) query.set("after", after);
    const page = await get(`/api/events/recent?${query}`);
    shown = after ? [...shown, ...page.items] : page.items;
    next = page.next;
    draw();
  }
  async function attempt(after) {
    try {
      await load(after);
    } catch (error) {
      fill(list, say("bad", error.message));
    }
  }
  function draw() {
    const rows = shown.map((event) => [at(event.at), event.metric, tag(event.fate), event.reason ?? "", event.contact ? el("code", null, event.contact) : "",
      el("button", { type: "button", class: "quiet small", "aria-label": `Details of ${event.metric}, ${at(event.at)}`, onclick: () => details(event) }, "Details")]);
    fill(list, rows.length === 0 ? el("p", { class: "empty" }, "No such event is listed.")
      : table("Recent events", [["When", "tight"], ["Metric", ""], ["Fate", ""], ["Why", ""], ["Contact", ""], ["", ""]], rows, "stack"));
    fill(more, next && button("Older ones", async () => { extended = true; await attempt(next); }));
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    extended = false;
    await attempt(null);
    announce(`${shown.length} events are listed.`);
  });
  for (const control of [metric, fate]) control.addEventListener("change", () => form.requestSubmit());

  let looks = 0;
  return {
    root,
    async update(status) {
      const known = new Set([...metric.options].map((option) => option.value));
      for (const { name } of status.metrics) if (!known.has(name)) metric.append(el("option", { value: name }, name));
      // Under somebody's hands the list stays as it is.
      const busy = extended || list.contains(document.activeElement) || document.querySelector("dialog") !== null;
      if (looks++ === 0 || !busy) await load(null);
    },
  };
}

export function tag(fate) {
  const [label, kind] = FATES[fate] ?? [fate, ""];
  return el("span", { class: `tag ${kind}` }, label);
}

function details(event) {
  show(event.metric,
    facts([
      ["Fate", tag(event.fate)], ["When that was", at(event.at)], event.reason && ["Why", event.reason], ["When it happened", event.time ? at(event.time) : "not known"],
      ["Intercom contact", event.contact ? el("code", null, event.contact) : "not known"],
    ]),
    el("h3", null, "Key"), el("p", null, el("code", null, event.key)),
    el("p", { class: "soft small" }, "Klaviyo has it as the event's unique id; one key is one event, however often Intercom tells of it."),
    event.fate === "dead" && el("p", null, el("a", { href: "#/letters" }, "What was refused, and what to do"), "."),
    event.fate === "parked" && el("p", null, "It waits until the contact has an e-mail address or a phone number. ", el("a", { href: "#/letters" }, "Who waits"), "."));
}
