// The view of all prefixes with traffic: sorted by a click on a heading, filtered by what is typed.

import { h } from "./dom.js";
import { ranking } from "./ranking.js";
import { choice, FAMILIES, familyOf, head } from "./tables.js";
import { STATES } from "./words.js";

const SIZE = 50;
const SORTS = ["traffic", "prefix", "aspath", "nexthop", "state", "since"];

/** What is typed: an AS number, a country, a next hop, or a prefix that the list shall lie within. */
function filterOf(text) {
  const wanted = text.trim();
  const as = /^(?:AS\s*)?(\d+)$/i.exec(wanted);
  if (as) return { as: as[1] };
  if (/^[a-z]{2}$/i.test(wanted)) return { country: wanted.toUpperCase() };
  if (wanted.includes("/")) return { within: wanted };
  return wanted ? { nexthop: wanted } : {};
}

export function prefixes({ params, go }) {
  const family = familyOf(params);
  const direction = params.get("direction") === "source" ? "source" : "destination";
  const page = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
  const sort = SORTS.includes(params.get("sort")) ? params.get("sort") : "traffic";
  const order = ["asc", "desc"].includes(params.get("order")) ? params.get("order") : null;
  const filters = Object.fromEntries(["as", "nexthop", "within", "country", "state"].filter((name) => params.get(name)).map((name) => [name, params.get(name)]));
  const shown = { family, direction, ...filters, ...(sort === "traffic" ? {} : { sort }), ...(order ? { order } : {}) };
  const { state, ...typed } = filters;

  const list = ranking({
    family,
    direction,
    size: SIZE,
    offset: (page - 1) * SIZE,
    filters,
    sort,
    order,
    onPage: (offset) => go("/prefixes", { ...shown, page: offset / SIZE + 1 }),
    onSort: (key, turned) => go("/prefixes", { family, direction, ...filters, sort: key, ...(turned ? { order: turned } : {}) }),
  });

  const field = h("input", { id: "filter", name: "filter", type: "search", maxlength: "60", spellcheck: "false", autocapitalize: "off",
    placeholder: "AS, country, next hop, prefix", value: typed.as ? `AS${typed.as}` : typed.within ?? typed.country ?? typed.nexthop ?? "" });
  const states = h("select", { id: "state", name: "state" }, h("option", { value: "" }, "any state"),
    Object.keys(STATES).filter((one) => one !== "no route").map((one) => h("option", { value: one, selected: one === state }, one)));
  function apply(event) {
    event.preventDefault();
    const wanted = filterOf(field.value);
    const other = wanted.within?.includes(":") || wanted.nexthop?.includes(":") ? "ipv6"
      : wanted.within?.includes(".") || wanted.nexthop?.includes(".") ? "ipv4" : family;
    go("/prefixes", { ...shown, as: "", within: "", country: "", nexthop: "", state: states.value, ...wanted, family: other });
  }
  const form = h("form.filters", { role: "search", "aria-label": "Filter of the list", submit: apply },
    h("label.hidden", { for: "filter" }, "Only an AS, a country, a next hop, or within a prefix"), field,
    h("label.hidden", { for: "state" }, "State in hardware"), states,
    h("button", { type: "submit" }, "Filter"),
    Object.keys(filters).length ? h("button", { type: "button", click: () => go("/prefixes", { family, direction }) }, "Show all") : null);

  const element = h(
    "div.view",
    {},
    h(
      "section.card",
      { "aria-labelledby": "prefixes-head" },
      head(
        "prefixes-head",
        "Prefixes by traffic",
        form,
        choice("Address family", FAMILIES, family, (one) => go("/prefixes", { family: one, direction })),
        choice("Direction", { destination: "to", source: "from" }, direction, (one) => go("/prefixes", { family, direction: one })),
      ),
      list.element,
    ),
  );
  return { title: "Prefixes", element, update() {}, stop: list.stop };
}
