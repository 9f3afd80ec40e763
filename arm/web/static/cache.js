// The hardware as a cache of routes: how full, how often it hits, what it misses and why, how long entries stay.

import { get, every } from "./api.js";
import { charts } from "./charts.js";
import { h, setText } from "./dom.js";
import { bar, choice, FAMILIES, facts, familyOf, head, table } from "./tables.js";
import { bitrate, count, duration, percent } from "./units.js";
import { OUTCOMES } from "./words.js";

const EVERY_MS = 2000;

function rows(body, entries, empty) {
  body.replaceChildren(...(entries.length ? entries : [h("tr", {}, h("td", { colspan: "4" }, empty))]));
}

function ages({ limits, entries }) {
  const most = Math.max(1, ...entries);
  return entries.map((number, index) => {
    const text = index === 0 ? `under ${duration(limits[0])}`
      : index === limits.length ? `${duration(limits.at(-1))} and longer`
      : `${duration(limits[index - 1])} to ${duration(limits[index])}`;
    return h("tr", {}, h("th", { scope: "row" }, text), h("td.num", {}, count(number)), h("td.wide", {}, bar(number / most)));
  });
}

export function cache({ params, go }) {
  const family = familyOf(params);
  const span = ["5m", "1h", "24h"].includes(params.get("span")) ? params.get("span") : "5m";
  const state = facts({
    hits: ["Hit rate, 10 s", "share of the traffic that was in hardware, or right by default"],
    minute: ["Hit rate, 60 s", "the same over a minute"],
    size: ["Slots in use", "routes and covers together"],
    covers: ["Covers", "exceptions that point to the default"],
    added: ["Put in", "entries, since the start"],
    removed: ["Taken out", "entries, since the start"],
    replaced: ["Replaced", "entries, since the start"],
  });
  const causes = table("traffic by outcome", [["What became of it"], ["Traffic", "num"], ["Share", "wide"]]);
  const lifetimes = table("time in hardware", [["In hardware for"], ["Entries", "num"], ["Compared", "wide"]]);
  const reasons = table("changes by reason", [["What"], ["Why"], ["Changes", "num"]]);
  const reach = h("span.about");
  const note = h("p.note", { role: "status", hidden: true });
  const trend = charts(span, (one) => go("/cache", { family, span: one }), ["Coverage", "Hardware slots", "Changes in hardware"]);
  const poll = every(EVERY_MS, async () => {
    try {
      const document = await get("/arm/cache/json", { family });
      state.set({
        hits: percent(document.hit_ratio_10s),
        minute: percent(document.hit_ratio_60s),
        size: `${count(document.routes + document.covers)} of ${count(document.capacity)}`,
        covers: count(document.covers),
        added: count(document.added),
        removed: count(document.removed),
        replaced: count(document.replaced),
      });
      const total = Object.values(document.traffic_60s).reduce((sum, one) => sum + one, 0);
      rows(causes.body, OUTCOMES.map(({ key, name, about }) => {
        const rate = document.traffic_60s[key];
        const share = total > 0 ? rate / total : 0;
        return h("tr", {},
          h("th", { scope: "row", title: about }, h(`span.swatch.c-${key.replace("_", "-")}`, { "aria-hidden": "true" }), ` ${name}`),
          h("td.num", {}, bitrate(rate)),
          h("td.wide", {}, h("div.share", {}, bar(share, key.replace("_", "-")), h("span", {}, percent(share)))));
      }), "");
      rows(lifetimes.body, ages(document.seconds_in_hardware), "");
      rows(reasons.body, document.changes.map((one) => h("tr", {},
        h("td", {}, h(`span.badge.what-${one.what}`, {}, one.what)), h("th", { scope: "row" }, one.reason),
        h("td.num", {}, count(one.count)))), "Nothing has changed in this time.");
      setText(reach, `in the last ${duration(Math.max(1, document.changes_seconds))}`);
      note.hidden = true;
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The numbers stand still: ${failure.message}.`);
    }
  });
  const element = h("div.view", {},
    h("section.card", { "aria-labelledby": "cache-head" },
      head("cache-head", "Hardware as a cache",
        choice("Address family", FAMILIES, family, (one) => go("/cache", { family: one, span }))),
      state.element, note),
    h("div.parts.even.three", {},
      h("section.card", { "aria-label": "Hits and misses" }, h("div.family-head", {}, h("h2", {}, "Hits, and misses by cause"),
        h("span.about", {}, "mean of 60 s")), causes.element),
      h("section.card", { "aria-label": "Time in hardware" }, h("h2", {}, "Time in hardware"), lifetimes.element),
      h("section.card", { "aria-label": "Changes by reason" }, h("div.family-head", {}, h("h2", {}, "Changes by reason"), reach),
        reasons.element)),
    trend.element);
  return { title: "Cache", element, update() {}, stop: () => { poll.stop(); trend.stop(); } };
}
