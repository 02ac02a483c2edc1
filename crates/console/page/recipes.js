// Segments and flows that use the data, made in Klaviyo on a click.

import { get, post } from "./api.js";
import { announce, button, confirm, el, fill, say } from "./dom.js";

const STATES = { made: ["made", "good"], ready: ["ready", ""], missing: ["not yet", "wait"] };

export function recipes() {
  const list = el("div"), said = el("div");
  const root = el("div", null, el("h1", null, "Use it"),
    el("p", { class: "lead" }, "Segments and draft flows made of what arrives. Nothing is sent to anybody: flows are drafts, and you switch them on in Klaviyo."), said, list);
  async function load() {
    if (list.childElementCount === 0) fill(list, el("p", { class: "soft" }, "Asking Klaviyo…"));
    try {
      fill(list, (await get("/api/recipes")).recipes.map(card));
    } catch (error) {
      fill(list, say("wait", error.message));
    }
  }
  function card(recipe) {
    const [state, kind] = STATES[recipe.state] ?? [recipe.state, ""];
    const make = button("Make it in Klaviyo", () => ask(recipe), "main");
    make.setAttribute("aria-label", `Make ${recipe.title}`);
    return el("section", { class: "card", "aria-label": recipe.title },
      el("h2", { class: "row" }, recipe.title, el("span", { class: `tag ${kind}` }, state)), el("p", null, recipe.summary),
      recipe.missing.map((one) => el("p", { class: "wait-text" }, one)),
      recipe.state !== "made" && el("p", { class: "soft small" }, "The key needs ", recipe.scopes.join(", "), " and metrics:read."),
      recipe.state === "ready" && el("div", { class: "actions" }, make));
  }
  async function ask(recipe) {
    fill(said);
    try {
      const { requests } = await get(`/api/recipes/${encodeURIComponent(recipe.name)}`);
      const preview = requests.map((one) => el("details", null, el("summary", null, `${one.method} ${one.path}`),
        el("pre", { tabindex: 0, "aria-label": `Body of ${one.path}` }, JSON.stringify(one.body, null, 2))));
      const sentences = [`Klaviyo gets ${requests.length === 1 ? "this request" : "these requests"}. What is there under this name stays as it is.`, ...preview];
      if (!(await confirm(`Make “${recipe.title}”?`, sentences, "Make it"))) return;
      await post(`/api/recipes/${encodeURIComponent(recipe.name)}/apply`);
      fill(said, say("good", `“${recipe.title}” is in Klaviyo.`));
      announce(`${recipe.title} is in Klaviyo.`);
      await load();
    } catch (error) {
      fill(said, say("bad", error.message));
      announce(error.message);
    }
  }
  let looks = 0;
  return { root, async update() { if (looks++ === 0) await load(); } };
}
