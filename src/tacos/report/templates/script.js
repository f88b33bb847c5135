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

// Sorting: a number sorts as one whatever is around it ("1,234", "58.1%").

function readCell(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/[,$%\s]/g, ""));
  return { text, number };
}

function sortTable(table, column, isDescending) {
  const body = table.tBodies[0];
  const isNumber = table.tHead.rows[0].cells[column].classList.contains("n");
  const rows = Array.from(body.rows, (row) => ({ row, ...readCell(row, column) }));
  rows.sort((a, b) => {
    if (!isNumber) return a.text.localeCompare(b.text);
    // What is no number comes last.
    if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number);
    return a.number - b.number;
  });
  if (isDescending) rows.reverse();
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

// Finding a row: every row of the run by its id, with the reason that it was kept or dropped for.

const MAX_FOUND = 20;

function formatValue(value) {
  if (typeof value !== "number") return value;
  const digits = Number.isInteger(value) ? 0 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function tellReason(data, place) {
  const values = data.values[place] || [];
  return data.sentences[data.reason[place]].replace(/\{(\d)\}/g, (mark, number) =>
    number < values.length ? formatValue(values[number]) : mark);
}

function showRow(data, place) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = `${data.files[data.file[place]]}:${data.row[place]}`;
  const text = document.createElement("span");
  text.className = "text";
  text.textContent = ` ${tellReason(data, place)}.`;
  const more = document.createElement("span");
  more.className = "muted small";
  const parts = [];
  if (data.cluster[place] !== null) parts.push(`cluster ${data.cluster[place]}`);
  if (data.score[place] !== null) parts.push(`score ${data.score[place]}`);
  if (parts.length) more.textContent = ` (${parts.join(", ")})`;
  item.append(name, text, more);
  return item;
}

function startFinder(finder) {
  const data = JSON.parse(document.getElementById(finder.dataset.rows).textContent);
  const ids = data.row.map((row, place) => `${data.files[data.file[place]]}:${row}`.toLowerCase());
  const input = document.getElementById("row-id");
  const count = document.getElementById("row-count");
  const list = document.getElementById("row-found");
  const find = () => {
    const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    if (!words.length) {
      count.textContent = "";
      return;
    }
    let found = 0;
    const shown = [];
    const exact = [];
    ids.forEach((id, place) => {
      if (!words.every((word) => id.includes(word))) return;
      found += 1;
      // A whole id, or a number by itself, comes before the ids that only contain it.
      if (id === words[0] || id.endsWith(`:${words[words.length - 1]}`)) exact.push(place);
      else if (shown.length < MAX_FOUND) shown.push(place);
    });
    const places = [...exact, ...shown].slice(0, MAX_FOUND);
    list.append(...places.map((place) => showRow(data, place)));
    const noun = found === 1 ? "row" : "rows";
    count.textContent = `${found.toLocaleString("en-US")} ${noun} found` +
      (found > places.length ? `, ${places.length} shown` : "");
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

// A link into a closed part opens it.

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
}

startThemeSwitch();
document.querySelectorAll(".finder").forEach(startFinder);
addEventListener("hashchange", openTarget);
openTarget();
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
