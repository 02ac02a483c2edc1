// The import of the past: what it would cost, how far it is, whether it is complete.

import { get, post } from "./api.js";
import { announce, button, confirm, el, facts, fill, say, table } from "./dom.js";
import { at, day, duration, number, plural, sum } from "./words.js";

const WORDS = { idle: "Not started", running: "Running", paused: "Paused", done: "Finished", failed: "Stopped by an error" };
const KIND = { idle: "", running: "good", paused: "wait", done: "good", failed: "bad" };

export function history({ refresh }) {
  const state = el("div"), streams = el("div"), controls = el("div", { class: "actions" }), result = el("div"), trouble = el("div");
  const root = el("div", null, el("h1", null, "History"),
    el("p", { class: "lead" }, "Imports what happened before this was set up. Imported events never trigger a flow, never slow live events down, and nothing is sent twice."),
    trouble, state, controls, result, streams);

  async function attempt(action) {
    fill(trouble);
    try {
      await action();
    } catch (error) {
      fill(trouble, say("bad", error.message));
      announce(error.message);
    }
  }
  const steer = (wish, said) => attempt(async () => {
    await post(`/api/history/${wish}`);
    announce(said);
    await refresh();
  });

  const plan = button("Plan", () => attempt(async () => {
    fill(result, el("p", { class: "soft" }, "Asking Intercom; this takes some seconds…"));
    try {
      fill(result, planned(await get("/api/history/plan")));
      announce("The plan is there.");
    } catch (error) {
      fill(result);
      throw error;
    }
  }));
  const start = button("Start the import", async () => {
    const yes = await confirm("Start the import?", ["It reads Intercom from the newest to the oldest and sends what Klaviyo does not have yet.",
      "It sets off no flow. You can pause it at any time."], "Start");
    if (yes) await steer("start", "The import runs.");
  }, "main");
  const pause = button("Pause", () => steer("pause", "The import is paused."));
  const resume = button("Resume", () => steer("resume", "The import goes on."), "main");
  const restart = button("Restart", async () => {
    const yes = await confirm("Read everything again?", ["This is harmless: what Klaviyo has is not sent again. It only takes time and calls to Intercom."], "Restart");
    if (yes) await steer("restart", "The import begins anew.");
  });
  const verify = button("Check completeness", () => attempt(async () => {
    fill(result, el("p", { class: "soft" }, "Comparing with Intercom's own counts…"));
    try {
      fill(result, verified(await get("/api/history/verify")));
      announce("The check is done.");
    } catch (error) {
      fill(result);
      throw error;
    }
  }));
  controls.append(plan, start, pause, resume, restart, verify);
  const fits = { idle: [plan, start], running: [pause, restart], paused: [resume, restart, plan], done: [verify, restart, plan], failed: [resume, restart] };

  return {
    root,
    async update(status) {
      const now = status.history;
      for (const one of controls.children) {
        const wanted = fits[now.state]?.includes(one) ?? false;
        // A button that disappears must not take the focus into nowhere.
        if (!wanted && one === document.activeElement) document.getElementById("content").focus();
        one.hidden = !wanted;
      }
      fill(state, headline(now));
      fill(streams, now.state === "idle" ? [] : now.streams.map(stream));
    },
  };
}

function headline(now) {
  const since = now.started_at ? `Started ${at(now.started_at)}.` : null;
  const box = say(KIND[now.state], el("strong", null, WORDS[now.state] ?? now.state), since);
  if (now.error) box.append(el("p", null, now.error));
  return box;
}

function stream(one) {
  const left = one.eta_seconds === null || one.percent >= 100 ? null : `about ${duration(one.eta_seconds)} left`;
  const label = `${one.name}, ${Math.floor(one.percent)} percent`;
  return el("section", { class: "stream", "aria-label": one.name },
    el("div", { class: "top" }, el("h2", null, one.name), el("span", { class: "soft" }, `${number(one.done)} of ${number(one.total)}`),
      left && el("span", { class: "soft" }, left), el("span", { class: "percent" }, `${one.percent >= 100 ? 100 : one.percent.toFixed(1)} %`)),
    el("progress", { max: 100, value: one.percent, "aria-label": label }),
    el("p", { class: "soft small" }, `${plural(one.delivered, "event")} sent, ${number(sum(one.skipped))} skipped, ${number(one.dead)} refused`),
    Object.keys(one.skipped).length > 0 && el("p", { class: "soft small" }, "Skipped: ", Object.entries(one.skipped).map(([reason, count]) => `${reason} ${number(count)}`).join(" · ")),
    one.note && el("p", { class: "wait-text" }, one.note));
}

function planned(plan) {
  return el("section", { class: "card", "aria-label": "Plan" }, el("h2", null, "What an import would take"),
    facts([
      ["Items in Intercom", number(plan.items)], ["Events", `about ${number(plan.events)}`], ["People", `about ${number(plan.contacts)}`],
      ["Profiles that Klaviyo has or gets", `about ${number(plan.profiles)}`], ["Newly billable profiles, at most", number(plan.billable_profiles_at_most)],
      ["Calls to Intercom", number(plan.calls)], ["Time", `${number(plan.minutes)} min or more`], ["Cost on AWS", `$${plan.dollars_on_aws.toFixed(2)}`],
    ]),
    table("Plan by stream", [["Stream", ""], ["Items", "num"], ["Events", "num"], ["Note", ""]],
      plan.streams.map((one) => [one.name, number(one.items), number(one.events), one.note ?? ""])),
    el("p", { class: "soft small" }, `Concluded from ${plural(plan.sampled, "item")}. Klaviyo bills everybody who can be e-mailed, subscribed or not.`));
}

function verified(found) {
  const stretch = (one) => [`${day(one.from * 1000)} to ${day(one.to * 1000)}`, number(one.intercom), number(one.accounted)];
  const parts = found.streams.map((one) => {
    const differing = [...one.differing, ...one.unread];
    return [el("h3", null, one.name), el("p", null, `${number(one.read)} read, ${number(one.with_fate)} with a known fate.`),
      differing.length > 0 && table(`Where ${one.name} differ`, [["When", ""], ["Intercom counts", "num"], ["Read", "num"]], differing.map(stretch))];
  });
  return el("section", { class: "card", "aria-label": "Completeness" }, el("h2", null, "Completeness"),
    say(found.complete ? "good" : "wait", found.complete ? "Complete: every item that Intercom counts is accounted for."
      : "Not everything is accounted for. Restart reads what differs again, and is harmless."), parts.flat());
}
