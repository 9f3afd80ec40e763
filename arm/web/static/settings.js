// The configuration in force.

import { get } from "./api.js";
import { h } from "./dom.js";
import { table } from "./tables.js";

function value(one) {
  if (one.value === null) return h("span.about", {}, "not set");
  if (Array.isArray(one.value)) return one.value.length ? one.value.join(", ") : h("span.about", {}, "none");
  return `${one.value}${one.unit && typeof one.value === "number" ? ` ${one.unit}` : ""}`;
}

function section({ section: name, about, keys }) {
  const { element, body } = table(`[${name}]`, [["Key"], ["Value"], ["From"], ["Meaning"]]);
  body.append(...keys.map((one) => h("tr", { class: one.used ? null : "unused" },
    h("th.mono", { scope: "row" }, one.key),
    h("td.value", {}, value(one)),
    h("td", {}, !one.used ? h("span.about", {}, "no effect with this target") : one.default ? h("span.about", {}, "default") : h("span.badge", {}, "file")),
    h("td.meaning", {}, one.about.replaceAll("`", "")))));
  return h("section.card.settings", { "aria-label": `[${name}]` }, h("div.family-head", {}, h("h2.mono", {}, `[${name}]`), h("span.about", {}, about)), element);
}

export function settings() {
  const body = h("div.view", {}, h("p.note", { role: "status" }, "Asking…"));
  let stopped = false;
  async function load() {
    try {
      const document = await get("/arm/config/json");
      if (!stopped) body.replaceChildren(...document.sections.map(section));
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      if (!stopped) body.replaceChildren(h("p.note", { role: "alert" }, `No answer: ${failure.message}. Open the view again to try once more.`));
    }
  }
  load();
  const element = h("div.view", {}, h("h1", {}, "Configuration in force"),
    h("p.about", {}, "Read from the file that arm run was given. After a change: arm check, then restart or reload arm."), body);
  return { title: "Configuration", element, update() {}, stop: () => { stopped = true; } };
}
