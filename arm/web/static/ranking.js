// The table of prefixes by traffic; short on the overview, in pages in its own view.

import { get, every } from "./api.js";
import { h, setText, setWidth } from "./dom.js";
import { bitrate, count, error, percent } from "./units.js";
import { STATES, stateClass } from "./words.js";

const EVERY_MS = 2000;

export function ranking({ family, direction, size, offset, brief = false, onPage = null }) {
  const body = h("tbody");
  const note = h("p.note", { hidden: true, role: "status" });
  const heads = [
    ["#", "num"],
    ["Prefix"],
    ["In hardware"],
    ["Traffic", "num"],
    ["Share", "wide.less"],
    ...(brief ? [] : [["Error (95%)", "num"], ["Next hop"]]),
    ["AS path", brief ? "less" : ""],
  ];
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
        h("thead", {}, h("tr", {}, heads.map(([text, kind]) => h(kind ? `th.${kind}` : "th", { scope: "col" }, text)))),
        body,
      ),
    ),
    note,
    brief ? null : h("div.pager", {}, previous, range, next),
  );

  function row(one, total, most) {
    const share = total > 0 ? one.bytes_per_second / total : 0;
    const fill = h("div.bar-fill");
    setWidth(fill, most > 0 ? one.bytes_per_second / most : 0);
    return h(
      "tr",
      {},
      h("td.num.rank", {}, count(one.rank)),
      h("th", { scope: "row" }, h("a.mono", { href: `#/why/${one.prefix}`, title: "Why?" }, one.prefix)),
      h("td", {}, h(`span.badge.${stateClass(one.state)}`, { title: STATES[one.state] }, one.state)),
      h("td.num", { title: error(one.error_percent) }, bitrate(one.bytes_per_second)),
      h("td.wide.less", {}, h("div.share", {}, h("div.bar.thin", { "aria-hidden": "true" }, fill), h("span", {}, percent(share)))),
      brief ? null : h("td.num", {}, error(one.error_percent)),
      brief ? null : h("td.mono", {}, one.nexthop),
      h(brief ? "td.mono.path.less" : "td.mono.path", { title: one.communities ? `communities ${one.communities}` : null }, one.aspath.replaceAll("-", " ") || "local"),
    );
  }

  const poll = every(EVERY_MS, async () => {
    try {
      const document = await get("/arm/prefixes/json", { family, direction, maxPrefixes: size, offset });
      const rows = document.prefixes;
      const most = rows.length ? Math.max(...rows.map((one) => one.bytes_per_second)) : 0;
      const focused = globalThis.document.activeElement?.getAttribute("href");
      const held = body.contains(globalThis.document.activeElement);
      body.replaceChildren(...rows.map((one) => row(one, document.total_bytes_per_second, most)));
      if (held && focused) [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
      note.hidden = rows.length > 0;
      setText(note, document.active > 0 ? "There are no more prefixes with traffic." :
        "No prefix has traffic. Once sFlow samples arrive and the table is learned, the busiest are listed here.");
      setText(range, rows.length ? `${count(rows[0].rank)} to ${count(rows.at(-1).rank)} of ${count(document.active)}` : "");
      previous.disabled = offset === 0;
      next.disabled = offset + size >= document.active;
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The list stands still: ${failure.message}.`);
    }
  });
  return { element, stop: () => poll.stop() };
}
