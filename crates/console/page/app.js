// Sections, the session, and the look at the status every few seconds.

import { get, post, remove } from "./api.js";
import { connect } from "./connect.js";
import { announce, el, fill, say } from "./dom.js";
import { events } from "./events.js";
import { history } from "./history.js";
import { letters } from "./letters.js";
import { overview } from "./overview.js";
import { privacy } from "./privacy.js";
import { recipes } from "./recipes.js";
import { verdicts } from "./state.js";
import { number } from "./words.js";

const SECTIONS = [
  ["overview", "Overview", overview], ["events", "Events", events], ["history", "History", history], ["letters", "Dead and parked", letters],
  ["connect", "Connect", connect], ["recipes", "Use it", recipes], ["privacy", "Privacy", privacy],
];
const PACE = 5000, FAST = 1500;

const content = document.getElementById("content"), nav = document.getElementById("sections");
const light = document.getElementById("light"), signOut = document.getElementById("sign-out");
let session = null, section = null, status = null, timer = null, said = "", running = 0;

async function begin() {
  try {
    session = await get("/api/session");
  } catch (error) {
    if (error.status === 401) return signIn();
    fill(content, say("bad", error.message));
    return setTimeout(begin, PACE);
  }
  document.body.classList.remove("out");
  nav.hidden = light.hidden = false;
  signOut.hidden = !session.signed_in;
  drawNav();
  await route(false);
}

function signIn(sentence) {
  clearTimeout(timer);
  section = session = status = null;
  said = "";
  document.body.classList.add("out");
  nav.hidden = light.hidden = signOut.hidden = true;
  document.title = "Sign in · intercom-klaviyo";
  const token = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true, "aria-describedby": "token-help" });
  const trouble = el("div", { role: "alert" }, sentence && say("wait", sentence));
  const enter = el("button", { type: "submit", class: "main" }, "Sign in");
  const form = el("form", null, el("div", { class: "field" }, el("label", { for: "token" }, "Console token"), token), trouble, enter);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    enter.disabled = true;
    try {
      await post("/api/session", { token: token.value });
      token.value = "";
      await begin();
      content.focus();
    } catch (error) {
      fill(trouble, say("bad", error.status === 401 ? "This is not the console's token." : error.message));
      token.select();
      token.focus();
    } finally {
      enter.disabled = false;
    }
  });
  fill(content, el("div", { class: "sign-in" }, el("h1", null, "Sign in"),
    el("p", { class: "soft small", id: "token-help" }, "The value of ", el("code", null, "CONSOLE_TOKEN"), ". Without one, ", el("code", null, "run"), " prints a token when it starts."), form));
  token.focus();
}

function drawNav() {
  const current = name();
  const counts = { letters: status && status.dead > 0 ? [status.dead, "refused", ""] : status && status.parked > 0 ? [status.parked, "parked", " calm"] : null };
  const links = SECTIONS.map(([key, label]) => {
    const [count, what, kind] = counts[key] ?? [];
    return [key, el("a", { href: `#/${key}`, "aria-current": key === current ? "page" : null }, label,
      count && el("span", { class: `count${kind}` }, number(count), el("span", { class: "unseen" }, ` ${what}`)))];
  });
  const focused = nav.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  fill(nav, el("ul", null, links.map(([, link]) => el("li", null, link))));
  if (focused) nav.querySelector(`a[href="${focused}"]`)?.focus();
}

const name = () => SECTIONS.find(([key]) => location.hash === `#/${key}`)?.[0] ?? "overview";

async function route(moved) {
  if (session === null) return;
  // The link to the content is no section.
  if (location.hash && !location.hash.startsWith("#/")) return content.focus();
  document.querySelector("dialog")?.close();
  const [key, label, make] = SECTIONS.find(([key]) => key === name());
  document.title = `${label} · intercom-klaviyo`;
  section = make({ about: session.about, refresh: look });
  content.dataset.section = key;
  drawNav();
  fill(content, section.root);
  if (moved) {
    content.focus();
    scrollTo(0, 0);
  }
  await look();
}

async function look() {
  clearTimeout(timer);
  const turn = ++running;
  let pace = PACE;
  try {
    status = await get("/api/status");
    if (turn !== running || session === null) return;
    if (status.history.state === "running" || status.in_flight > 0) pace = FAST;
    const first = verdicts(status)[0];
    fill(light, el("span", { class: `dot ${first.kind}`, "aria-hidden": "true" }), el("span", null, first.sentence));
    const gist = first.sentence.replace(/\d+ (s|min|h|days) /g, "");
    if (said && gist !== said) announce(first.sentence);
    said = gist;
    drawNav();
    await section.update(status);
    content.dataset.drawn = content.dataset.section;
  } catch (error) {
    if (error.status === 401 || session === null) return;
    fill(light, el("span", { class: "dot bad", "aria-hidden": "true" }), el("span", null, error.message ?? "Something went wrong on this page."));
    if (!("status" in error)) throw error;
  } finally {
    if (turn === running && session !== null && !document.hidden) timer = setTimeout(look, pace);
  }
}

addEventListener("hashchange", () => route(true));
document.addEventListener("visibilitychange", () => { if (!document.hidden && session !== null) look(); });
document.addEventListener("signed-out", () => { if (session !== null) signIn("Your session has ended."); });
signOut.addEventListener("click", async () => {
  await remove("/api/session").catch(() => {});
  signIn("You have signed out.");
});
begin();
