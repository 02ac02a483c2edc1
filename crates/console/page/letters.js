// What was refused and what waits: why, what to do about it, and what came of that.

import { get, post } from "./api.js";
import { announce, button, confirm, el, fill, say, table } from "./dom.js";
import { explainLetter } from "./explain.js";
import { ago, at, capital, number, plural } from "./words.js";

const NOW = { delivered: "good", discarded: "", skipped: "", parked: "wait", "on its way": "wait", "refused again": "bad" };

export function letters({ refresh, about }) {
  const groups = el("div"), each = el("div"), more = el("div", { class: "actions" }), since = el("div"), parked = el("div"), said = el("div");
  const root = el("div", null, el("h1", null, "Dead letters and parked"), said,
    el("h2", null, "Refused, by cause"), groups,
    el("details", null, el("summary", null, "One by one"), each, more),
    el("h2", null, "What happened to those that were replayed or discarded"), since,
    el("h2", null, "Parked"),
    el("p", { class: "soft" }, `They wait until their contact has an e-mail address or a phone number, for up to ${plural(about.parked_days, "day")}; they are looked at again by themselves.`), parked);
  let shown = [], next = null;

  async function attempt(action) {
    fill(said);
    try {
      await action();
    } catch (error) {
      fill(said, say("bad", error.message));
      announce(error.message);
    }
    await load();
    await refresh();
  }
  const one = (letter, action) => attempt(async () => {
    await post(`/api/dead-letters/${encodeURIComponent(letter.id)}/${action}`);
    done(action, 1);
  });
  function done(action, count) {
    const sentence = `${plural(count, "notification")} ${action === "replay" ? "put back on the queue" : "discarded"}.`;
    fill(said, say("good", sentence));
    announce(sentence);
  }
  // Piece after piece, so that nothing runs long; closing the page stops between two pieces.
  const many = (reason, count, action) => attempt(async () => {
    let steered = 0, after = null;
    do {
      const piece = await post("/api/dead-letters/steer", { action, reason, after });
      steered += piece.steered;
      after = piece.next;
      fill(said, say("wait", `${number(steered)} of ${number(count)}…`));
    } while (after !== null);
    done(action, steered);
  });
  async function ask(action, count, run) {
    const yes = action === "replay"
      ? await confirm(`Replay ${plural(count, "notification")}?`, "They go back on the queue and are tried again. What Klaviyo already has is not sent twice.", "Replay")
      : await confirm(`Discard ${plural(count, "notification")}?`, "Their events are never sent, and their bytes are deleted. This cannot be undone.", "Discard", "risky");
    if (yes) await run();
  }
  const pair = (label, count, run) => el("div", { class: "row" },
    named(button("Replay", () => ask("replay", count, () => run("replay")), "small"), `Replay ${label}`),
    named(button("Discard", () => ask("discard", count, () => run("discard")), "small risky"), `Discard ${label}`));

  function drawGroups(found) {
    if (found.groups.length === 0) return fill(groups, el("p", { class: "empty" }, "Nothing was refused."));
    const rows = found.groups.map((group, index) => [group.reason, number(group.count), el("span", { class: "small" }, Object.keys(group.topics).join(", ")), ago(group.last_at),
      pair(`group ${index + 1}`, group.count, (action) => many(group.reason, group.count, action))]);
    fill(groups,
      table("Refused notifications by cause", [["Cause", ""], ["How many", "num"], ["Topics", ""], ["Last", "tight"], ["", "tight"]], rows, "stack"),
      !found.whole && el("p", { class: "soft small" }, `The newest ${number(found.counted)} are counted.`),
      found.groups.length > 1 && el("div", { class: "actions" }, el("span", { class: "soft" }, `All ${number(found.counted)}:`), pair("all", found.counted, (action) => many(null, found.counted, action))));
  }
  function drawEach() {
    const rows = shown.map((letter) => [at(letter.at), letter.topic, letter.reason, el("div", { class: "row" },
      named(button("Explain", () => explainLetter(letter.id), "small"), `Explain ${letter.id}`), pair(letter.id, 1, (action) => one(letter, action)))]);
    fill(each, rows.length === 0 ? el("p", { class: "empty" }, "There is none.") : table("Refused notifications", [["When", "tight"], ["Topic", ""], ["Cause", ""], ["", ""]], rows, "stack"));
    fill(more, next && button("Older ones", async () => {
      const page = await get(`/api/dead-letters?limit=50&after=${encodeURIComponent(next)}`);
      shown = [...shown, ...page.items];
      next = page.next;
      drawEach();
    }));
  }
  function drawSince(items) {
    const rows = items.map((item) => [at(item.at), item.topic || "not known", item.action === "replay" ? "replayed" : "discarded",
      el("span", null, el("span", { class: `tag ${NOW[item.now] ?? ""}` }, item.now), item.why && ` ${item.why}`)]);
    fill(since, rows.length === 0 ? el("p", { class: "empty" }, "None so far.") : table("Steered notifications", [["When", "tight"], ["Topic", ""], ["What was done", ""], ["Now", ""]], rows, "stack"));
  }
  function drawParked(found) {
    const rows = found.items.map((item) => [el("code", null, item.contacts.join(", ")), ago(item.since), named(button("Look again", () => attempt(async () => {
      const all = await Promise.all(item.contacts.map((contact) => post("/api/parked/release", { contact })));
      const sentence = `${capital(plural(all.reduce((total, { released }) => total + released, 0), "notification"))} put back on the queue.`;
      fill(said, say("good", sentence));
      announce(sentence);
    }), "small"), `Look again for contact ${item.contacts.join(", ")}`)]);
    fill(parked, rows.length === 0 ? el("p", { class: "empty" }, "Nobody waits.") : table("Parked notifications", [["Intercom contact", ""], ["Waits for", "tight"], ["", "tight"]], rows, "stack"),
      found.more && el("p", { class: "soft small" }, "There are more; these are looked at next."));
  }

  async function load() {
    const [found, page, steered, waiting] = await Promise.all([
      get("/api/dead-letters/groups"), get("/api/dead-letters?limit=50"), get("/api/dead-letters/steered"), get("/api/parked?limit=50")]);
    shown = page.items;
    next = page.next;
    drawGroups(found);
    drawEach();
    drawSince(steered.items);
    drawParked(waiting);
  }
  let looks = 0;
  return {
    root,
    async update() {
      const busy = root.contains(document.activeElement) || document.querySelector("dialog") !== null || root.querySelector("[aria-busy=true]") !== null;
      if (looks++ === 0) return load();
      // Tables with buttons stay under the hand that is on them; what became of the last action is drawn all the same.
      if (!busy) return load();
      drawSince((await get("/api/dead-letters/steered")).items);
    },
  };
}

function named(node, label) {
  node.setAttribute("aria-label", label);
  return node;
}
