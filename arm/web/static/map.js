// Traffic by country as bubbles over a map of the world, a table that says the same, and what a country is made of.
//
// Loaded when it is opened: it and the outlines are most of what the page consists of. The outlines are projected already
// (scripts/build-map.mjs); coordinates are those of map.json. The table is what the keyboard and screen readers use.

import { get, every } from "./api.js";
import { h, replace, setText } from "./dom.js";
import { ranking } from "./ranking.js";
import { choice, FAMILIES, familyOf, head, table } from "./tables.js";
import { panel } from "./traffic.js";
import { bitrate, bits, moment, percent } from "./units.js";

const EVERY_MS = 1000;
const SIZE = 10;
const DIRECTIONS = { destination: "to", source: "from" };
const LARGEST = 280;
const SMALLEST = 24;
const DECADES = 4;
const LABELLED = 115;
/** Nearer than this to another label there is none: the busiest of a crowd has it. */
const APART = 175;

const names = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });
let outlines = null;

function s(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The name of a country of that code. */
export function nameOf(code) {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

/** The rate of the largest bubbles: a power of ten, so that sizes stay comparable while traffic comes and goes. */
export function scaleOf(bitsPerSecond) {
  return 10 ** Math.max(DECADES, Math.ceil(Math.log10(Math.max(1, bitsPerSecond))));
}

/** Radius of a bubble: grows with the logarithm of bit/s over four decades up to `top`. */
export function radius(bitsPerSecond, top) {
  const height = 1 + Math.log10(bitsPerSecond / top) / DECADES;
  return SMALLEST + (LARGEST - SMALLEST) * Math.max(0, Math.min(1, height));
}

async function loadOutlines() {
  const answer = await fetch("/static/map.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

/** The picture: `draw` it from the answer's countries, `select` one of them. */
function picture(pick) {
  const land = s("g", { class: "land" });
  const bubbles = s("g", { class: "bubbles" });
  const labels = s("g", { class: "labels" });
  const svg = s("svg", { class: "world", viewBox: "0 0 10000 4600", role: "img", "aria-label": "Map of traffic by country" },
    land, bubbles, labels);
  const legend = h("ul.legend.sizes", { "aria-label": "Sizes of the bubbles" });
  const element = h("figure.map", {}, svg, h("figcaption", {}, legend));
  const drawn = new Map();
  let places = {};
  let chosen = "";

  svg.addEventListener("click", (event) => {
    const code = event.target.closest("[data-country]")?.dataset.country;
    if (code) pick(code === chosen ? "" : code);
  });

  function show(map) {
    places = map.places;
    svg.setAttribute("viewBox", `0 0 ${map.width} ${map.height}`);
    land.replaceChildren(s("path", { d: map.others }), ...Object.entries(map.countries).map(([code, d]) =>
      s("path", { d, "data-country": code }, s("title", {}, nameOf(code)))));
    select(chosen);
  }

  function bubble(code) {
    const [cx, cy] = places[code];
    const title = s("title", {});
    const circle = s("circle", { class: "bubble", cx, cy, r: 0, "data-country": code }, title);
    const label = s("text", { class: "label", x: cx, y: cy });
    const made = { circle, title, label };
    drawn.set(code, made);
    labels.append(label);
    return made;
  }

  function draw(countries) {
    const known = countries.filter((one) => one.country && places[one.country]);
    const top = scaleOf(Math.max(0, ...known.map((one) => one.bytes_per_second * 8)));
    const gone = new Set(drawn.keys());
    const fresh = [];
    const labelled = [];
    for (const one of known) {
      const code = one.country;
      const here = drawn.get(code) ?? bubble(code);
      const size = radius(one.bytes_per_second * 8, top);
      gone.delete(code);
      setText(here.title, `${nameOf(code)}: ${bitrate(one.bytes_per_second)}, ${percent(one.share)}`);
      const [x, y] = places[code];
      const room = size >= LABELLED && labelled.every(([u, v]) => Math.hypot(x - u, y - v) >= APART);
      if (room) labelled.push([x, y]);
      setText(here.label, room ? code : "");
      here.circle.classList.toggle("chosen", code === chosen);
      if (here.circle.isConnected) here.circle.setAttribute("r", size.toFixed(1));
      else fresh.push([here.circle, size]);
    }
    if (fresh.length) {
      bubbles.append(...fresh.map(([circle]) => circle));
      // so that they grow from nothing: the size before must have been seen
      bubbles.getBoundingClientRect();
      for (const [circle, size] of fresh) circle.setAttribute("r", size.toFixed(1));
      // on top of the others
      if (drawn.has(chosen)) bubbles.append(drawn.get(chosen).circle);
    }
    for (const code of gone) fade(code);
    replace(legend, String(top), () => [0, 1, 2, 3].map((step) => {
      const rate = top / 10 ** step;
      const r = radius(rate, top);
      const sample = s("svg", { viewBox: `${-LARGEST} ${-LARGEST} ${2 * LARGEST} ${2 * LARGEST}`, "aria-hidden": "true" },
        s("circle", { class: "bubble", r: r.toFixed(1) }));
      return h("li", {}, sample, bits(rate));
    }));
  }

  /** Lets a bubble shrink; a second draw without its country takes it away. */
  function fade(code) {
    const { circle, label } = drawn.get(code);
    if (circle.getAttribute("r") === "0") {
      circle.remove();
      label.remove();
      drawn.delete(code);
    } else {
      circle.setAttribute("r", "0");
      setText(label, "");
    }
  }

  function select(code) {
    chosen = code;
    for (const one of svg.querySelectorAll("[data-country]")) one.classList.toggle("chosen", one.dataset.country === code);
    const circle = drawn.get(code)?.circle;
    if (circle) bubbles.append(circle);
  }
  return { element, show, draw, select };
}

/** The numbers of the same answer. */
function numbers(direction, pick, addressOf) {
  const both = direction === "destination";
  const heads = [["Country"], ["Traffic", "num"], ["Share", "num"],
    ...(both ? [["In hardware", "num"], ["Default path", "num"]] : [])];
  const { element, body } = table("traffic by country", heads);
  element.classList.add("long", "map-table");
  let chosen = "";

  function name(code) {
    if (!code) return h("span.about", { title: "What follows the default route, and prefixes that are in several countries or in none of the file" }, "no country");
    return h("a", {
      href: addressOf(code),
      "aria-current": code === chosen ? "true" : null,
      click: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        pick(code === chosen ? "" : code);
      },
    }, nameOf(code), " ", h("span.about.mono", {}, code));
  }

  function draw(countries, selected) {
    chosen = selected;
    const held = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    body.replaceChildren(...countries.map((one) => h(one.country && one.country === chosen ? "tr.used" : "tr", {},
      h("th", { scope: "row" }, name(one.country)),
      h("td.num", {}, bitrate(one.bytes_per_second)),
      h("td.num", {}, percent(one.share)),
      both ? h("td.num", {}, bitrate(one.hardware_bytes_per_second)) : null,
      both ? h("td.num", {}, bitrate(one.default_bytes_per_second)) : null)));
    if (held) [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === held)?.focus({ preventScroll: true });
  }
  return { element, draw };
}

/** Prefixes and AS paths, of one country where one is chosen. */
function details(country, direction, family, pickFamily, clear) {
  const filters = country ? { country } : {};
  const list = ranking({ family, direction, size: SIZE, offset: 0, brief: true, filters });
  const paths = panel({ by: "aspath", direction, title: "AS paths", filter: null, filters }, family);
  const poll = every(4000, paths.update);
  const where = country ? nameOf(country) : "All countries";
  const all = new URLSearchParams({ family, direction, ...filters });
  const element = h("div.view", {},
    h("div.section-head", {}, h("h2", { id: "country" }, `${where}: prefixes and AS paths`),
      country ? h("button", { type: "button", click: clear }, "Show all countries") : null,
      choice("Address family", FAMILIES, family, pickFamily)),
    h("section.card", { "aria-label": "Prefixes" }, h("div.family-head", {}, h("h3", {}, "Prefixes"),
      h("a", { href: `#/prefixes?${all}` }, "All of them")), list.element),
    paths.element);
  return { element, stop: () => { list.stop(); poll.stop(); } };
}

export function map({ params }) {
  const direction = params.get("direction") === "source" ? "source" : "destination";
  let family = familyOf(params);
  let country = (/^[a-z]{2}$/i.exec(params.get("country") ?? "")?.[0] ?? "").toUpperCase();
  let latest = [];
  let lists = null;

  function address(changes) {
    const all = { direction, family, country, ...changes };
    const kept = Object.entries(all).filter(([key, value]) => value && !(key === "family" && value === "ipv4"));
    return `#/map?${new URLSearchParams(kept)}`;
  }

  const note = h("p.note", { role: "status" }, "Asking…");
  const about = h("p.about");
  const world = picture(pick);
  const rows = numbers(direction, pick, (code) => address({ country: code }));
  const below = h("div");

  function showLists() {
    lists?.stop();
    lists = details(country, direction, family, (one) => {
      family = one;
      stay();
    }, () => pick(""));
    below.replaceChildren(lists.element);
  }

  /** A choice on the map is no other page: it goes into the address, but nothing scrolls. */
  function stay() {
    history.pushState(null, "", address({}));
    showLists();
  }

  function pick(code) {
    country = code;
    stay();
    world.select(code);
    rows.draw(latest, country);
  }

  function say(text, wrong) {
    note.hidden = !text;
    note.classList.toggle("warn", wrong);
    setText(note, text);
  }

  const poll = every(EVERY_MS, async () => {
    try {
      const answer = await get("/arm/countries/json", { direction });
      latest = answer.countries;
      world.draw(latest);
      rows.draw(latest, country);
      say(answer.problem ? `${answer.ready ? "The countries are old" : "There are no countries"}: ${answer.problem}.`
        : latest.length ? "" : "No traffic has been seen. Once sFlow samples arrive, it is shown here.", Boolean(answer.problem));
      const data = answer.database;
      setText(about, data ? `Countries from: ${data.about || data.type}${data.built_ms > 0 ? `, data of ${moment(data.built_ms).split(",")[0]}` : ""}.` : "");
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      say(`The map stands still: ${failure.message}.`, true);
    }
  });
  outlines ??= loadOutlines();
  outlines.then((shapes) => {
    world.show(shapes);
    world.draw(latest);
  }, () => {
    outlines = null;
    world.element.replaceChildren(h("p.note", {}, "The outlines of the world are missing: scripts/build-web adds them. The table has the numbers."));
  });
  showLists();
  world.select(country);

  const element = h("div.view", {},
    h("section.card", { "aria-labelledby": "map-head" },
      head("map-head", "Traffic by country", choice("Direction", DIRECTIONS, direction,
        (one) => { location.hash = `/map?${new URLSearchParams({ direction: one, ...(country ? { country } : {}) })}`; })),
      note, h("div.map-parts", {}, world.element, rows.element), about),
    below);
  return { title: "Map", element, update() {}, stop() { poll.stop(); lists?.stop(); } };
}
