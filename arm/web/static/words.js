// What the states and outcomes are called and what they mean, once for all views.

/** Fields of a family's hits, in the order in which they are stacked. */
export const OUTCOMES = [
  { key: "installed", name: "in hardware", about: "matched an installed route" },
  { key: "free", name: "right by default", about: "its next hop is the default's, so it needs no slot" },
  { key: "no_slot", name: "no slot", about: "known and active, but every slot is taken by a busier prefix" },
  { key: "new", name: "new", about: "its prefix had no traffic before" },
  { key: "removed", name: "just removed", about: "its route was taken out recently" },
  { key: "excluded", name: "excluded", about: "left out by [selection] in the configuration" },
  { key: "no_route", name: "no route", about: "no route of the table contains it" },
];

export const STATES = {
  installed: "A route of this prefix is in hardware.",
  cover: "A slot points this prefix to the default, as an exception to a route above it.",
  rides: "Its traffic rides along with an installed route of the same next hop.",
  default: "Its next hop is the default's: it goes right without a slot.",
  "no slot": "It has traffic, but busier prefixes have all the slots.",
  excluded: "Left out by [selection] in the configuration.",
  idle: "It has no traffic now.",
  "no route": "The table has no route for it.",
};

/** States in which packets take the hardware's or the right way. */
export const GOOD = new Set(["installed", "rides", "default"]);

export function stateClass(state) {
  return `state-${state.replace(" ", "-")}`;
}
