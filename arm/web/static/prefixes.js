// The view of all prefixes with traffic.

import { h } from "./dom.js";
import { ranking } from "./ranking.js";

const SIZE = 50;

export function prefixes({ params, go }) {
  const family = params.get("family") === "ipv6" ? "ipv6" : "ipv4";
  const direction = params.get("direction") === "source" ? "source" : "destination";
  const page = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
  const list = ranking({
    family,
    direction,
    size: SIZE,
    offset: (page - 1) * SIZE,
    onPage: (offset) => go("/prefixes", { family, direction, page: offset / SIZE + 1 }),
  });
  const choice = (label, options, chosen, pick) =>
    h(
      "div.choice",
      { role: "group", "aria-label": label },
      Object.entries(options).map(([key, name]) =>
        h("button", { type: "button", "aria-pressed": String(key === chosen), click: () => pick(key) }, name),
      ),
    );
  const element = h(
    "div.view",
    {},
    h(
      "section.card",
      { "aria-labelledby": "prefixes-head" },
      h(
        "div.section-head",
        {},
        h("h1", { id: "prefixes-head" }, "Prefixes by traffic"),
        choice("Address family", { ipv4: "IPv4", ipv6: "IPv6" }, family, (one) => go("/prefixes", { family: one, direction })),
        choice("Direction", { destination: "to", source: "from" }, direction, (one) =>
          go("/prefixes", { family, direction: one }),
        ),
      ),
      list.element,
    ),
  );
  return { title: "Prefixes", element, update() {}, stop: list.stop };
}
