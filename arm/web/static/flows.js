// Flows that users define: define one, watch it as a stacked chart and a table, delete it.

import { every, get, send, useToken } from "./api.js";
import { Chart } from "./charts.js";
import { h, replace, setText } from "./dom.js";
import { bar, head, table } from "./tables.js";
import { bitrate, bits, count, percent, perSecond } from "./units.js";

const EVERY_MS = 1000;
const POINTS = 180;
const SHOWN = 6;
const ROWS = 20;
const COLORS = ["installed", "new", "no_slot", "free", "removed", "no_route"];
const REST = "everything else";
const VALUES = ["bytes", "frames", "requests", "req_bytes", "resp_bytes", "duration"];
const EXAMPLES = [
  ["Conversations", { name: "conversations", keys: "ipsource,ipdestination", value: "bytes" }],
  ["Sources of DNS answers", { name: "dns", keys: "mask:ipsource,bgpsourceas", value: "frames", filter: "udpsourceport=53" }],
  ["Paths to destinations", { name: "paths", keys: "bgpdestinationaspath", value: "bytes" }],
  ["Protocols", { name: "protocols", keys: "stack", value: "frames" }],
];

function inBytes(value) {
  return value === "bytes" || value.endsWith("_bytes");
}

function shown(value, kind) {
  if (inBytes(kind)) return bitrate(value);
  return kind === "duration" ? `${count(value)} µs/s` : perSecond(value);
}

/** The course of a flow's largest keys, as many as there are colours, drawn anew when others become the largest. */
class Course {
  constructor(name, kind) {
    this.name = name;
    this.kind = kind;
    this.times = [];
    this.points = [];
    this.element = h("div");
    this.drawn = "";
  }

  add(time, rows, total) {
    this.times = [...this.times, time].slice(-POINTS);
    this.points = [...this.points, { values: new Map(rows.map((row) => [row.key, row.value])), total }].slice(-POINTS);
    const sums = new Map();
    for (const { values } of this.points.slice(-10)) {
      for (const [key, value] of values) sums.set(key, (sums.get(key) ?? 0) + value);
    }
    const largest = [...sums].sort((one, other) => other[1] - one[1]).slice(0, SHOWN).map(([key]) => key);
    const kept = this.keys ?? [];
    // a key keeps its colour for as long as it is among the largest
    const keys = kept.map((key) => (largest.includes(key) ? key : null));
    for (const key of largest.filter((one) => !kept.includes(one))) {
      const free = keys.indexOf(null);
      if (free >= 0) keys[free] = key;
      else keys.push(key);
    }
    this.keys = keys;
    this.draw();
  }

  lines() {
    const factor = inBytes(this.kind) ? 8 : 1;
    const named = this.keys.map((key, at) => ({ key, color: COLORS[at] })).filter(({ key }) => key !== null);
    const of = (key) => () => this.points.map(({ values }) => (values.get(key) ?? 0) * factor);
    const rest = () => this.points.map(({ values, total }) =>
      Math.max(0, total - named.reduce((sum, { key }) => sum + (values.get(key) ?? 0), 0)) * factor);
    return [
      ...named.map(({ key, color }) => ({ name: key || "(all)", color, of: of(key) })),
      { name: REST, color: "excluded", of: rest },
    ];
  }

  draw() {
    if (!globalThis.uPlot) return;
    const drawn = JSON.stringify(this.keys);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.chart?.stop();
      this.chart = new Chart({
        title: this.name, about: "the largest flows, stacked", stacked: true, least: 1,
        unit: inBytes(this.kind) ? bits : perSecond, lines: this.lines(),
      }, "flows");
      this.element.replaceChildren(this.chart.element);
    }
    this.chart.draw(this.times, {});
  }

  stop() {
    this.chart?.stop();
  }
}

