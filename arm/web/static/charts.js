// Charts of the trend, drawn by uPlot. One cursor moves through all of them.

import { get, every } from "./api.js";
import { h, setText } from "./dom.js";
import { bits, bytes, clock, count, duration, percent, perSecond } from "./units.js";
import { OUTCOMES } from "./words.js";

const HEIGHT = 170;
/** Seconds between two marks on the axis of time. */
const STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400];
const SPANS = { "5m": "5 min", "1h": "1 h", "24h": "24 h" };
const FAMILIES = { ipv4: "IPv4", ipv6: "IPv6" };

function add(...columns) {
  return columns[0].map((_, row) => {
    let sum = 0;
    for (const column of columns) {
      if (column[row] === null) return null;
      sum += column[row];
    }
    return sum;
  });
}

function coverage(columns, family) {
  const parts = OUTCOMES.map(({ key }) => columns[`${family}.${key}`]);
  const right = add(columns[`${family}.installed`], columns[`${family}.free`]);
  const total = add(...parts);
  return total.map((value, row) => (value > 0 ? right[row] / value : null));
}

/** What is drawn: name, unit, and the lines as functions of the columns. */
const CHARTS = [
  {
    title: "Coverage",
    about: "share of the traffic that is in hardware or right by default",
    unit: percent,
    top: 1,
    empty: "No traffic has been seen in this time.",
    lines: Object.entries(FAMILIES).map(([family, name]) => ({
      name,
      color: family,
      of: (columns) => coverage(columns, family),
    })),
  },
  ...Object.entries(FAMILIES).map(([family, name]) => ({
    title: `${name} traffic`,
    about: "by what the choice of routes did with it",
    unit: bits,
    stacked: true,
    least: 1000,
    lines: OUTCOMES.map(({ key, name: outcome, about }) => ({
      name: outcome,
      about,
      color: key,
      of: (columns) => columns[`${family}.${key}`].map((value) => (value === null ? null : value * 8)),
    })),
  })),
  {
    title: "Hardware slots",
    about: "in use, routes and covers together",
    unit: count,
    lines: Object.entries(FAMILIES).map(([family, name]) => ({
      name,
      color: family,
      of: (columns) => add(columns[`${family}.routes`], columns[`${family}.covers`]),
    })),
  },
  {
    title: "Changes in hardware",
    about: "routes put in or replaced, and taken out, a second",
    unit: perSecond,
    lines: Object.entries(FAMILIES).flatMap(([family, name]) => [
      {
        name: `${name} in`,
        color: family,
        of: (columns) => add(columns[`${family}.installs`], columns[`${family}.replacements`]),
      },
      { name: `${name} out`, color: family, dashed: true, of: (columns) => columns[`${family}.removals`] },
    ]),
  },
  {
    title: "sFlow samples",
    about: "packet samples received and lost, a second",
    unit: perSecond,
    lines: [
      { name: "received", color: "ipv4", of: (columns) => columns["sflow.samples"] },
      { name: "lost on the way", color: "no_slot", of: (columns) => columns["sflow.lost"] },
      { name: "datagrams dropped", color: "removed", dashed: true, of: (columns) => columns["sflow.dropped"] },
    ],
  },
  {
    title: "ARM's CPU",
    about: "of one core",
    unit: percent,
    least: 0.1,
    lines: [{ name: "CPU", color: "ipv4", of: (columns) => columns["process.cpu"] }],
  },
  {
    title: "ARM's memory",
    about: "resident",
    unit: bytes,
    lines: [{ name: "memory", color: "ipv4", of: (columns) => columns["process.rss"] }],
  },
  {
    title: "Engine tick",
    about: "time that the engine's tick took, one each second",
    unit: duration,
    least: 0.002,
    lines: [{ name: "tick", color: "ipv4", of: (columns) => columns["engine.tick"] }],
  },
];
const OVERVIEW = ["Coverage", "IPv4 traffic", "IPv6 traffic", "Hardware slots", "Changes in hardware", "sFlow samples"];

