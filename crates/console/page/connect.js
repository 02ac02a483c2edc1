// From nothing to the first event.

import { getIfThere } from "./api.js";
import { el, fill, say } from "./dom.js";
import { ago } from "./words.js";

const TOPICS = "conversation.user.created conversation.rating.added conversation.read conversation.user.replied ticket.created ticket.state.updated ticket.contact.replied contact.user.created contact.user.updated contact.lead.created contact.lead.updated contact.lead.signed_up contact.email.updated contact.merged".split(" ");

export function connect() {
  const steps = el("div");
  const root = el("div", null, el("h1", null, "Connect"),
    el("p", { class: "lead" }, "What Intercom and Klaviyo need to know, in the order in which it is done."), steps);
  let known = "";
  return {
    root,
    async update(status) {
      const found = await getIfThere("/api/connect");
      const text = JSON.stringify([found, status.setup, Boolean(status.last_webhook_at)]);
      if (text === known) return;
      known = text;
      fill(steps, found?.steps ? guided(found.steps) : byHand(status));
    },
  };
}

function step(title, done, ...content) {
  return el("li", null, el("h3", null, title, el("span", { class: `tag ${done ? "good" : "wait"}` }, done ? "done" : "to do")), content);
}

function byHand(status) {
  const has = (name) => !status.setup.includes(name);
  return el("ol", { class: "steps" },
    step("Intercom's app", has("INTERCOM_CLIENT_SECRET") && has("INTERCOM_ACCESS_TOKEN"),
      el("p", null, "In Intercom's Developer Hub make an app for your own workspace. It may read conversations, tickets, contacts and companies, admins and tags, and change nothing."),
      el("p", null, "Set its client secret as ", el("code", null, "INTERCOM_CLIENT_SECRET"), " and its access token as ", el("code", null, "INTERCOM_ACCESS_TOKEN"), ".")),
    step("Klaviyo's key", has("KLAVIYO_API_KEY"),
      el("p", null, "In Klaviyo under Settings, API keys, create a private key with ", el("code", null, "events:write"), ", ", el("code", null, "profiles:write"), ", ", el("code", null, "accounts:read"), " and ", el("code", null, "metrics:read"), ". Set it as ", el("code", null, "KLAVIYO_API_KEY"), ".")),
    step("The webhook", Boolean(status.last_webhook_at),
      el("p", null, "In the app's Webhooks set the URL ", el("code", null, "https://<your host>/webhooks/intercom"), " and tick these topics:"),
      el("p", null, el("code", null, TOPICS.join(" ")))),
    step("The first notification", Boolean(status.last_webhook_at),
      status.last_webhook_at ? el("p", null, `The last one came ${ago(status.last_webhook_at)}.`)
        : el("p", null, "Press Send test in Intercom, or in a terminal: ", el("code", null, "intercom-klaviyo send-sample"), ".")));
}

function guided(steps) {
  return el("ol", { class: "steps" }, steps.map((one) => el("li", null,
    el("h3", null, one.title, el("span", { class: `tag ${one.state === "done" ? "good" : one.state === "failed" ? "bad" : "wait"}` }, one.state)),
    one.explanation && el("p", null, one.explanation), one.found && el("p", null, one.found), one.error && say("bad", one.error))));
}
