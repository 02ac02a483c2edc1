// From nothing to the first event.

import { get, post } from "./api.js";
import { announce, button, confirm, el, fill, say, table } from "./dom.js";
import { ago } from "./words.js";

const REGIONS = [["https://api.intercom.io", "United States"], ["https://api.eu.intercom.io", "Europe"], ["https://api.au.intercom.io", "Australia"]];
const KINDS = { good: "good", note: "wait", bad: "bad" };

export function connect() {
  const steps = el("ol", { class: "steps" }), about = el("div");
  const root = el("div", null, el("h1", null, "Connect"), el("p", { class: "lead" }, "From nothing to the first event, in four steps."), steps, about);
  const parts = { keys: el("div"), test: el("div"), topics: el("div"), event: el("div") };
  const heads = {};
  let known = "", form = null;

  async function update() {
    const report = await get("/api/connect");
    const text = JSON.stringify(report);
    if (steps.childElementCount === 0) draw(report);
    if (text === known) return;
    known = text;
    for (const step of report.steps) fill(heads[step.name], step.title, el("span", { class: `tag ${step.done ? "good" : "wait"}` }, step.done ? "done" : "to do"));
    // What is being typed stays.
    if (!parts.keys.contains(document.activeElement)) fill(parts.keys, keys(report));
    fill(parts.topics, topics(report));
  }
  function draw(report) {
    fill(steps, report.steps.map((step) => el("li", null, heads[step.name] = el("h2"), parts[step.name])));
    fill(parts.test, el("p", null, "In the app's Webhooks press Send test. In a terminal the same is ", el("code", null, "intercom-klaviyo send-sample"), "."));
    fill(parts.event, el("p", null, "It is there some seconds after it happened. The overview tells when the last one was."));
    fill(about, el("h2", null, "What is shared, and why"), el("ul", null, report.shared.map((one) => el("li", null, one))));
  }
  function keys(report) {
    const permissions = [
      el("p", null, "In Intercom's Developer Hub make an app for your own workspace. It may read, and change nothing: ", report.permissions.map((one) => one.toLowerCase()).join(", "), "."),
      el("p", null, "In Klaviyo under Settings, API keys, create a private key with ", el("code", null, report.scopes.join(" ")), ". For recipes and for forgetting people add ", el("code", null, report.optional_scopes.join(" ")), "."),
    ];
    if (report.missing.length === 0) return el("details", null, el("summary", null, "What the keys may do"), permissions);
    if (report.place === "aws") return [permissions, el("p", null, "Put ", el("code", null, report.keys.join(" ")), " as JSON into the secret ", el("code", null, report.secret), " in AWS Secrets Manager.")];
    if (!report.can_save) return [permissions, el("p", null, "Set ", el("code", null, report.missing.join(" ")), " and start again.")];
    form ??= entry();
    return [permissions, form];
  }
  return { root, update };
}

function entry() {
  const field = (id, label, hint) => {
    const input = el("input", { id, type: "password", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint` });
    return [input, el("div", { class: "field" }, el("label", { for: id }, label), input, el("p", { class: "soft small", id: `${id}-hint` }, hint))];
  };
  const [secret, secretField] = field("intercom-secret", "Intercom client secret", "Basic information of the app.");
  const [token, tokenField] = field("intercom-token", "Intercom access token", "Authentication of the app.");
  const [key, keyField] = field("klaviyo-key", "Klaviyo private key", "It begins with pk_.");
  const region = el("select", { id: "region" }, REGIONS.map(([value, label]) => el("option", { value }, label)));
  const found = el("div", { role: "status" });
  const entered = () => ({ intercom_client_secret: secret.value, intercom_access_token: token.value, klaviyo_api_key: key.value, intercom_api_url: region.value });
  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      fill(found, say("bad", error.message));
    }
  }
  async function save(overwrite) {
    try {
      const saved = await post("/api/connect/save", { ...entered(), overwrite });
      for (const input of [secret, token, key]) input.value = "";
      fill(found, say("good", `Written to ${saved.file}, which only its owner may read. It goes on with the new keys in a moment.`));
    } catch (error) {
      if (error.value?.state !== "differs") throw error;
      const yes = await confirm("Replace what is there?", `The file has other values for ${error.value.variables.join(", ")}.`, "Replace", "risky");
      if (yes) await save(true);
    }
  }
  const form = el("form", { class: "entry" }, secretField, tokenField, el("div", { class: "field" }, el("label", { for: "region" }, "Where Intercom keeps the workspace"), region), keyField, found,
    el("div", { class: "actions" }, el("button", { type: "submit", class: "main" }, "Check the keys"), button("Save", () => attempt(() => save(false)))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      fill(found, el("p", { class: "soft" }, "Asking Intercom and Klaviyo…"));
      const { checks } = await post("/api/connect/check", entered());
      fill(found, table("What was found", [["Check", ""], ["", ""], ["Found", ""]],
        checks.map((one) => [one.name, el("span", { class: `tag ${KINDS[one.health]}` }, one.health), [one.found, one.todo].filter(Boolean).join(". ")]), "stack"));
      announce("The keys were checked.");
    });
  });
  return form;
}

function topics(report) {
  const rows = report.topics.filter((topic) => topic.wanted).map((topic) => [el("code", null, topic.name), topic.reason,
    topic.last_seen_at ? el("span", { class: "tag good" }, `came ${ago(topic.last_seen_at)}`) : el("span", { class: "tag" }, "not seen yet")]);
  return [el("p", null, "In the app's Webhooks set the URL ", el("code", null, report.place === "aws" ? "WebhookUrl of the stack" : "https://<your host>/webhooks/intercom"), ", API version 2.16, and tick these. Each is marked when the first of its kind has come."),
    table("Topics to tick", [["Topic", ""], ["For", ""], ["Arrived", "tight"]], rows, "stack")];
}
