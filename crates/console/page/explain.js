// Why a notification became what it became: the same rules as production, in words.

import { get, post } from "./api.js";
import { button, el, fill, say, show, table } from "./dom.js";

export async function explainLetter(id) {
  const content = el("div");
  const path = `/api/dead-letters/${encodeURIComponent(id)}/explain`;
  const reveal = button("Show personal data", async () => {
    try {
      fill(content, explained(await post(`${path}?reveal=1`)));
      note.textContent = "Personal data is shown. That somebody looked is in the log.";
      reveal.hidden = true;
      note.focus();
    } catch (error) {
      fill(content, say("bad", error.message));
    }
  }, "risky");
  const note = el("p", { class: "soft small", tabindex: -1 }, "Personal data is hidden.");
  try {
    fill(content, explained(await get(path)));
  } catch (error) {
    fill(content, say("bad", error.message));
    reveal.hidden = true;
  }
  show("One notification explained", note, content, reveal);
}

function explained(found) {
  return [
    el("p", null, found.topic ? el("code", null, found.topic) : found.kind, ` · signature ${found.signature}`),
    el("h3", null, "What the rules say"), el("ul", null, found.findings.map((finding) => el("li", null, finding))),
    found.events.map((event) => [
      el("h3", null, event.metric),
      el("p", { class: "small soft" }, el("code", null, event.key)),
      event.note && el("p", { class: "small wait-text" }, event.note),
      el("details", { open: true }, el("summary", null, "Request to Klaviyo"), el("pre", { tabindex: 0, "aria-label": `Request for ${event.metric}` }, JSON.stringify(event.request, null, 2))),
    ]).flat(),
    found.fields.length > 0 && el("details", null, el("summary", null, `What becomes of its ${found.fields.length} fields`),
      table("Fields", [["Field", ""], ["Fate", ""]], found.fields.map((field) => [el("code", null, field.path), field.fate]))),
  ].flat();
}
