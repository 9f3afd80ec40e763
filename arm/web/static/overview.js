// The first view: in ten seconds, is traffic in hardware, and what stands behind that.

import { charts } from "./charts.js";
import { h, replace, setText, setWidth } from "./dom.js";
import { age, bitrate, bytes, count, duration, moment, percent, perSecond } from "./units.js";
import { OUTCOMES } from "./words.js";
import { ranking } from "./ranking.js";
import { fact, FAMILIES, table } from "./tables.js";

/** The 95% sampling error of a share, if it shows. */
function within(share) {
  return share >= 0.0005 ? ` ± ${percent(share)}` : "";
}

function familyCard(family, name) {
  const coverage = h("strong.big");
  const minute = h("span.about");
  const facts = {
    traffic: fact("Traffic", "sampled traffic, mean of 10 s"),
    missed: fact("By default path", "traffic that matched no installed route, mean of 10 s"),
    table: fact("Full table", "prefixes in the table that BIRD reflects"),
    active: fact("Active", "prefixes with traffic now"),
    churn: fact("Churn", "routes put in or replaced, and taken out, mean of 10 s"),
    hop: fact("Default next hop", "where packets go that match no installed route"),
  };
  const used = h("div.bar-fill");
  const bar = h("div.bar", { role: "meter", "aria-label": `${name} slots in use`, "aria-valuemin": "0" }, used);
  const slots = h("span");
  const parts = OUTCOMES.map(({ key }) => h(`div.part.c-${key.replace("_", "-")}`));
  const split = h("div.split", { role: "img" }, parts);
  const misses = h("p.about.misses");
  const element = h(
    "section.card.family",
    { "aria-label": name },
    h("div.family-head", {}, h("h2", {}, name), h("a", { href: `#/prefixes?family=${family}` }, "prefixes")),
    h("p.headline", {}, coverage, h("span.headline-text", {}, "of traffic in hardware or right by default", minute)),
    split,
    misses,
    h("div.slots", {}, h("span", {}, "Slots"), bar, slots),
    h("dl.facts", {}, Object.values(facts).map((one) => one.element)),
  );

  function update(now) {
    element.hidden = !now;
    if (!now) return;
    setText(coverage, percent(now.coverage_10s));
    coverage.classList.toggle("none", now.coverage_10s === null);
    const text = now.coverage_10s === null ? "no traffic seen" : `${percent(now.coverage_60s)}${within(now.coverage_60s_error)} over the last minute`;
    setText(minute, text);
    const { hits } = now;
    OUTCOMES.forEach(({ key, name: outcome }, index) => {
      const share = hits.total > 0 ? hits[key] / hits.total : 0;
      setWidth(parts[index], share);
      parts[index].title = `${outcome}: ${percent(share)}, ${bitrate(hits[key])}`;
    });
    const shares = OUTCOMES.filter(({ key }) => hits[key] > 0);
    const spoken = shares.map(({ key, name: outcome }) => `${outcome} ${percent(hits[key] / hits.total)}`).join(", ");
    split.setAttribute("aria-label", spoken ? `Traffic by outcome: ${spoken}` : "No traffic");
    const missed = shares.filter(({ key }) => key !== "installed" && key !== "free");
    const causes = missed.map(({ key, name: outcome }) => `${outcome} ${percent(hits[key] / hits.total)}`);
    setText(misses, causes.length ? `Missed: ${causes.join(", ")}` : hits.total > 0 ? "Nothing missed" : "");
    misses.title = "in the latest second";
    const share = now.capacity > 0 ? now.slots_used / now.capacity : 0;
    setWidth(used, share);
    bar.setAttribute("aria-valuemax", now.capacity);
    bar.setAttribute("aria-valuenow", now.slots_used);
    setText(slots, `${count(now.slots_used)} of ${count(now.capacity)}`);
    slots.title = `${count(now.installed_routes)} routes and ${count(now.installed_covers)} covers`;
    setText(facts.traffic.value, bitrate(now.bytes_per_second));
    setText(facts.missed.value, bitrate(now.default_path_bytes_per_second));
    setText(facts.table.value, `${count(now.rib_prefixes)}${now.complete ? "" : " (learning)"}`);
    setText(facts.active.value, count(now.active_prefixes));
    const { installs, removals, replacements } = now.changes_per_second;
    const put = installs === null || replacements === null ? null : installs + replacements;
    setText(facts.churn.value, `+${perSecond(put)} −${perSecond(removals)}`);
    setText(facts.hop.value, now.default_next_hop ?? "none");
  }
  return { element, update };
}

function sessionsCard() {
  const { element, body } = table("BGP sessions", [["Session"], ["Peer"], ["State"], ["Since"], ["Announced", "num"],
    ["Withdrawn", "num"], ["Updates in", "num"], ["Updates out", "num"], ["Flaps", "num"]]);
  const card = h("section.card", { "aria-label": "BGP sessions" }, h("h2", {}, "BGP sessions"), element);
  function update(sessions, nowMs) {
    replace(body, JSON.stringify([sessions, Math.floor(nowMs / 1000)]), () => sessions.length
      ? sessions.map((one) => {
          const up = one.state === "established";
          return h("tr", {},
            h("th", { scope: "row" }, one.name),
            h("td", {}, h("span.mono", {}, one.peer), h("span.about", {}, ` AS ${one.peer_as}`)),
            h("td", {}, h(`span.badge${up ? ".good" : ".bad"}`, { title: one.reason }, one.state),
              one.reason && !up ? h("span.about", {}, ` ${one.reason}`) : null),
            h("td", { title: moment(one.since_ms) }, age(one.since_ms, nowMs)),
            h("td.num", { title: "prefixes that the peer announced, again and again counted" }, count(one.prefixes_announced_in)),
            h("td.num", { title: "prefixes that the peer withdrew" }, count(one.prefixes_withdrawn_in)),
            h("td.num", {}, count(one.updates_in)),
            h("td.num", {}, count(one.updates_out)),
            h("td.num", {}, count(one.flaps)));
        })
      : h("tr", {}, h("td", { colspan: "9" }, "No session is configured: set [reflector] ip in the configuration.")));
  }
  return { element: card, update };
}

