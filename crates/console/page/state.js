// What the status means, in words, the most pressing first; each with its repair.

import { ago, at, duration, plural, seconds } from "./words.js";

const VENDORS = { intercom: "Intercom", klaviyo: "Klaviyo" };
const LONG_WAIT = 300;

/** { kind: good | wait | bad, sentence, repair, link } for everything that is to be said; never empty. */
export function verdicts(status) {
  const said = [
    status.setup.length > 0 && {
      kind: "bad", link: "#/connect",
      sentence: `Set-up is not finished: ${status.setup.join(", ")} ${status.setup.length === 1 ? "is" : "are"} missing.`,
      repair: "Until then Intercom's calls are answered 503, and nothing is delivered.",
    },
    status.blocked && {
      kind: "bad",
      sentence: `${VENDORS[status.blocked.vendor] ?? status.blocked.vendor} refuses our key, for ${duration(seconds(status.blocked.since))} now.`,
      repair: `Nothing is lost: what comes in waits. Set a valid key; delivery goes on by itself as soon as it works. It said: ${status.blocked.reason}`,
    },
    status.reconcile?.silent_since && {
      kind: "bad", link: "#/connect",
      sentence: `Intercom has not called for ${duration(seconds(status.reconcile.silent_since))}, though things happen there.`,
      repair: "Intercom suspends a subscription without a word. In its Developer Hub open your app's Webhooks and switch it on again. Reconcile brings what was missed.",
    },
    status.history?.state === "failed" && {
      kind: "bad", link: "#/history",
      sentence: "The import of the past stopped.",
      repair: `${status.history.error ?? "It did not say why."} Live events are not affected. Resume it when that is mended.`,
    },
    status.dead > 0 && {
      kind: "wait", link: "#/letters",
      sentence: `${plural(status.dead, "notification was", "notifications were")} refused and ${status.dead === 1 ? "waits" : "wait"} for you.`,
      repair: "See why, then replay or discard.",
    },
    status.throttled_until && new Date(status.throttled_until) > Date.now() && {
      kind: "wait",
      sentence: `A vendor asked us to wait until ${at(status.throttled_until)}.`,
      repair: "There is nothing to do: it goes on by itself, and nothing is lost.",
    },
    !status.blocked && status.queue_age_seconds > LONG_WAIT && {
      kind: "wait",
      sentence: `Delivery is behind: the oldest notification has waited for ${duration(status.queue_age_seconds)}.`,
      repair: "After an outage this is normal and shrinks. If it grows, the log says what fails.",
    },
  ].filter(Boolean);
  if (said.length > 0) return said;
  if (!status.last_webhook_at) {
    return [{ kind: "good", link: "#/connect", sentence: "Ready. Nothing has come from Intercom yet.", repair: "Connect shows how to send a first notification." }];
  }
  return [{ kind: "good", sentence: `All well. Last event ${ago(status.last_webhook_at)}.`, repair: null }];
}
