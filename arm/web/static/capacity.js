// What other numbers of slots would carry, from the traffic of the moment.

import { get, every } from "./api.js";
import { color } from "./charts.js";
import { h, setText } from "./dom.js";
import { choice, FAMILIES, facts, familyOf, head, table } from "./tables.js";
import { count, percent } from "./units.js";

const EVERY_MS = 5000;
const HEIGHT = 280;

/** The curve; `draw` takes `[[slots, coverage], ...]` and the number of slots that there are. */
function plot() {
  const place = h("div.plot.tall", { role: "img", "aria-label": "Coverage by number of slots" });
  let drawn = null;
  let last = null;
  const resized = new ResizeObserver(() => place.clientWidth && drawn?.setSize({ width: place.clientWidth, height: HEIGHT }));
  resized.observe(place);
  function options() {
    const grid = { stroke: color("grid"), width: 1 };
    const axis = { stroke: color("axis"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
    return {
      width: place.clientWidth || 600,
      height: HEIGHT,
      legend: { show: false },
      padding: [10, 32, 0, 0],
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false, distr: 3, log: 10 }, y: { range: [0, 1] } },
      axes: [
        { ...axis, size: 40, label: "slots", labelSize: 16, labelFont: axis.font,
          values: (_, splits) => splits.map((one) => (Number.isInteger(Math.log10(one)) ? count(one) : "")) },
        { ...axis, size: 52, values: (_, splits) => splits.map((one) => percent(one, 0)) },
      ],
      series: [{}, { label: "coverage", stroke: color("ipv4"), width: 2, points: { show: true, size: 6 } },
        { label: "slots now", stroke: color("no-slot"), width: 0, points: { show: true, size: 12, fill: color("no-slot") } }],
    };
  }
  function draw(points, capacity) {
    last = [points, capacity];
    if (!globalThis.uPlot || !points.length) return;
    const data = [points.map(([slots]) => slots), points.map(([, share]) => share),
      points.map(([slots, share]) => (slots === capacity ? share : null))];
    if (drawn) drawn.setData(data);
    else drawn = new globalThis.uPlot(options(), data, place);
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const restyle = () => {
    drawn?.destroy();
    drawn = null;
    if (last) draw(...last);
  };
  scheme.addEventListener("change", restyle);
  return {
    element: place,
    draw,
    stop() {
      resized.disconnect();
      scheme.removeEventListener("change", restyle);
      drawn?.destroy();
    },
  };
}

/** What more slots add: "+1.4%", "<+0.1%". */
function gain(share) {
  const text = percent(share);
  return text.startsWith("<") ? `<+${text.slice(1)}` : `+${text}`;
}

export function capacity({ params, go }) {
  const family = familyOf(params);
  const curve = plot();
  const now = facts({
    capacity: ["Slots now", "[target] prefixes in the configuration, or what the hardware says"],
    used: ["In use", "routes and covers"],
    measured: ["Coverage measured", "over the last minute, on samples that the choice had not seen"],
    estimate: ["Estimate for as many", "from the curve; the measured one counts"],
    all: ["Slots for everything", "all prefixes that have traffic now, each with its exceptions"],
    excluded: ["Can not be covered", "traffic that has no route, or is left out by [selection]"],
  });
  const { element: scroll, body } = table("coverage by slots", [["Slots", "num"], ["Coverage", "num"], ["Gain", "num"]]);
  const note = h("p.note", { role: "status" }, "Asking…");
  const poll = every(EVERY_MS, async () => {
    try {
      const document = await get("/arm/capacity/json", { family });
      const points = document.estimate.map((one) => [one.slots, one.coverage]);
      curve.draw(points.filter(([slots]) => slots > 0), document.now.capacity);
      now.set({
        capacity: count(document.now.capacity),
        used: count(document.now.slots_used),
        measured: percent(document.now.coverage_60s),
        estimate: percent(document.now.estimate),
        all: count(document.slots_for_all),
        excluded: percent(document.excluded),
      });
      body.replaceChildren(...points.map(([slots, share], index) =>
        h("tr", { class: slots === document.now.capacity ? "used" : null },
          h("th.num", { scope: "row" }, `${count(slots)}${slots === document.now.capacity ? " (now)" : ""}`),
          h("td.num", {}, percent(share)),
          h("td.num", {}, index ? gain(share - points[index - 1][1]) : ""))));
      note.hidden = points.length > 0;
      curve.element.hidden = !points.length || !globalThis.uPlot;
      setText(note, "There is no traffic to reckon with. Once sFlow samples arrive, the curve is drawn.");
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The curve stands still: ${failure.message}.`);
    }
  });
  const element = h("div.view", {},
    h("section.card", { "aria-labelledby": "capacity-head" },
      head("capacity-head", "What so many slots would carry",
        choice("Address family", FAMILIES, family, (one) => go("/capacity", { family: one }))),
      now.element,
      note,
      curve.element,
      h("p.about", {}, "An estimate from the rates of this moment. Each prefix pays for its own exceptions, although some are shared: ",
        "that makes it too low. Prefixes are ranked by the samples that measure them: that makes it too high where few samples ",
        "stand behind a prefix. The coverage that is measured has neither fault."),
      h("div.narrow", {}, scroll)));
  return { title: "Capacity", element, update() {}, stop: () => { poll.stop(); curve.stop(); } };
}
