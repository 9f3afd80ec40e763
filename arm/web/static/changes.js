// The log of what went into hardware and came out of it.

import { get, every } from "./api.js";
import { h, setText } from "./dom.js";
import { clock, count, moment } from "./units.js";
import { REASONS } from "./words.js";

const EVERY_MS = 1000;
const KEPT = 500;

const SIGNS = { installed: "+", replaced: "~", removed: "−", failed: "!" };

export function changes() {
  const body = h("tbody");
  const note = h("p.note", { role: "status" }, "Asking…");
  const held = h("span", { role: "status" });
  let last = -1;
  let paused = false;
  const pause = h(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      click: () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
        setText(pause, paused ? "Go on" : "Hold");
        setText(held, paused ? "The list is held." : "");
      },
    },
    "Hold",
  );

  function row(one) {
    return h(
      "tr",
      {},
      h("td.mono", { title: moment(one.time_ms) }, clock(one.time_ms)),
      h("td", {}, h(`span.badge.what-${one.what}`, {}, SIGNS[one.what] ?? "", h("span.word", {}, ` ${one.what}`))),
      h("th", { scope: "row" }, h("a.mono", { href: `#/why/${one.prefix}` }, one.prefix)),
      h("td.reason", { title: REASONS[one.reason] }, one.reason, REASONS[one.reason] ? h("span.about.less", {}, `  ${REASONS[one.reason]}`) : null),
    );
  }

  const poll = every(EVERY_MS, async () => {
    if (paused) return;
    try {
      const document = await get("/arm/changes/json", { after: last, maxChanges: KEPT });
      for (const one of document.changes) {
        body.prepend(row(one));
        last = one.number;
      }
      while (body.rows.length > KEPT) body.lastElementChild.remove();
      note.hidden = body.rows.length > 0;
      setText(note, "Nothing has changed yet. Once traffic is seen, its routes go in and are listed here.");
    } catch (failure) {
      if (!("code" in failure)) throw failure;
      note.hidden = false;
      setText(note, `The list stands still: ${failure.message}.`);
    }
  });
  const element = h(
    "div.view",
    {},
    h(
      "section.card.changes",
      { "aria-labelledby": "changes-head" },
      h("div.section-head", {}, h("h1", { id: "changes-head" }, "Changes in hardware"), held, pause),
      h("p.about", {}, `Newest first, the last ${count(KEPT)}; the journal has them all at level debug.`),
      h(
        "div.scroll.long",
        { tabindex: "0", role: "region", "aria-label": "Table of changes" },
        h(
          "table",
          {},
          h("caption.hidden", {}, "Changes in hardware, newest first"),
          h("thead", {}, h("tr", {}, ["Time", "What", "Prefix", "Why"].map((text) => h("th", { scope: "col" }, text)))),
          body,
        ),
      ),
      note,
    ),
  );
  return { title: "Changes", element, update() {}, stop: () => poll.stop() };
}