function form(defined) {
  const field = (name, label, about, options = {}) => {
    const input = h("input", { id: `flow-${name}`, name, autocomplete: "off", spellcheck: "false", maxlength: "2048", ...options });
    return { input, element: h("div.field", {}, h("label", { for: `flow-${name}` }, label), input, h("span.about", {}, about)) };
  };
  const fields = {
    name: field("name", "Name", "letters, digits, _ . -", { required: true, maxlength: "64" }),
    keys: field("keys", "Keys", "such as ipsource,mask:ipdestination:24"),
    filter: field("filter", "Filter", "such as udpsourceport=53&ipprotocol=17"),
    t: field("t", "Average over", "seconds", { value: "2", inputmode: "decimal" }),
    token: field("token", "Token", "the one that [http] token sets", { type: "password" }),
  };
  fields.token.element.hidden = true;
  const value = h("select", { id: "flow-value" }, VALUES.map((one) => h("option", {}, one)));
  const said = h("div.said", { role: "alert" });
  const examples = h("div.examples", {}, EXAMPLES.map(([text, one]) => h("button", {
    type: "button",
    click() {
      for (const name of ["name", "keys", "filter"]) fields[name].input.value = one[name] ?? "";
      value.value = one.value;
      fields.name.input.focus();
    },
  }, text)));
  async function submit(event) {
    event.preventDefault();
    if (fields.token.input.value) useToken(fields.token.input.value);
    const name = fields.name.input.value.trim();
    const document = { keys: fields.keys.input.value, value: value.value, filter: fields.filter.input.value, t: fields.t.input.value };
    try {
      await send("PUT", `/flow/${encodeURIComponent(name)}/json`, document);
      said.replaceChildren();
      defined(name);
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      fields.token.element.hidden = failure.code !== 401;
      const { at, field: wrong } = failure.document;
      said.replaceChildren(h("p", {}, `${failure.message}.`), at ? h("pre", {}, at) : "");
      fields[failure.code === 401 ? "token" : wrong]?.input.focus();
    }
  }
  const element = h("form.define.card", { submit, "aria-labelledby": "define-head" },
    h("h2", { id: "define-head" }, "Define a flow"),
    h("div.fields", {}, fields.name.element, fields.keys.element,
      h("div.field", {}, h("label", { for: "flow-value" }, "Value"), value, h("span.about", {}, "what is added up, a second")),
      fields.filter.element, fields.t.element, fields.token.element),
    said, h("div.actions", {}, h("button.primary", { type: "submit" }, "Define"), h("span.about", {}, "or start from"), examples));
  return { element, fail: (text) => said.replaceChildren(h("p", {}, text)) };
}

export function flows({ params, go }) {
  const chosen = params.get("flow") ?? "";
  const note = h("p.note", { role: "status" }, "Asking…");
  const list = h("div.defined");
  const shownFlow = h("div.watched");
  const { element: scroll, body } = table("the largest flows", [["Flow"], ["Value", "num"], ["Share", "wide"], ["Agent", "less"], ["Data source", "less"]]);
  const define = form((name) => go("/flows", { flow: name }));
  let course = null;
  let stopped = false;

  async function remove(name) {
    try {
      await send("DELETE", `/flow/${encodeURIComponent(name)}/json`);
      if (name === chosen) go("/flows");
      else poll.now();
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      define.fail(`${failure.message}.`);
    }
  }

  function entry([name, one]) {
    const of = one.keys || "everything";
    return h("li", { "aria-current": name === chosen ? "true" : null },
      h("a", { href: `#/flows?${new URLSearchParams({ flow: name })}` }, name),
      h("span.about.mono", {}, `${one.value} of ${of}${one.filter ? ` where ${one.filter}` : ""}, ${one.t} s`),
      h("button", { type: "button", "aria-label": `Delete ${name}`, click: () => remove(name) }, "Delete"));
  }

  function rows(found, total, kind) {
    body.replaceChildren(...found.slice(0, ROWS).map((row) => {
      const share = total > 0 ? Math.min(row.value / total, 1) : 0;
      return h("tr", {}, h("th.mono.path", { scope: "row" }, row.key || "(all)"), h("td.num", {}, shown(row.value, kind)),
        h("td.wide", {}, h("div.share", {}, bar(share), h("span", {}, percent(share)))),
        h("td.mono.less", {}, row.agent), h("td.mono.less", {}, row.dataSource));
    }));
  }

  const poll = every(EVERY_MS, async () => {
    try {
      const all = await get("/flow/json");
      if (stopped) return;
      const names = Object.entries(all);
      replace(list, JSON.stringify(all), () => (names.length ? h("ul", {}, names.map(entry)) : h("p.note", {}, "No flow is defined yet.")));
      const definition = all[chosen];
      shownFlow.hidden = !definition;
      note.hidden = !chosen || Boolean(definition);
      setText(note, `There is no flow ${chosen}.`);
      if (!definition) return;
      const path = encodeURIComponent(chosen);
      const found = await get(`/activeflows/ALL/${path}/json`, { maxFlows: ROWS, aggMode: "sum" });
      const [metric] = await get(`/metric/ALL/sum:${path}/json`);
      if (stopped) return;
      const total = metric.metricValue ?? 0;
      if (!course) {
        course = new Course(chosen, definition.value);
        shownFlow.prepend(course.element);
      }
      course.add(Date.now(), found, total);
      rows(found, total, definition.value);
      note.hidden = found.length > 0;
      setText(note, "No sample has had these keys yet: /flowkeys/json lists those that samples have.");
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The list stands still: ${failure.message}.`);
    }
  });
  shownFlow.hidden = true;
  shownFlow.append(h("section.card", { "aria-label": `Largest flows of ${chosen}` }, scroll));
  const element = h("div.view", {},
    head("flows-head", "Flows"),
    h("p.about", {}, "What the samples are made of, by keys of your choice. Scripts use the same definitions over REST."),
    define.element, h("section.card", { "aria-label": "Defined flows" }, h("h2", {}, "Defined"), list), note, shownFlow);
  return { title: "Flows", element, update() {}, stop() { stopped = true; poll.stop(); course?.stop(); } };
}
