// Numbers as people read them. Every number on the page goes through here and carries its unit.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const NONE = "–";

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function count(value) {
  return known(value) ? whole.format(value) : NONE;
}

/** Three significant digits with an SI prefix: [1.23, "G"]. */
function scaled(value) {
  const prefixes = ["", "k", "M", "G", "T", "P"];
  let size = value;
  let step = 0;
  while (Math.abs(size) >= 999.5 && step < prefixes.length - 1) {
    size /= 1000;
    step += 1;
  }
  const digits = Math.abs(size) >= 99.95 || step === 0 && Number.isInteger(size) ? 0 : Math.abs(size) >= 9.995 ? 1 : 2;
  return [size.toFixed(digits), prefixes[step]];
}

export function bits(bitsPerSecond) {
  if (!known(bitsPerSecond)) return NONE;
  const [number, prefix] = scaled(bitsPerSecond);
  return `${number} ${prefix}b/s`;
}

/** Bytes per second, shown as bits per second: "1.23 Gb/s". */
export function bitrate(bytesPerSecond) {
  return known(bytesPerSecond) ? bits(bytesPerSecond * 8) : NONE;
}

/** Something a second: "12.3 k/s". */
export function perSecond(value) {
  if (!known(value)) return NONE;
  const [number, prefix] = scaled(value);
  return `${number}${prefix ? ` ${prefix}` : ""}/s`;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  const [number, prefix] = scaled(value);
  return `${number} ${prefix}B`;
}

/** A share from 0 to 1: "97.3%". Never rounds up to 100% or down to 0% what is not quite. */
export function percent(share, digits = 1) {
  if (!known(share)) return NONE;
  const value = share * 100;
  const text = value.toFixed(digits);
  const step = 10 ** -digits;
  if (Number(text) >= 100 && value < 100) return `${(100 - step).toFixed(digits)}%`;
  if (Number(text) === 0 && value > 0) return `<${step.toFixed(digits)}%`;
  return `${text}%`;
}

/** Seconds: "2 d 3 h", "5 min 2 s", "1.2 s", "3.4 ms". */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const total = Math.round(seconds);
  const parts = [
    [Math.floor(total / 86400), "d"],
    [Math.floor(total / 3600) % 24, "h"],
    [Math.floor(total / 60) % 60, "min"],
    [total % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([value], index) => index === 0 || value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

/** How long ago a moment was, seen from `nowMs`. */
export function age(ms, nowMs) {
  return known(ms) && ms > 0 ? duration(Math.max(0, (nowMs - ms) / 1000)) : NONE;
}

/** Local date and time for tooltips. */
export function moment(ms) {
  return known(ms) && ms > 0 ? new Date(ms).toLocaleString("en-GB", { hour12: false, timeZoneName: "short" }) : NONE;
}

export function clock(ms) {
  return known(ms) ? new Date(ms).toLocaleTimeString("en-GB", { hour12: false }) : NONE;
}

/** The 95% error of a rate: "± 12%". */
export function error(value) {
  if (!known(value)) return NONE;
  if (value >= 100) return "± >100%";
  if (value < 0.1) return "± <0.1%";
  return `± ${value < 9.95 ? value.toFixed(1) : value.toFixed(0)}%`;
}
