// The few things that every view needs to make elements. Text only ever goes in as text: nothing here parses HTML.

/** Makes an element: `h("td.num", {title: "..."}, "text", child, null)`. Functions become listeners. */
export function h(spec, attributes, ...children) {
  const [name, ...classes] = spec.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets the text of an element only if it changes, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a CSS length through the object model, which the content security policy allows. */
export function setWidth(element, share) {
  element.style.width = `${Math.max(0, Math.min(100, share * 100)).toFixed(2)}%`;
}

/** Replaces the children of `parent`, unless `key` says that they would be the same as last time. */
export function replace(parent, key, make) {
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...[make()].flat());
}
