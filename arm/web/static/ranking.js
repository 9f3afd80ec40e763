// The table of prefixes by traffic; short on the overview, in pages, sorted and filtered in its own view.

import { get, every } from "./api.js";
import { h, setText } from "./dom.js";
import { bar } from "./tables.js";
import { age, bitrate, count, error, moment, percent } from "./units.js";
import { STATES, stateClass } from "./words.js";

const EVERY_MS = 2000;
const FALLING = new Set(["traffic", "since"]);

/** `filters` and `sort` are arguments of /arm/prefixes/json; `onSort` is told what a click on a heading asks for. */
export function ranking({ family, direction, size, offset, brief = false, onPage = null, filters = {}, sort = "traffic", order = null, onSort = null }) {
  const natural = FALLING.has(sort) ? "desc" : "asc";
  const current = order ?? natural;
  const body = h("tbody");
  const note = h("p.note", { hidden: true, role: "status" });
  const heads = [
    ["#", "num.rank"],
    ["Prefix", "", "prefix"],
    ["In hardware", "", "state"],
    ["Traffic", "num", "traffic"],
    ["Share", "wide.less"],
    ...(brief ? [] : [["Error (95%)", "num"], ["Since", "num", "since"], ["Next hop", "", "nexthop"]]),
    brief ? ["AS", "less"] : ["AS path", "", "aspath"],
  ];

  function heading([text, kind, key]) {
    const chosen = key === sort;
    const attributes = { scope: "col", "aria-sort": onSort && chosen ? (current === "asc" ? "ascending" : "descending") : null };
    if (!onSort || !key) return h(kind ? `th.${kind}` : "th", attributes, text);
    const turned = chosen ? (current === "asc" ? "desc" : "asc") : null;
    const sign = chosen ? (current === "asc" ? " ▲" : " ▼") : "";
    return h(kind ? `th.${kind}` : "th", attributes,
      h("button.sort", { type: "button", title: `Sort by ${text.toLowerCase()}`, click: () => onSort(key, turned) }, text,
        h("span", { "aria-hidden": "true" }, sign)));
  }

  const range = h("span", { role: "status" });
  const previous = h("button", { type: "button", disabled: true, click: () => onPage(Math.max(0, offset - size)) }, "Previous");
  const next = h("button", { type: "button", disabled: true, click: () => onPage(offset + size) }, "Next");
  const element = h(
    "div.ranking",
    {},
    h(
      "div.scroll",
      { tabindex: "0", role: "region", "aria-label": `Prefixes by traffic, ${family}` },
      h(
        "table",
        {},
        h("caption.hidden", {}, `Prefixes by traffic, ${family}, ${direction}`),
        h("thead", {}, h("tr", {}, heads.map(heading))),
        body,
      ),
    ),
    note,
    brief ? null : h("div.pager", {}, previous, range, next),
  );

  function row(one, total, most, nowMs) {
    const share = total > 0 ? one.bytes_per_second / total : 0;
    const path = one.aspath.replaceAll("-", " ") || "local";
    return h(
      "tr",
      {},
      h("td.num.rank", {}, count(one.rank)),
      h("th", { scope: "row" }, h("a.mono", { href: `#/why/${one.prefix}`, title: "Why?" }, one.prefix)),
      h("td", {}, h(`span.badge.${stateClass(one.state)}`, { title: STATES[one.state] }, one.state)),
      h("td.num", { title: error(one.error_percent) }, bitrate(one.bytes_per_second)),
      h("td.wide.less", {}, h("div.share", {}, bar(most > 0 ? one.bytes_per_second / most : 0), h("span", {}, percent(share)))),
      brief ? null : h("td.num", {}, error(one.error_percent)),
      brief ? null : h("td.num", { title: moment(one.since_ms) }, one.since_ms === null ? "–" : age(one.since_ms, nowMs)),
      brief ? null : h("td.mono", {}, one.nexthop),
      brief ? h("td.mono.less", { title: `AS path ${path}` }, path.split(" ").at(-1))
        : h("td.mono.path", { title: one.communities ? `communities ${one.communities}` : null }, path),
    );
  }

  const filtered = Object.keys(filters).length > 0;
  const poll = every(EVERY_MS, async () => {
    try {
      const document = await get("/arm/prefixes/json", {
        family, direction, maxPrefixes: size, offset, ...filters,
        ...(sort === "traffic" && current === "desc" ? {} : { sort, order: current }),
      });
      const rows = document.prefixes;
      const most = rows.length ? Math.max(...rows.map((one) => one.bytes_per_second)) : 0;
      const focused = globalThis.document.activeElement?.getAttribute("href");
      const held = body.contains(globalThis.document.activeElement);
      body.replaceChildren(...rows.map((one) => row(one, document.total_bytes_per_second, most, document.time_ms)));
      if (held && focused) [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
      note.hidden = rows.length > 0;
      setText(note, filtered && document.active > 0 ? "No prefix with traffic is like that." :
        document.active > 0 ? "There are no more prefixes with traffic." :
        "No prefix has traffic. Once sFlow samples arrive and the table is learned, the busiest are listed here.");
      const all = filtered ? ` (${count(document.active)} have traffic)` : "";
      setText(range, rows.length ? `${count(offset + 1)} to ${count(offset + rows.length)} of ${count(document.matching)}${all}` : "");
      previous.disabled = offset === 0;
      next.disabled = offset + size >= document.matching;
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The list stands still: ${failure.message}.`);
    }
  });
  return { element, stop: () => poll.stop() };
}