export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--c-${name.replace("_", "-")}`).trim();
}

/** One chart with its heading and a legend that follows the cursor. */
export class Chart {
  constructor(spec, sync) {
    this.spec = spec;
    this.sync = sync;
    this.values = spec.lines.map(() => h("span.legend-value"));
    this.plotted = h("div.plot", { role: "img" });
    this.empty = h("p.plot-empty", {}, spec.empty ?? "Collecting: the first points come within seconds.");
    this.element = h(
      "figure.chart.card",
      {},
      h("figcaption", {}, h("h3", {}, spec.title), h("span.about", {}, spec.about)),
      this.plotted,
      this.empty,
      h(
        "ul.legend",
        {},
        spec.lines.map((line, index) =>
          h(
            "li",
            { title: line.about },
            h(`span.swatch.c-${line.color.replace("_", "-")}${line.dashed ? ".dashed" : ""}`, { "aria-hidden": "true" }),
            h("span", {}, line.name),
            this.values[index],
          ),
        ),
      ),
    );
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.plotted);
  }

  resize() {
    if (this.plot && this.plotted.clientWidth) this.plot.setSize({ width: this.plotted.clientWidth, height: HEIGHT });
  }

  options() {
    const { spec } = this;
    const grid = { stroke: color("grid"), width: 1 };
    const axis = { stroke: color("axis"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const lines = spec.lines.map((line) =>
      spec.stacked
        ? { label: line.name, stroke: color("surface"), width: 0.5, fill: color(line.color), points: { show: false } }
        : {
            label: line.name,
            stroke: color(line.color),
            width: 1.75,
            dash: line.dashed ? [5, 4] : undefined,
            points: { show: false },
          },
    );
    return {
      width: this.plotted.clientWidth || 400,
      height: HEIGHT,
      legend: { show: false },
      // room for half a label of the time axis
      padding: [8, 26, 0, 0],
      cursor: { sync: { key: this.sync }, drag: { x: false, y: false }, points: { show: !spec.stacked } },
      scales: {
        x: { time: true },
        y: { range: (_, low, high) => this.range(low, high) },
      },
      axes: [
        { ...axis, size: 26, space: 68, incrs: STEPS, values: (_, splits, __, ___, step) => splits.map((at) => clock(at * 1000).slice(0, step < 60 ? 8 : 5)) },
        { ...axis, size: 74, values: (_, splits) => splits.map((value) => spec.unit(value, 0)) },
      ],
      // Of stacked areas the highest is drawn first, and the lower ones over it.
      series: [{}, ...(spec.stacked ? lines.reverse() : lines)],
      hooks: { setCursor: [(plot) => this.legend(plot.cursor.idx)] },
    };
  }

  range(low, high) {
    if (low === null || high === null) return [0, 1];
    if (this.spec.top) {
      // A share is shown on the part of 0 to 100% that it uses, in steps, so that the axis stands still.
      const floor = [0.9, 0.5, 0].find((step) => low >= step) ?? 0;
      return [floor, this.spec.top];
    }
    return [0, Math.max(high * 1.08, this.spec.least ?? 1)];
  }

  draw(times, columns) {
    this.raw = this.spec.lines.map((line) => line.of(columns));
    this.times = times;
    const some = times.length > 1 && this.raw.some((column) => column.some((value) => value !== null));
    this.empty.hidden = some;
    this.plotted.hidden = !some;
    if (!some) return;
    let shown = this.raw;
    if (this.spec.stacked) {
      shown = this.raw.map((_, index) => add(...this.raw.slice(0, index + 1))).reverse();
    }
    const data = [times.map((ms) => ms / 1000), ...shown];
    if (this.plot) this.plot.setData(data);
    else this.plot = new globalThis.uPlot(this.options(), data, this.plotted);
    this.legend(this.plot.cursor.idx);
  }

  legend(index) {
    if (!this.raw) return;
    const row = index ?? this.times.length - 1;
    const texts = this.raw.map((column) => this.spec.unit(column[row] ?? null));
    texts.forEach((text, line) => setText(this.values[line], text));
    if (index === null || index === undefined) {
      const now = this.spec.lines.map((line, at) => `${line.name} ${texts[at]}`).join(", ");
      this.plotted.setAttribute("aria-label", `Chart of ${this.spec.title}. Latest: ${now}.`);
    }
  }

  restyle() {
    this.plot?.destroy();
    this.plot = null;
    if (this.raw) this.draw(this.times, this.columns);
  }

  stop() {
    this.resized.disconnect();
    this.plot?.destroy();
  }
}

/** The charts of these titles, with the choice of the span that they show. */
export function charts(span, onSpan, titles = OVERVIEW) {
  if (!globalThis.uPlot) {
    const element = h(
      "p.note",
      {},
      "The charts are not part of this build: scripts/build-web adds them (it needs npm). Everything else works.",
    );
    return { element, stop() {} };
  }
  const drawn = CHARTS.filter((spec) => titles.includes(spec.title)).map((spec) => new Chart(spec, "trend"));
  const failure = h("p.note", { role: "alert", hidden: true });
  let times = [];
  let columns = {};

  function merge(points) {
    const kept = points.times_ms.length ? times.filter((at) => at < points.times_ms[0]).length : times.length;
    const size = { "5m": 300, "1h": 360, "24h": 1440 }[span];
    times = [...times.slice(0, kept), ...points.times_ms].slice(-size);
    for (const [name, values] of Object.entries(points.columns)) {
      columns[name] = [...(columns[name] ?? []).slice(0, kept), ...values].slice(-size);
    }
  }

  const poll = every(span === "5m" ? 1000 : 5000, async () => {
    try {
      // The newest coarse point is still changing: ask for it again.
      merge(await get("/arm/trend/json", { span, after: times.at(-2) ?? -1 }));
      failure.hidden = true;
      for (const chart of drawn) {
        chart.columns = columns;
        chart.draw(times, columns);
      }
    } catch (error) {
      if (error.name !== "ApiError" && !("code" in error)) throw error;
      failure.hidden = false;
      setText(failure, `The charts stand still: ${error.message}.`);
    }
  });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const restyle = () => drawn.forEach((chart) => chart.restyle());
  scheme.addEventListener("change", restyle);

  const element = h(
    "section",
    { "aria-label": "Trend" },
    h(
      "div.section-head",
      {},
      h("h2", {}, "Trend"),
      h(
        "div.choice",
        { role: "group", "aria-label": "Time span of the charts" },
        Object.entries(SPANS).map(([key, name]) =>
          h("button", { type: "button", "aria-pressed": String(key === span), click: () => onSpan(key) }, name),
        ),
      ),
    ),
    failure,
    h("div.charts", {}, drawn.map((chart) => chart.element)),
  );
  return {
    element,
    stop() {
      poll.stop();
      scheme.removeEventListener("change", restyle);
      drawn.forEach((chart) => chart.stop());
    },
  };
}