function sflowCard() {
  const facts = {
    samples: fact("Samples", "packet samples taken in, mean of 10 s"),
    lost: fact("Lost on the way", "gaps in the agents' sequence numbers, mean of 10 s"),
    dropped: fact("Dropped here", "datagrams that the kernel had no buffer for, mean of 10 s"),
    malformed: fact("Unreadable", "datagrams that did not decode, since the start"),
  };
  const { element, body } = table("sFlow agents", [["Agent"], ["Sampling", "num"], ["Samples", "num"], ["Lost", "num"], ["Last heard", "num"]]);
  const card = h("section.card", { "aria-label": "sFlow" }, h("h2", {}, "sFlow"),
    h("dl.facts", {}, Object.values(facts).map((one) => one.element)), element);
  function update(sflow, nowMs) {
    setText(facts.samples.value, perSecond(sflow.samples_per_second));
    setText(facts.lost.value, perSecond(sflow.lost_samples_per_second));
    setText(facts.dropped.value, perSecond(sflow.dropped_datagrams_per_second));
    setText(facts.malformed.value, count(sflow.malformed));
    replace(body, JSON.stringify([sflow.agents, Math.floor(nowMs / 1000)]), () => sflow.agents.length
      ? sflow.agents.map((one) => h("tr", {},
          h("th", { scope: "row" }, h("span.mono", {}, one.agent), one.sub_agent ? h("span.about", {}, ` sub-agent ${one.sub_agent}`) : null,
            one.counted ? null : h("span.badge", { title: "[sflow] ip names another agent" }, "left out")),
          h("td.num", { title: "one packet in so many" }, one.sampling_rate ? `1 in ${count(one.sampling_rate)}` : "–"),
          h("td.num", {}, count(one.flow_samples)),
          h("td.num", {}, count(one.lost_samples)),
          h("td.num", { title: moment(one.last_seen_ms) }, `${age(one.last_seen_ms, nowMs)} ago`)))
      : h("tr", {}, h("td", { colspan: "5" }, "No agent has been heard. Check hsflowd on the switch and its collector address.")));
  }
  return { element: card, update };
}

function machineCard() {
  const facts = {
    target: fact("Target", "where chosen routes go"),
    pending: fact("Waiting", "changes decided and not yet handed over"),
    applied: fact("Made", "changes since the start"),
    failed: fact("Failed", "changes since the start"),
    apply: fact("Latest plan took", ""),
    tick: fact("Engine tick", "time of the latest full tick"),
    cpu: fact("CPU", "of one core, mean of 10 s"),
    memory: fact("Memory", "resident"),
  };
  const more = h("dl.facts");
  const element = h("section.card", { "aria-label": "Target and process" }, h("h2", {}, "Target and process"),
    h("dl.facts", {}, Object.values(facts).map((one) => one.element)), more);
  function update({ target, process }) {
    replace(facts.target.value, `${target.kind} ${target.up} ${target.reason}`, () => [
      `${target.kind} `, h(`span.badge${target.up ? ".good" : ".bad"}`, { title: target.reason }, target.up ? "up" : "down")]);
    setText(facts.pending.value, count(target.pending));
    setText(facts.applied.value, count(target.applied));
    setText(facts.failed.value, count(target.failed));
    setText(facts.apply.value, duration(target.last_seconds));
    setText(facts.tick.value, duration(process.tick_seconds));
    replace(more, JSON.stringify(target.counters), () => Object.entries(target.counters).map(([name, value]) => {
      const one = fact(name.replaceAll("_", " "), "counted by the target");
      setText(one.value, count(value));
      return one.element;
    }));
    setText(facts.cpu.value, percent(process.cpu_cores));
    setText(facts.memory.value, bytes(process.rss_bytes));
  }
  return { element, update };
}

export function overview({ params, go }) {
  const families = Object.entries(FAMILIES).map(([family, name]) => [family, familyCard(family, name)]);
  const sessions = sessionsCard();
  const sflow = sflowCard();
  const machine = machineCard();
  const trend = charts(["5m", "1h", "24h"].includes(params.get("span")) ? params.get("span") : "5m", (span) => go("/", { span }));
  const tops = Object.keys(FAMILIES).map((family) => ranking({ family, direction: "destination", size: 8, offset: 0, brief: true }));
  const element = h("div.view", {},
    h("h1.hidden", {}, "Overview"),
    h("div.families", {}, families.map(([, card]) => card.element)),
    h("div.tops", {}, tops.map((one, index) => h("section.card", { "aria-label": `Top ${Object.values(FAMILIES)[index]} prefixes` },
      h("div.family-head", {}, h("h2", {}, `Top ${Object.values(FAMILIES)[index]} prefixes`),
        h("a", { href: `#/prefixes?family=${Object.keys(FAMILIES)[index]}` }, "all")), one.element))),
    trend.element,
    h("div.parts", {}, sessions.element, sflow.element, machine.element));
  return {
    title: "Overview",
    element,
    update(status) {
      for (const [family, card] of families) card.update(status.families[family]);
      sessions.update(status.sessions, status.time_ms);
      sflow.update(status.sflow, status.time_ms);
      machine.update(status);
    },
    stop() {
      trend.stop();
      tops.forEach((one) => one.stop());
    },
  };
}
