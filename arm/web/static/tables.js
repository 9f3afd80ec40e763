// Tables, facts and choices: the shapes that several views are made of.

import { h, setText, setWidth } from "./dom.js";

export const FAMILIES = { ipv4: "IPv4", ipv6: "IPv6" };

/** A named value: `{element, value}`, where `value` is the element to put the value into. */
export function fact(name, title) {
  const value = h("dd");
  return { value, element: h("div.fact", { title }, h("dt", {}, name), value) };
}

/** Facts by key, with a function that sets their texts. */
export function facts(names) {
  const made = Object.fromEntries(Object.entries(names).map(([key, [name, title]]) => [key, fact(name, title)]));
  const element = h("dl.facts", {}, Object.values(made).map((one) => one.element));
  return { element, set: (values) => Object.entries(values).forEach(([key, text]) => setText(made[key].value, text)) };
}

/** A table that scrolls sideways by itself: `{element, body}`. Heads are `[text, classes]`. */
export function table(caption, heads) {
  const body = h("tbody");
  const element = h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": `Table of ${caption}` },
    h("table", {}, h("caption.hidden", {}, caption), h("thead", {}, h("tr", {}, heads.map(([text, kind]) =>
      h(kind ? `th.${kind}` : "th", { scope: "col" }, text)))), body),
  );
  return { element, body };
}

/** A bar without words; the number must stand beside it. */
export function bar(share, kind = "installed") {
  const fill = h(`div.bar-fill.c-${kind}`);
  setWidth(fill, share);
  return h("div.bar.thin", { "aria-hidden": "true" }, fill);
}

/** Buttons of which one is pressed. */
export function choice(label, options, chosen, pick) {
  return h("div.choice", { role: "group", "aria-label": label }, Object.entries(options).map(([key, name]) =>
    h("button", { type: "button", "aria-pressed": String(key === chosen), click: () => pick(key) }, name)));
}

export function familyOf(params) {
  return params.get("family") === "ipv6" ? "ipv6" : "ipv4";
}

/** The head of a view: its name, and what can be chosen. */
export function head(id, text, ...choices) {
  return h("div.section-head", {}, h("h1", { id }, text), choices);
}
