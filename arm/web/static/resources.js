// What the switch and ARM have left: CPU, memory, disk, hardware tables.

import { get, every } from "./api.js";
import { charts } from "./charts.js";
import { h, setText } from "./dom.js";
import { bar, facts, table } from "./tables.js";
import { age, bytes, count, duration, moment, percent } from "./units.js";

const EVERY_MS = 2000;

function within(times, key) {
  if (!times?.number) return "–";
  return times[key] === null ? "longer than measured" : `≤ ${duration(times[key])}`;
}

function switchCard(one, nowMs) {
  const known = facts({
    cpu: ["CPU", "share of all processors that is busy"],
    load: ["Load", "mean number of processes that want to run, over 1, 5 and 15 minutes"],
    memory: ["Memory in use", "what is neither free nor used for buffers"],
    disk: ["Disk in use", "of all partitions"],
    fullest: ["Fullest partition", ""],
    uptime: ["Up for", ""],
    heard: ["Last heard", moment(one.time_ms)],
  });
  const used = one.memory_total_bytes === null ? null : one.memory_total_bytes - one.memory_available_bytes;
  const disk = one.disk_total_bytes === null ? null : one.disk_total_bytes - one.disk_free_bytes;
  known.set({
    cpu: `${percent(one.cpu_share)}${one.processors ? ` of ${count(one.processors)} processors` : ""}`,
    load: one.load ? one.load.map((value) => value.toFixed(2)).join(", ") : "–",
    memory: used === null ? "–" : `${bytes(used)} of ${bytes(one.memory_total_bytes)}`,
    disk: disk === null ? "–" : `${bytes(disk)} of ${bytes(one.disk_total_bytes)}`,
    fullest: percent(one.disk_fullest_share),
    uptime: duration(one.uptime_seconds),
    heard: `${age(one.time_ms, nowMs)} ago`,
  });
  const { element, body } = table("hardware tables", [["Hardware table"], ["Entries", "num"], ["Room for", "num"], ["In use", "wide"]]);
  body.append(...one.tables.map((row) => h("tr", {},
    h("th", { scope: "row" }, row.table.replaceAll("_", " ")),
    h("td.num", {}, count(row.entries)),
    h("td.num", {}, count(row.limit)),
    h("td.wide", {}, h("div.share", {}, bar(row.entries / row.limit), h("span", {}, percent(row.entries / row.limit)))))));
  return h("section.card", { "aria-label": `Switch ${one.agent}` }, h("h2", {}, "Switch ", h("span.mono", {}, one.agent)),
    known.element,
    one.tables.length ? element : h("p.note", {}, "The agent sends no counters of the hardware's tables."));
}

export function resources({ params, go }) {
  const span = ["5m", "1h", "24h"].includes(params.get("span")) ? params.get("span") : "5m";
  const switches = h("div.parts.even");
  const own = facts({
    cpu: ["CPU", "of one core, mean of 10 s"],
    memory: ["Memory", "resident"],
    ticks: ["Engine ticks", "each second one; 99% of them took at most so long"],
    half: ["Reaction, half", "from the oldest sample a change may go back to until the target applied it"],
    most: ["Reaction, 99%", "from the oldest sample a change may go back to until the target applied it"],
    number: ["Reactions", "measured since the start"],
  });
  const note = h("p.note", { role: "status", hidden: true });
  const trend = charts(span, (one) => go("/resources", { span: one }), ["ARM's CPU", "ARM's memory", "Engine tick"]);
  const poll = every(EVERY_MS, async () => {
    try {
      const document = await get("/arm/resources/json");
      const { process } = document;
      own.set({
        cpu: percent(process.cpu_cores),
        memory: bytes(process.rss_bytes),
        ticks: within(process.ticks, "p99_within_seconds"),
        half: within(process.reactions, "half_within_seconds"),
        most: within(process.reactions, "p99_within_seconds"),
        number: count(process.reactions?.number),
      });
      switches.replaceChildren(...(document.switch.length
        ? document.switch.map((one) => switchCard(one, document.time_ms))
        : [h("section.card", { "aria-label": "Switch" }, h("h2", {}, "Switch"), h("p.note", {},
            "No counters of the switch have arrived. hsflowd sends them every 30 s (polling in hsflowd.conf)."))]));
      note.hidden = true;
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The numbers stand still: ${failure.message}.`);
    }
  });
  const element = h("div.view", {},
    h("h1", {}, "Resources"),
    note,
    switches,
    h("section.card", { "aria-label": "ARM" }, h("h2", {}, "ARM"), own.element),
    trend.element);
  return { title: "Resources", element, update() {}, stop: () => { poll.stop(); trend.stop(); } };
}
