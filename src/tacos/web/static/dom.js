// Builds the page's elements. Data only ever becomes text: nothing here parses markup.

// What would be obeyed or not be seen: control characters (but for line ends and tabs), marks
// that reverse the direction of text, and characters without width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** A text of the data with signs for what could not be seen. */
export function showUnseen(text) {
  return String(text).replace(UNSEEN, (sign) => {
    const code = sign.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/**
 * An element with attributes and children; texts among the children become text nodes.
 * Attributes that are functions are listeners; null, undefined and false leave one out.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  fill(made, ...children);
  return made;
}

/** Replaces what is in an element. */
export function fill(parent, ...children) {
  const nodes = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  parent.replaceChildren(...nodes.map((child) => (child instanceof Node ? child : document.createTextNode(showUnseen(child)))));
}

/** A text of the data: its own direction, whatever stands around it. */
export function dataText(text, tag = "span", attributes = {}) {
  return element(tag, { dir: "auto", class: "data", ...attributes }, text);
}

/** 1,234,567 */
export function formatCount(number) {
  return number.toLocaleString("en");
}

/** "1 row", "2 rows" */
export function countWords(number, word) {
  return `${formatCount(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** A score with two digits; nothing for none. */
export function formatScore(score) {
  return score === null || score === undefined ? "" : score.toFixed(2);
}
