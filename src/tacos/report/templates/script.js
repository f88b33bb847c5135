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

startThemeSwitch();
document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("[data-points]").forEach(startHover);
document.querySelectorAll(".tools").forEach((tools) => {
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const kind = event.target.dataset.download;
    if (kind) saveFigure(tools.closest("figure"), kind);
  });
});
