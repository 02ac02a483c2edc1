// What is kept, where, for how long; and how a person is forgotten.

import { post } from "./api.js";
import { announce, confirm, el, fill, say, table } from "./dom.js";
import { plural } from "./words.js";

function removed(report) {
  const counts = [[report.parked, "parked notification"], [report.dead_letters, "refused notification"], [report.cached_contacts, "remembered contact"],
    [report.recent_events, "listed event"], [report.identifiers, "identifier"], [report.klaviyo_deletions, "deletion asked of Klaviyo", "deletions asked of Klaviyo"]];
  const some = counts.filter(([count]) => count > 0).map(([count, one, many]) => plural(count, one, many));
  return some.length > 0 ? some.join(", ") : "nothing, because nothing was kept";
}

export function privacy({ about }) {
  const said = el("div");
  const who = el("input", { id: "who", type: "text", autocomplete: "off", spellcheck: "false", required: true });
  const also = el("input", { id: "also", type: "checkbox" });
  const form = el("form", { class: "card" },
    el("div", { class: "field" }, el("label", { for: "who" }, "E-mail address or Intercom contact id"), who),
    el("div", { class: "check actions" }, also, el("label", { for: "also" }, "Also ask Klaviyo to delete the profile and all its data")),
    el("button", { type: "submit", class: "risky" }, "Forget this person"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = who.value.trim();
    const sentences = ["Removed here: what is remembered of the contact, what waits, what was refused, and recent events."];
    if (also.checked) sentences.push("Klaviyo deletes the whole profile, whatever its source. This cannot be undone.");
    if (!(await confirm("Forget this person?", sentences, "Forget", "risky"))) return;
    try {
      const body = given.includes("@") ? { email: given } : { contact: given };
      const report = await post("/api/forget", { ...body, klaviyo: also.checked });
      fill(said, say("good", "Forgotten.", `Removed: ${removed(report)}.`), report.notes.map((note) => say("wait", note)));
      announce("The person was forgotten.");
      form.reset();
    } catch (error) {
      fill(said, say("bad", error.message));
      announce(error.message);
    }
  });
  const place = about.place === "aws" ? "tables and queues of your own AWS account" : "the file in DATA_DIR, which its owner alone may read";
  const texts = about.message_text_max_chars > 0 ? `with up to ${about.message_text_max_chars} characters of message text` : "without message texts";
  const ledger = about.ledger_days === null ? "for good" : plural(about.ledger_days, "day");
  const rows = [
    ["Notifications that wait", "what Intercom sent, trimmed", "until they are delivered; seconds as a rule"],
    ["Parked notifications", "the same", `until the contact is known, at most ${plural(about.parked_days, "day")}`],
    ["Refused notifications", "the same", "until you replay or discard them"],
    ["Contacts and names looked up", "address, name, tags, attributes", "minutes; an hour during an import"],
    ["Ledger", "a hash of each event's key", ledger],
    ["Identifiers of events on their way", "address or phone number", "until Klaviyo has answered"],
    ["Recent events", "ids, no names", `the last ${about.recent_events}`],
    ["Counters", "numbers", "for good"],
  ];
  const root = el("div", null, el("h1", null, "Privacy"),
    el("p", { class: "lead" }, `Everything is kept in ${place}. Klaviyo is sent events and profile data, ${texts}; internal notes never. Consent is never touched, and logs hold ids only.`),
    el("h2", null, "What is kept"), table("What is kept", [["What", ""], ["Holds", ""], ["How long", ""]], rows, "stack"),
    el("h2", null, "Forget a person"), said, form);
  return { root, async update() {} };
}
