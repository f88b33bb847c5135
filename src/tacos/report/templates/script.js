"use strict";
// The page reads without this script; it adds a switch for dark, sorting, saving and hovering.

const root = document.documentElement;

function startThemeSwitch() {
  const button = document.getElementById("theme");
  const isDark = () =>
    (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  button.hidden = false;
}

// Sorting: a number sorts as one whatever is around it ("1,234", "58.1%"), a range by its start
// ("40.0% to 46.1%"); what is no number comes last, up or down.

const NUMBER = /^([+\-\u2212]?)\$?([\d,]+(?:\.\d+)?)%?(?=\s|$)/;
const NOTHING = ["", "n/a", "not known"];

function readCell(row, column) {
  const text = row.cells[column].textContent.trim();
  const [, sign, digits] = NUMBER.exec(text) ?? [];
  const size = digits === undefined ? NaN : parseFloat(digits.replace(/,/g, ""));
  return { text, number: sign && sign !== "+" ? -size : size };
}

function compareCells(a, b, isNumber) {
  return isNumber ? a.number - b.number : a.text.localeCompare(b.text);
}

function sortTable(table, column, isDescending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, ...readCell(row, column) }));
  const isNumber = rows.every((each) => !isNaN(each.number) || NOTHING.includes(each.text));
  const isLast = (each) => (isNumber ? isNaN(each.number) : each.text === "");
  rows.sort((a, b) => {
    if (isLast(a) || isLast(b)) return isLast(a) - isLast(b);
    return compareCells(a, b, isNumber) * (isDescending ? -1 : 1);
  });
  body.append(...rows.map((each) => each.row));
}

function makeSortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    if (head.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sortTable(table, column, order === "descending");
    });
  });
}

// Saving a figure: the page's colours are written into the drawing.

function resolveColour(value) {
  const probe = document.createElement("span");
  probe.style.color = value;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function copyDrawing(figure) {
  const drawing = figure.querySelector(".drawing svg").cloneNode(true);
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number);
  drawing.setAttribute("width", width);
  drawing.setAttribute("height", height);
  const colours = new Map();
  for (const element of drawing.querySelectorAll("[fill], [stroke]")) {
    for (const name of ["fill", "stroke"]) {
      const value = element.getAttribute(name);
      if (!value || !(value.startsWith("var(") || value === "currentColor")) continue;
      const named = value === "currentColor" ? "var(--ink)" : value;
      if (!colours.has(named)) colours.set(named, resolveColour(named));
      element.setAttribute(name, colours.get(named));
    }
  }
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  paper.setAttribute("width", width);
  paper.setAttribute("height", height);
  paper.setAttribute("fill", resolveColour("var(--paper)"));
  drawing.prepend(paper);
  return { text: new XMLSerializer().serializeToString(drawing), width, height };
}

function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveFigure(figure, kind) {
  const { text, width, height } = copyDrawing(figure);
  const svg = new Blob([text], { type: "image/svg+xml" });
  if (kind === "svg") {
    saveFile(svg, `${figure.id}.svg`);
    return;
  }
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((png) => saveFile(png, `${figure.id}.png`));
    URL.revokeObjectURL(image.src);
  };
  image.src = URL.createObjectURL(svg);
}

// Hovering: the nearest point of a drawing within a few pixels says what it is.

const REACH = 8;
const hover = document.getElementById("hover");

function findNearest(points, x, y, reach) {
  let nearest = null;
  let best = reach * reach;
  for (const point of points) {
    const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
    if (distance < best) { best = distance; nearest = point; }
  }
  return nearest;
}

function startHover(drawing) {
  const { points } = JSON.parse(document.getElementById(drawing.dataset.points).textContent);
  const svg = drawing.querySelector("svg");
  drawing.addEventListener("pointermove", (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const scale = svg.viewBox.baseVal.width / svg.getBoundingClientRect().width;
    const point = findNearest(points, place.x, place.y, REACH * scale);
    hover.hidden = !point;
    if (!point) return;
    hover.textContent = point[2];
    const left = Math.min(event.pageX + 14, scrollX + root.clientWidth - hover.offsetWidth - 8);
    hover.style.left = `${Math.max(left, 8)}px`;
    hover.style.top = `${event.pageY + 16}px`;
  });
  drawing.addEventListener("pointerleave", () => { hover.hidden = true; });
}

// Finding a row: every row of the run by its id, with the reason that it was kept or dropped for,
// and by its text where this page shows one.

const MAX_FOUND = 20;
const MAX_SHOWN_TEXT = 160;

