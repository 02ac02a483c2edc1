// Elements from data. Text only ever becomes text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (name, properties, ...children) => build(document.createElement(name), properties, children);
export const svg = (name, properties, ...children) => build(document.createElementNS(SVG, name), properties, children);
export const fill = (node, ...children) =>
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));

/** Says something to who cannot see that it changed. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

export function button(label, press, kind = "") {
  const made = el("button", { type: "button", class: kind }, label);
  made.addEventListener("click", async () => {
    if (made.getAttribute("aria-busy") === "true") return;
    made.setAttribute("aria-busy", "true");
    try {
      await press(made);
    } finally {
      made.removeAttribute("aria-busy");
    }
  });
  return made;
}

export function say(kind, ...sentences) {
  return el("div", { class: `say ${kind}` }, sentences.filter(Boolean).map((sentence) => el("p", null, sentence)));
}

/** A table that scrolls by itself where it is wider than the page, or stacks its cells. `columns`: [title, class]; cells are texts or nodes. */
export function table(caption, columns, rows, kind = "") {
  const head = columns.map(([title, style]) => el("th", { scope: "col", role: "columnheader", class: style }, title || el("span", { class: "unseen" }, "Actions")));
  const body = rows.map((cells) =>
    el("tr", { role: "row" }, cells.map((cell, index) =>
      index === 0 ? el("th", { scope: "row", role: "rowheader", class: columns[0][1] }, cell)
        : el("td", { role: "cell", class: columns[index][1], "data-name": columns[index][0] }, cell))));
  return el("div", { class: `scroll ${kind}`, tabindex: 0, role: "region", "aria-label": caption },
    el("table", { role: "table", "aria-label": caption }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)), el("tbody", { role: "rowgroup" }, body)));
}

export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
}

let titles = 0;

function open(kind, title, content) {
  const id = `dialog-${++titles}`;
  const dialog = el("dialog", { class: kind, "aria-labelledby": id }, el("h2", { id }, title), content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks before something is done; the safe answer has the focus. */
export function confirm(title, sentences, label, kind = "main") {
  return new Promise((resolve) => {
    let yes = false;
    const no = el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel");
    const go = el("button", { type: "button", class: kind, onclick: () => { yes = true; dialog.close(); } }, label);
    const text = [sentences].flat().map((sentence) => (sentence instanceof Node ? sentence : el("p", null, sentence)));
    const dialog = open("ask", title, [text, el("div", { class: "actions" }, go, no)].flat());
    dialog.addEventListener("close", () => resolve(yes));
  });
}

export function show(title, ...content) {
  const close = el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close");
  const dialog = open("", title, [...content, el("div", { class: "actions" }, close)]);
  return dialog;
}
