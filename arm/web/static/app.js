// The page: which view is shown, the poll of the status, and what stands above every view.

import { get, every, useToken } from "./api.js";
import { h, replace, setText } from "./dom.js";
import { cache } from "./cache.js";
import { capacity } from "./capacity.js";
import { changes } from "./changes.js";
import { help } from "./help.js";
import { overview } from "./overview.js";
import { prefixes } from "./prefixes.js";
import { resources } from "./resources.js";
import { settings } from "./settings.js";
import { traffic } from "./traffic.js";
import { age, bitrate, count, moment, perSecond, percent } from "./units.js";
import { why } from "./why.js";

/** A view whose module is loaded when it is first opened. */
function later(title, load) {
  return (args) => {
    const element = h("div", {}, h("p.note", { role: "status" }, "Loading…"));
    let inner = null;
    let stopped = false;
    load().then((view) => {
      if (stopped) return;
      inner = view(args);
      element.replaceChildren(inner.element);
    }, () => element.replaceChildren(h("p.note", { role: "status" }, "This view could not be loaded: reload the page.")));
    return { title, element, update: (latest) => inner?.update(latest), stop() { stopped = true; inner?.stop(); } };
  };
}

const map = later("Map", async () => (await import("./map.js")).map);
const flows = later("Flows", async () => (await import("./flows.js")).flows);
const VIEWS = { "": overview, traffic, map, flows, prefixes, cache, capacity, changes, resources, config: settings, help };
const NAME = "Active Route Manager";

const main = document.getElementById("main");
const health = document.getElementById("health");
const announced = document.getElementById("announced");
const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const about = document.getElementById("about");
const search = document.getElementById("search");
const field = document.getElementById("query");

let view = null;
let status = null;

/** Shows another view; its address can be shared and goes into the history. */
function go(path, args = {}) {
  const query = new URLSearchParams(Object.entries(args).filter(([, value]) => value !== "")).toString();
  location.hash = query ? `#${path}?${query}` : `#${path}`;
}

/** An address that someone mistyped is shown as it is. */
function decoded(address) {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}

function route() {
  const [path, query = ""] = decoded(location.hash.slice(1) || "/").split("?", 2);
  const [, name = "", ...rest] = path.split("/");
  const params = new URLSearchParams(query);
  view?.stop();
  if (name === "why" && rest.length) {
    view = why({ path: rest.join("/"), params, go });
    field.value = rest.join("/");
  } else {
    view = (VIEWS[name] ?? overview)({ params, go });
    field.value = "";
  }
  document.title = `${view.title} · ${NAME}`;
  for (const link of document.querySelectorAll(".views a")) {
    const shown = link.getAttribute("href") === (name && VIEWS[name] ? `#/${name}` : name === "why" ? "" : "#/");
    if (shown) {
      link.setAttribute("aria-current", "page");
      // on a phone the row of views is longer than the screen
      const row = link.parentElement;
      row.scrollLeft = link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
    } else link.removeAttribute("aria-current");
  }
  main.replaceChildren(view.element);
  if (status) view.update(status);
}

/** The facts that stand beside the verdict. */
function summary({ sessions, sflow, families }) {
  const up = sessions.filter((one) => one.state === "established").length;
  const agent = sflow.agents.find((one) => one.counted);
  const received = sflow.samples_per_second;
  const lost = sflow.lost_samples_per_second;
  const loss = received + lost > 0 ? `, ${percent(lost / (received + lost))} lost` : "";
  const rate = agent?.sampling_rate ? `, 1 in ${count(agent.sampling_rate)}` : "";
  const traffic = Object.values(families).reduce((sum, one) => sum + (one.bytes_per_second ?? 0), 0);
  return [
    `${up} of ${sessions.length} sessions up`,
    `${bitrate(traffic)}`,
    `${perSecond(received)} samples${rate}${loss}`,
  ].join(" · ");
}

/** Tells screen readers what is new; a number that counts on is not. */
function announce(text) {
  const key = text.replace(/\d+/g, "");
  if (announced.dataset.key === key) return;
  announced.dataset.key = key;
  setText(announced, text);
}

function showHealth(document) {
  const { level, problems } = document.health;
  const words = { ok: "All is well", warning: "Works, with warnings", error: "Needs attention" };
  announce([words[level], ...problems.map((one) => one.text)].join(". "));
  health.className = `health ${level}`;
  replace(health, JSON.stringify([document.health, summary(document)]), () => [
    h("p.level", {}, h("span.sign", { "aria-hidden": "true" }), words[level]),
    h("p.summary", {}, summary(document)),
    problems.length
      ? h("ul", {}, problems.map((one) => h(`li.${one.severity}`, {}, h("span.where", {}, one.where), one.text)))
      : null,
  ].filter(Boolean));
}

/** Asks for the token that the configuration protects reading with. */
function showLocked(failure) {
  health.className = "health warning lost";
  announce(failure.message);
  replace(health, "locked", () => [
    h("p.level", {}, h("span.sign", { "aria-hidden": "true" }), "The token is needed"),
    h("form.filters", {
      submit: (event) => {
        event.preventDefault();
        useToken(event.target.elements.token.value);
        delete health.dataset.key;
        poll.now();
        route();
      },
    }, h("label.hidden", { for: "token" }, "Token"),
      h("input", { id: "token", name: "token", type: "password", autocomplete: "current-password", placeholder: "[http] token" }),
      h("button", { type: "submit" }, "Show")),
  ]);
}

function showLost(failure) {
  if (failure.code === 401) {
    showLocked(failure);
    return;
  }
  health.className = "health error lost";
  const text = failure.code === 503 ? failure.message : `${failure.message}. What is shown below is old`;
  announce(text);
  replace(health, `lost ${text}`, () => [
    h("p.level", {}, h("span.sign", { "aria-hidden": "true" }), failure.code === 503 ? "Not ready" : "No connection"),
    h("ul", {}, h("li.error", {}, `${text}. `, failure.code === 503 ? "" : "Check that arm runs: systemctl status arm.")),
  ]);
}

const poll = every(1000, async () => {
  try {
    status = await get("/arm/status/json");
    live.className = "live on";
    setText(liveText, "live");
    live.title = `Latest: ${moment(status.time_ms)}`;
    setText(about, `arm ${status.version}, up ${age(status.started_ms, status.time_ms)}`);
    document.body.classList.remove("stale");
    showHealth(status);
    view?.update(status);
  } catch (failure) {
    if (!("code" in failure)) throw failure;
    live.className = "live off";
    setText(liveText, "no answer");
    document.body.classList.toggle("stale", Boolean(status));
    showLost(failure);
  }
});

search.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = field.value.trim();
  const as = /^AS\s*(\d+)$/i.exec(query);
  if (as) go("/prefixes", { as: as[1] });
  else if (query) go(`/why/${query}`);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "Escape" && event.target === field) {
    field.blur();
  }
});

addEventListener("hashchange", () => {
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
route();