function formatValue(value, isScore) {
  if (typeof value !== "number") return value;
  const digits = isScore ? 2 : 0;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function tellReason(data, place) {
  const values = data.values[place] || [];
  return data.sentences[data.reason[place]].replace(/\{(\d)(:\.2f)?\}/g, (mark, number, digits) =>
    number < values.length ? formatValue(values[number], digits) : mark);
}

/** Where in the list of rows -> the text that this page shows of it somewhere. */
function collectTexts(data, places) {
  const texts = new Map();
  // The dots of the map have the beginnings of instructions.
  const map = document.getElementById("cluster-map-points");
  const points = map ? JSON.parse(map.textContent).points : [];
  data.drawn.forEach((place, number) => texts.set(place, points[number][2]));
  for (const element of document.querySelectorAll("[data-row]")) {
    const place = places.get(element.dataset.row.toLowerCase());
    if (place === undefined) continue;
    const shown = Array.from(element.querySelectorAll("pre"), (part) => part.textContent);
    texts.set(place, [...new Set([texts.get(place), ...shown])].filter(Boolean).join(" "));
  }
  return texts;
}

function showRow(data, texts, place) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = `${data.files[data.file[place]]}:${data.row[place]}`;
  const reason = document.createElement("span");
  reason.className = "text";
  reason.textContent = ` ${tellReason(data, place)}.`;
  const more = document.createElement("span");
  more.className = "muted small";
  const parts = [];
  if (data.cluster[place] !== null) parts.push(`cluster ${data.cluster[place]}`);
  if (data.score[place] !== null) parts.push(`score ${data.score[place].toFixed(1)}`);
  if (parts.length) more.textContent = ` (${parts.join(", ")})`;
  item.append(name, reason, more);
  if (texts.has(place)) {
    const text = document.createElement("p");
    text.className = "muted small text";
    const whole = texts.get(place);
    text.textContent = whole.length > MAX_SHOWN_TEXT ? `${whole.slice(0, MAX_SHOWN_TEXT)} ...` : whole;
    item.append(text);
  }
  return item;
}

function countRows(number) {
  return `${number.toLocaleString("en-US")} ${number === 1 ? "row" : "rows"}`;
}

/** The rows that were meant, and those that only contain what was typed. */
function findRows(index, typed) {
  const whole = typed.toLowerCase();
  const words = whole.split(/\s+/);
  const exact = [];
  const others = [];
  index.forEach(({ id, text }, place) => {
    if (id === whole || id.endsWith(`:${whole}`)) exact.push(place);
    else if (words.every((word) => id.includes(word)) || (text && words.every((word) => text.includes(word)))) others.push(place);
  });
  return { exact, others };
}

function startFinder(finder) {
  const data = JSON.parse(document.getElementById(finder.dataset.rows).textContent);
  const ids = data.row.map((row, place) => `${data.files[data.file[place]]}:${row}`.toLowerCase());
  const texts = collectTexts(data, new Map(ids.map((id, place) => [id, place])));
  const index = ids.map((id, place) => ({ id, text: texts.get(place)?.toLowerCase() }));
  const input = document.getElementById("row-id");
  const count = document.getElementById("row-count");
  document.getElementById("row-texts").textContent = countRows(texts.size);
  const fillList = (part, places) => {
    const list = document.getElementById(`row-${part}`);
    list.replaceChildren(...places.map((place) => showRow(data, texts, place)));
    list.parentElement.hidden = !places.length;
  };
  const find = () => {
    const typed = input.value.trim();
    const { exact, others } = typed ? findRows(index, typed) : { exact: [], others: [] };
    const shown = [exact.slice(0, MAX_FOUND), others.slice(0, MAX_FOUND)];
    fillList("exact", shown[0]);
    fillList("found", shown[1]);
    const nFound = exact.length + others.length;
    const nShown = shown[0].length + shown[1].length;
    let said = nFound > nShown ? `${countRows(nFound)} found, ${nShown} shown` : `${countRows(nFound)} found`;
    // A text that is not found may be that of a row whose text is not in the page.
    if (!nFound) said += `: no id has this, nor has any of the texts that are in this page (of ${countRows(texts.size)})`;
    count.textContent = typed ? said : "";
  };
  input.addEventListener("input", find);
  finder.hidden = false;
}

async function copyText(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // A file opened from disk may not write to the clipboard: select it instead.
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = label; }, 3000);
}

// A link into a closed part opens it, and the page goes to where its target is by then.

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  target.scrollIntoView();
}

startThemeSwitch();
document.querySelectorAll(".finder").forEach(startFinder);
addEventListener("hashchange", openTarget);
document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("[data-points]").forEach(startHover);
document.querySelectorAll(".tools").forEach((tools) => {
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const { download, copy } = event.target.dataset;
    if (download) saveFigure(tools.closest("figure"), download);
    if (copy) copyText(event.target);
  });
});
// Last, as all of the above makes the page longer.
openTarget();
