// Why an address or a prefix is in hardware, or is not.

import { get, every } from "./api.js";
import { h } from "./dom.js";
import { age, bitrate, error, moment } from "./units.js";
import { STATES, stateClass } from "./words.js";

const EVERY_MS = 2000;

function facts(document, nowMs) {
  const rows = [
    ["Route", document.prefix ? h("span.mono", {}, document.prefix) : "none in the table"],
    ["Traffic", document.prefix ? `${bitrate(document.bytes_per_second)} ${error(document.error_percent)}` : "–"],
  ];
  if (document.entry) {
    const { kind, prefix, nexthop } = document.entry;
    const text = kind === "cover" ? " (an exception that points to the default)" : "";
    rows.push(["Hardware uses", h("span", {}, h("span.mono", {}, prefix), ` via `, h("span.mono", {}, nexthop), text)]);
    rows.push(["Since", h("span", { title: moment(document.since_ms) }, age(document.since_ms, nowMs))]);
  } else {
    rows.push(["Hardware uses", "the default route"]);
  }
  return h("dl.facts.wide", {}, rows.map(([name, value]) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value))));
}

function covering(document) {
  if (!document.covering.length) return h("p.note", {}, "No route of the table contains it: packets to it have no way.");
  const heads = ["Prefix", "Next hop", "AS path", "Origin", "Local pref", "MED", "Communities"];
  const numeric = new Set(["Local pref", "MED"]);
  return h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": "Routes that contain it" },
    h(
      "table",
      {},
      h("caption.hidden", {}, "Routes that contain it, longest first"),
      h("thead", {}, h("tr", {}, heads.map((text) => h(numeric.has(text) ? "th.num" : "th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        document.covering.map((one) =>
          h(
            "tr",
            { class: document.entry?.prefix === one.prefix ? "used" : null },
            h("th", { scope: "row" }, h("a.mono", { href: `#/why/${one.prefix}` }, one.prefix)),
            h("td.mono", {}, one.nexthop),
            h("td.mono.path", {}, one.aspath.replaceAll("-", " ") || "local"),
            h("td", {}, one.origin),
            h("td.num", {}, one.localpref ?? "–"),
            h("td.num", {}, one.med ?? "–"),
            h("td.mono.path", {}, one.communities.replaceAll(",", " ") || "–"),
          ),
        ),
      ),
    ),
  );
}

export function why({ path }) {
  const query = path;
  const body = h("div", { "aria-live": "polite" }, h("p.note", {}, "Asking…"));
  let last = "";
  const poll = every(EVERY_MS, async () => {
    let parts;
    let key;
    try {
      const document = await get(`/arm/route/${query.split("/").map(encodeURIComponent).join("/")}/json`);
      key = JSON.stringify(document);
      parts = [
        h(
          "p.verdict",
          {},
          h(`span.badge.large.${stateClass(document.state)}`, { title: STATES[document.state] }, document.state),
          h("span", {}, document.why),
        ),
        facts(document, Date.now()),
        h("h2", {}, "Routes that contain it, longest first"),
        covering(document),
      ];
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      const hint = failure.code === 400 ? " Ask for an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24." : "";
      key = failure.message;
      parts = [h("p.note", { role: "alert" }, `No answer: ${failure.message}.${hint}`)];
    }
    if (key !== last) body.replaceChildren(...parts);
    last = key;
  });
  const element = h(
    "div.view",
    {},
    h("section.card", { "aria-labelledby": "why-head" }, h("h1", { id: "why-head" }, "Why ", h("span.mono", {}, query)), body),
  );
  return { title: `Why ${query}`, element, update() {}, stop: () => poll.stop() };
}
