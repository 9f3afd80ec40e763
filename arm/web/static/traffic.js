// Where the traffic goes to and comes from: AS paths, AS, neighbouring AS, next hops.

import { get, every } from "./api.js";
import { h, setText } from "./dom.js";
import { bar, choice, FAMILIES, familyOf, head, table } from "./tables.js";
import { bitrate, count, percent } from "./units.js";

const EVERY_MS = 4000;
const ROWS = 12;

const PANELS = [
  { by: "as", direction: "destination", title: "Destination AS", filter: "as" },
  { by: "as", direction: "source", title: "Source AS", filter: "as" },
  { by: "peer", direction: "destination", title: "Peer AS", filter: "as" },
  { by: "nexthop", direction: "destination", title: "Next hops", filter: "nexthop" },
  { by: "aspath", direction: "destination", title: "Destination AS paths", filter: null },
];

/** A table of one breakdown; `filters` are further arguments of /arm/traffic/json. */
export function panel({ by, direction, title, filter, filters = {} }, family) {
  const right = direction === "destination";
  const heads = [[title.replace(/s$/, "")], ["Traffic", "num"], ["Share", "wide"], ["Prefixes", "num less"]];
  if (right) heads.splice(3, 0, ["Own way", "num"]);
  const { element: scroll, body } = table(title, heads.map(([text, kind]) => [text, kind?.replace(" ", ".")]));
  const note = h("p.note", { role: "status" }, "Asking…");
  const about = h("span.about");

  function name(key) {
    if (!key) return h("span.about", {}, "own AS");
    const text = by === "as" || by === "peer" ? `AS ${key}` : key.replaceAll("-", " ");
    if (!filter || !/^[\da-f.:]+$/i.test(key)) return h("span.mono", { title: text }, text);
    return h("a.mono", { href: `#/prefixes?${new URLSearchParams({ family, direction, [filter]: key })}` }, text);
  }

  async function update() {
    try {
      const document = await get("/arm/traffic/json", { family, direction, by, maxKeys: ROWS, ...filters });
      const total = document.total_bytes_per_second;
      const held = body.contains(globalThis.document.activeElement)
        ? globalThis.document.activeElement.getAttribute("href") : null;
      body.replaceChildren(...document.keys.map((one) => {
        const share = total > 0 ? one.bytes_per_second / total : 0;
        return h("tr", {},
          h("th.path", { scope: "row" }, name(one.key)),
          h("td.num", {}, bitrate(one.bytes_per_second)),
          h("td.wide", {}, h("div.share", {}, bar(share), h("span", {}, percent(share)))),
          right ? h("td.num", { title: "share of it that is in hardware, or right by default" },
            percent(one.bytes_per_second > 0 ? one.right_bytes_per_second / one.bytes_per_second : null)) : null,
          h("td.num.less", {}, count(one.prefixes)));
      }));
      if (held) [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === held)?.focus();
      note.hidden = document.keys.length > 0;
      setText(note, "No traffic has been seen. Once sFlow samples arrive and the table is learned, it is listed here.");
      setText(about, document.number > ROWS ? `the busiest ${ROWS} of ${count(document.number)}` : "");
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The list stands still: ${failure.message}.`);
    }
  }
  const element = h(`section.card${by === "aspath" ? ".full" : ""}`, { "aria-label": title },
    h("div.family-head", {}, h("h2", {}, title), about), scroll, note);
  return { element, update };
}

export function traffic({ params, go }) {
  const family = familyOf(params);
  const panels = PANELS.map((one) => panel(one, family));
  const poll = every(EVERY_MS, async () => {
    for (const one of panels) await one.update();
  });
  const element = h("div.view", {},
    head("traffic-head", "Traffic", choice("Address family", FAMILIES, family, (one) => go("/traffic", { family: one }))),
    h("p.about", {}, "By the routes that the sampled packets match. “Own way” is the share that is in hardware or right by default."),
    h("div.parts.even", {}, panels.map((one) => one.element)));
  return { title: "Traffic", element, update() {}, stop: () => poll.stop() };
}
