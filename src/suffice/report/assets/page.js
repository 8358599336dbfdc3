// What a page can do where scripts run: its theme, copies of its answer, tables and figures, tables in another order.
const ROOT = document.documentElement;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (ROOT.dataset.theme ?? (DARK.matches ? "dark" : "light")) === "dark";

document.getElementById("theme").addEventListener("click", () => {
  ROOT.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("suffice-theme", ROOT.dataset.theme); } catch {}
  dispatchEvent(new Event("themechange"));
});
DARK.addEventListener("change", () => dispatchEvent(new Event("themechange")));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

async function copyText(text) {
  try { return await navigator.clipboard.writeText(text); } catch {}
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// a button that says for a moment that it has done its work
function button(words, done, work) {
  const found = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  found.addEventListener("click", async () => {
    await work();
    found.textContent = done;
    setTimeout(() => { found.textContent = words; }, 1500);
  });
  return found;
}

function tools(...buttons) {
  const found = document.createElement("div");
  found.className = "tools";
  found.append(...buttons);
  return found;
}

const words = (selector) => [...document.querySelectorAll(selector)].map((part) => part.textContent.trim());
const copyAnswer = document.getElementById("copy-answer");
copyAnswer.addEventListener("click", async () => {
  const steps = words("#steps li").map((step, row) => `${row + 1}. ${step}`);
  await copyText([...words(".answer > *"), ...steps].join("\n"));
  copyAnswer.textContent = "Copied";
  setTimeout(() => { copyAnswer.textContent = "Copy the answer"; }, 1500);
});

const cellsOf = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
const quoted = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const csv = (rows) => rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
function markdown([head, ...rows]) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n") + "\n";
}

// numbers by their value, 1,000 and 3.5% too, and all else as words
const valueOf = (cell) => parseFloat(cell.replaceAll(",", ""));
function sortBy(table, column, head) {
  const down = head.getAttribute("aria-sort") !== "descending";
  const body = table.tBodies[0], rows = [...body.rows];
  const cell = (row) => row.cells[column].textContent.trim();
  const order = (one, other) => {
    const [a, b] = [valueOf(cell(one)), valueOf(cell(other))];
    return isNaN(a) || isNaN(b) ? cell(one).localeCompare(cell(other)) : a - b;
  };
  rows.sort((one, other) => (down ? -1 : 1) * order(one, other));
  table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  table.parentElement.append(tools(
    button("Copy as CSV", "Copied", () => copyText(csv(cellsOf(table)))),
    button("Copy as Markdown", "Copied", () => copyText(markdown(cellsOf(table)))),
  ));
  if (table.tBodies[0].rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const sort = Object.assign(document.createElement("button"), { type: "button", title: "Sort by this column" });
    sort.append(...head.childNodes);
    sort.addEventListener("click", () => sortBy(table, column, head));
    head.append(sort);
  });
}

// the figure as it is in a paper: in light colours on white
function paper(svg) {
  const size = svg.viewBox.baseVal, copy = svg.cloneNode(true);
  copy.setAttribute("width", size.width);
  copy.setAttribute("height", size.height);
  copy.setAttribute("style", "background: #fff; color: #222; font-family: Helvetica, Arial, sans-serif; stroke-linejoin: round");
  copy.querySelectorAll("text").forEach((text) => text.style.fill || (text.style.fill = "#222"));
  return new XMLSerializer().serializeToString(copy).replace(/var\(--f[0-9a-f]{6}, (#[0-9a-f]{6})\)/g, "$1").replaceAll("currentColor", "#222");
}

async function png(svg) {
  const image = new Image(), size = svg.viewBox.baseVal, scale = 2.5;
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(paper(svg));
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: scale * size.width, height: scale * size.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector(".figure.wide, .figure.maps"), name = figure.dataset.figure;
  if (svg === null) continue;
  figure.append(tools(
    button("Copy as PNG", "Copied", async () => {
      try {
        await navigator.clipboard.write([new ClipboardItem({ "image/png": png(svg) })]);
      } catch {
        download(await png(svg), `${name}.png`);
      }
    }),
    button("Copy as SVG", "Copied", () => copyText(paper(svg))),
  ));
}

// where a value lies in a drawing with logarithmic axes
function placed(svg, axis, value) {
  const { x, y, left, right, top, bottom } = JSON.parse(svg.dataset.axes);
  const [from, to] = axis === "x" ? x : y, [start, end] = axis === "x" ? [left, right] : [bottom, top];
  const share = Math.log(value / from) / Math.log(to / from);
  return start + Math.min(1, Math.max(0, share)) * (end - start);
}
