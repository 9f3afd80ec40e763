// Makes the world map of the status page: node build-map.mjs OUTPUT, where node_modules is beside it (scripts/build-web).
//
// The outlines (Natural Earth, public domain, as the world-atlas package has them) are projected here by d3-geo, so that
// the page needs neither a projection nor a parser of TopoJSON, only paths that it can draw: a third of what it would
// have to load otherwise. Coordinates are tenths of a unit of a map that is 1000 units wide. Details too small to be seen
// are left out. The answer:
//
//   width, height   of the map
//   countries       ISO 3166-1 code -> SVG path; a country that is too small to be seen has none
//   others          paths of areas without a code
//   places          ISO 3166-1 code -> [x, y] of its bubble, well inside its largest part

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import { geoArea, geoBounds, geoCentroid, geoContains, geoNaturalEarth1, geoPath } from "d3-geo";
import { feature } from "topojson-client";

const WIDTH = 1000;
/** The meridian in the middle: with 11 E the cut goes through the Bering Strait. */
const MIDDLE = 11;
const SHORTEST = 0.6;
const SMALLEST = 0.3;
const GRID = 25;

/** Codes that Natural Earth's countries at this scale do not have, or have no code for: [longitude, latitude]. */
const ELSEWHERE = {
  BQ: [-68.27, 12.18], BV: [3.36, -54.42], CC: [96.83, -12.17], CX: [105.66, -10.49], GF: [-53.13, 3.93],
  GI: [-5.35, 36.14], GP: [-61.55, 16.25], IO: [71.88, -6.34], MQ: [-61.02, 14.64], RE: [55.54, -21.12],
  SJ: [15.65, 78.22], TK: [-171.86, -9.2], TV: [179.2, -8.52], UM: [166.63, 19.28], XK: [20.9, 42.6], YT: [45.17, -12.83],
};
const BY_NAME = { Kosovo: "XK" };

const require = createRequire(import.meta.url);
const codes = new Map(require("i18n-iso-countries/codes.json").map(([two, , number]) => [number, two]));
const world = JSON.parse(readFileSync(require.resolve("world-atlas/countries-50m.json"), "utf8"));
const projection = geoNaturalEarth1().rotate([-MIDDLE, 0]).fitWidth(WIDTH, { type: "Sphere" });
const path = geoPath(projection).digits(3);
/** Antarctica has no traffic to speak of, and would take a fifth of the map. */
const height = projection([MIDDLE, -60])[1];
const tenths = (value) => Math.round(value * 10);

function ringArea(points) {
  return Math.abs(points.reduce((sum, [x, y], at) => {
    const [u, v] = points[(at + 1) % points.length];
    return sum + x * v - u * y;
  }, 0)) / 2;
}

/** The outline of a country in relative steps, without what can not be seen. */
function outline(shape) {
  let drawn = "";
  for (const ring of (path(shape) ?? "").split("Z").filter(Boolean)) {
    const points = ring.slice(1).split("L").map((pair) => pair.split(",").map(Number));
    if (ringArea(points) < SMALLEST) continue;
    const kept = points.slice(0, 1);
    for (const [x, y] of points) {
      const [u, v] = kept.at(-1);
      if (Math.hypot(x - u, y - v) >= SHORTEST) kept.push([x, y]);
    }
    let [x, y] = kept[0].map(tenths);
    drawn += `M${x} ${y}`;
    for (const point of kept.slice(1)) {
      const [u, v] = point.map(tenths);
      drawn += `l${u - x} ${v - y}`;
      [x, y] = [u, v];
    }
    drawn += "z";
  }
  return drawn.replaceAll(" -", "-");
}

/** A place well inside the largest part: its centre of gravity, or else the place that is farthest from its border. */
function place({ geometry }) {
  const parts = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  const areas = parts.map((coordinates) => geoArea({ type: "Polygon", coordinates }));
  const largest = { type: "Polygon", coordinates: parts[areas.indexOf(Math.max(...areas))] };
  const centre = geoCentroid(largest);
  if (geoContains(largest, centre)) return centre;
  const [[west, south], [east, north]] = geoBounds(largest);
  const border = largest.coordinates[0];
  let best = centre;
  let farthest = -1;
  for (let column = 1; column < GRID; column += 1) {
    for (let row = 1; row < GRID; row += 1) {
      const point = [west + ((east - west) * column) / GRID, south + ((north - south) * row) / GRID];
      if (!geoContains(largest, point)) continue;
      const distance = Math.min(...border.map(([x, y]) => Math.hypot(x - point[0], y - point[1])));
      if (distance > farthest) [best, farthest] = [point, distance];
    }
  }
  return best;
}

/** Where a point of the earth is on the map; what would be below its edge stands on it. */
function spot(point) {
  const [x, y] = projection(point);
  return [tenths(x), tenths(Math.min(y, height - 5))];
}

const countries = {};
const places = {};
let others = "";
for (const shape of feature(world, world.objects.countries).features) {
  const code = codes.get(shape.id) ?? BY_NAME[shape.properties.name];
  const drawn = outline(shape);
  if (!code) {
    others += drawn;
    continue;
  }
  // one code may have several areas: the first is the country itself
  if (drawn) countries[code] = (countries[code] ?? "") + drawn;
  places[code] ??= spot(place(shape));
}
for (const [code, point] of Object.entries(ELSEWHERE)) places[code] ??= spot(point);

const made = { width: WIDTH * 10, height: tenths(height), countries, others, places };
writeFileSync(process.argv[2], `${JSON.stringify(made)}\n`);
