// What the words on the page mean.

import { h } from "./dom.js";
import { OUTCOMES, STATES, stateClass } from "./words.js";

function list(entries) {
  return h("dl.glossary", {}, entries.map(([name, about]) => h("div", {}, h("dt", {}, name), h("dd", {}, about))));
}

export function help() {
  const link = (path) => h("a.mono", { href: path }, path);
  const element = h(
    "div.view",
    {},
    h(
      "section.card.prose",
      { "aria-labelledby": "help-head" },
      h("h1", { id: "help-head" }, "Help"),
      h(
        "p",
        {},
        "The switch has room for a few thousand routes; the Internet has a million. ARM sees the whole table over BGP and ",
        "the traffic over sFlow, and keeps in hardware the routes that carry the most traffic. Everything else follows the ",
        "default route. A packet never takes another way than the full table's, except by the default.",
      ),
      h("h2", {}, "Traffic by outcome"),
      list(
        OUTCOMES.map(({ key, name, about }) => [
          h("span", {}, h(`span.swatch.c-${key.replace("_", "-")}`, { "aria-hidden": "true" }), ` ${name}`),
          about,
        ]),
      ),
      h(
        "p",
        {},
        "Coverage is the share of the first two. It is measured on samples that the choice had not seen, so it is what the ",
        "hardware really forwards.",
      ),
      h("h2", {}, "State of a prefix"),
      list(Object.entries(STATES).map(([name, about]) => [h(`span.badge.${stateClass(name)}`, {}, name), about])),
      h("h2", {}, "Keys"),
      list([
        [h("kbd", {}, "/"), "to the search field"],
        [h("kbd", {}, "Esc"), "out of it"],
      ]),
      h("h2", {}, "For scripts"),
      list([
        [link("/arm/status/json"), "everything on the overview"],
        [link("/arm/trend/json"), "the charts; span=5m, 1h or 24h, after=milliseconds"],
        [link("/arm/prefixes/json"), "prefixes by traffic with their state; family, direction, maxPrefixes, offset"],
        [link("/arm/traffic/json"), "traffic by AS path, AS, neighbouring AS or next hop; by, family, direction, maxKeys"],
        [link("/arm/cache/json"), "the hardware as a cache; family"],
        [link("/arm/capacity/json"), "what so many slots would carry; family"],
        [link("/arm/diff/json"), "the busiest outside of hardware, the idlest inside; family, maxPrefixes"],
        [link("/arm/resources/json"), "the switch's counters, ARM's own CPU, memory and times"],
        [link("/arm/config/json"), "the configuration in force"],
        [link("/openapi.json"), "all of it described for programs (OpenAPI)"],
        [link("/arm/changes/json"), "what went in and out; after=number, maxChanges"],
        [h("span.mono", {}, "/arm/route/192.0.2.1/json"), "why a prefix or address is in hardware, or not"],
        [
          h("span.mono", {}, "/bgp/topprefixes/ROUTER/json"),
          "the top prefixes query of sFlow-RT, topprefixes6 for IPv6; maxPrefixes, minValue, direction, minPrefix, includeCovered, pruneCovered",
        ],
        [link("/metrics"), "for Prometheus"],
        [link("/readyz"), "status 200 once the whole table is learned; /healthz while ARM lives"],
      ]),
    ),
  );
  return { title: "Help", element, update() {}, stop() {} };
}
