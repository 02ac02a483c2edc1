// Segments and flows that use the data, made in Klaviyo on a click.

import { get, getIfThere, post } from "./api.js";
import { announce, button, confirm, el, fill, say } from "./dom.js";

export function recipes() {
  const list = el("div"), said = el("div");
  const root = el("div", null, el("h1", null, "Use it"),
    el("p", { class: "lead" }, "Segments and draft flows made of what arrives. Nothing is sent to anybody: flows are drafts, and you switch them on in Klaviyo."), said, list);
  async function load() {
    const found = await getIfThere("/api/recipes");
    if (found === null) return fill(list, el("p", { class: "empty" }, "This version has no recipes."));
    fill(list, (found.items ?? found.recipes ?? []).map(card));
  }
  function card(recipe) {
    const missing = [recipe.missing ?? []].flat();
    const made = recipe.state === "there" || recipe.exists === true;
    const apply = button(made ? "Made" : "Make it in Klaviyo", () => ask(recipe), "main");
    apply.disabled = made || missing.length > 0;
    return el("section", { class: "card", "aria-label": recipe.title ?? recipe.name },
      el("h3", null, recipe.title ?? recipe.name), recipe.what && el("p", null, recipe.what), recipe.description && el("p", null, recipe.description),
      missing.map((one) => el("p", { class: "wait-text" }, one)), el("div", { class: "actions" }, apply));
  }
  async function ask(recipe) {
    fill(said);
    try {
      const preview = await getIfThere(`/api/recipes/${encodeURIComponent(recipe.name)}`);
      const text = preview && el("details", null, el("summary", null, "What will be made"), el("pre", { tabindex: 0, "aria-label": "Request to Klaviyo" }, JSON.stringify(preview, null, 2)));
      if (!(await confirm(`Make “${recipe.title ?? recipe.name}”?`, ["It is made in Klaviyo under this name. If it is there already, nothing changes.", text].filter(Boolean), "Make it"))) return;
      await post(`/api/recipes/${encodeURIComponent(recipe.name)}/apply`);
      fill(said, say("good", `“${recipe.title ?? recipe.name}” is in Klaviyo.`));
      announce("The recipe was applied.");
      await load();
    } catch (error) {
      fill(said, say("bad", error.message));
      announce(error.message);
    }
  }
  let looks = 0;
  return { root, async update() { if (looks++ === 0) await load(); } };
}
