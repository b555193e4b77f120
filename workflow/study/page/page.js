"use strict";
// --- Tables: sorted by a click on a heading; a third one gives the first order back --------------
const SUFFIXES = { k: 1e3, M: 1e6, B: 1e9 };
function sortValue(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim().replaceAll("−", "-").replaceAll(",", "");
  const number = text.match(/^[≤~ ]*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([kMB])?\b/);
  return number ? Number(number[1]) * (SUFFIXES[number[2]] ?? 1) : text;
}
function compare(a, b) {
  const [x, y] = [typeof a === "number", typeof b === "number"];
  if (x !== y) return x ? -1 : 1; // what is no number goes to the end
  return x ? a - b : a.localeCompare(b);
}
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) continue;
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const order = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort ?? "none"];
      for (const other of headings) other.removeAttribute("aria-sort");
      const sorted = [...rows];
      if (order !== "none") {
        heading.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        sorted.sort((a, b) => {
          const [x, y] = [sortValue(a.cells[column]), sortValue(b.cells[column])];
          return compare(x, y) * (typeof x === typeof y ? sign : 1);
        });
      }
      body.append(...sorted);
    });
  });
}

// --- Search: leaves out the rows, runs and sections without all of its words ----------------------
const search = document.getElementById("search");
const found = document.getElementById("found");
const rows = [...document.querySelectorAll("tbody tr")];
const parts = [...document.querySelectorAll(".searched")].reverse(); // the inner ones first
function applySearch() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (element) => {
    const text = element.textContent.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  let count = 0;
  for (const part of parts) {
    // A part's own name stands for all that is in it.
    const name = part.querySelector(":scope > summary, :scope > figcaption, :scope > h1, :scope > h2");
    const named = words.length === 0 || has(name);
    let shown = named || has(part);
    for (const row of rows.filter((row) => row.closest(".searched") === part)) {
      row.classList.toggle("left-out", !named && !has(row) && rowsMatch(row, has));
    }
    part.classList.toggle("left-out", !shown);
    if (shown && words.length) count += 1;
  }
  found.textContent = words.length ? `${count} found` : "";
}
// Rows are left out only where others of their table match.
function rowsMatch(row, has) {
  return [...row.parentElement.rows].some(has);
}
search.addEventListener("input", applySearch);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    applySearch();
  }
});

// --- Links to a run open it; on a narrow screen the contents are closed ---------------------------
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
if (matchMedia("(max-width: 60rem)").matches) document.getElementById("contents").open = false;
const closed = [];
addEventListener("beforeprint", () => {
  closed.push(...document.querySelectorAll("details:not([open])"));
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed.splice(0)) details.open = false;
});

// --- Learning curves, drawn when they come near the screen ----------------------------------------
const CURVES = JSON.parse(document.getElementById("curves").textContent);
// As in the light: the style sheet turns the colours round where it is dark, as those of the figures.
const [TEXT, LINE] = ["#1b1f24", "#d5dae0"];
const CONFIG = {
  background: null, font: "system-ui, 'DejaVu Sans', sans-serif", view: { stroke: null },
  axis: {
    labelColor: TEXT, titleColor: TEXT, gridColor: LINE, domainColor: LINE, tickColor: LINE,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400,
  },
  legend: { labelColor: TEXT, labelFontSize: 12, symbolStrokeWidth: 3, symbolSize: 200 },
};
async function draw(plot) {
  const spec = JSON.parse(plot.dataset.spec);
  const variants = new Set(spec.encoding.color.scale.domain);
  const values = CURVES[plot.dataset.dataset]
    .filter((curve) => variants.has(curve.variant))
    .flatMap(({ variant, seed, split, steps, nlls }) =>
      steps.map((step, i) => ({ variant, seed, split, step, nll: nlls[i] })));
  spec.datasets = { curves: values };
  await vegaEmbed(plot, spec, {
    config: CONFIG, renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false },
  });
}
const drawn = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !drawn.has(target)) {
      drawn.add(target);
      draw(target);
    }
  }
}, { rootMargin: "600px" });
for (const plot of document.querySelectorAll(".plot")) watcher.observe(plot);
