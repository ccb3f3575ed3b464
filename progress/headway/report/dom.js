// Small helpers: elements, packed curves, numbers. Text is only ever set as text, never parsed as HTML.

const MISSING = 255;
const STEPS = 250;

// An element with attributes, listeners (on...) and children; a child that is text becomes text.
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// The content of an element of the page by its id, or null.
function carried(id) {
  const element = document.getElementById(id);
  return element && element.textContent;
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// A packed curve of values in [0, 1]: null where there is none.
function unpackUnit(base64) {
  return base64 ? Array.from(bytes(base64), (byte) => (byte === MISSING ? null : byte / STEPS)) : null;
}

// A packed curve of whole numbers: null where there is none.
function unpackCodes(base64) {
  return base64 ? Array.from(bytes(base64), (byte) => (byte === MISSING ? null : byte)) : null;
}

// The stretches in which `same(i)` stays the same: [{start, end, value}], end exclusive.
function stretches(length, same) {
  const found = [];
  for (let i = 0; i < length; i += 1) {
    const value = same(i);
    const last = found[found.length - 1];
    if (last && last.value === value) last.end = i + 1;
    else found.push({ start: i, end: i + 1, value });
  }
  return found;
}

function number(value, digits = 2) {
  return value === null || value === undefined ? "n/a" : value.toFixed(digits);
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
