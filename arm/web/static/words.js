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

/** Why a route went in or came out, as the log of changes names it. */
export const REASONS = {
  new: "it has traffic, and a slot was free",
  swap: "a slot goes to the route that carries significantly more",
  aggregate: "one slot for it carries what several took",
  remembered: "it was chosen before",
  always: "selection.always names it",
  "makes room for a pinned route": "selection.always names another one, which takes its slots",
  exception: "keeps its packets out of the route above it, which goes elsewhere",
  "rides along": "the route above it has the same next hop",
  "cover not needed": "the route that it was an exception to is gone",
  attributes: "BGP taught it anew, with the same next hop",
  "next hop": "BGP taught another next hop",
  "default's next hop": "the default route goes there as well now",
  "next hop unreachable": "the target can not reach its next hop",
  withdrawn: "BGP withdrew it",
  "no slot for an exception": "a new route below it goes elsewhere, and no slot was left for that",
  idle: "it had no traffic for selection.idle_timeout",
  policy: "the configuration leaves it out",
  capacity: "there is room for fewer routes than before",
  refused: "the target refused a change that it needs",
  "default changed": "the default route has another next hop",
  "default withdrawn": "the default route is gone",
  resent: "the target was told again",
};
