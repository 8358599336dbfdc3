// The tolerance moves the sizes: the same formulas as Convergence.sufficient_size, from the spreads in result.json.
const RELATIVE = SETTLING[0].relative !== null;
const SCALE = RELATIVE ? 100 : 1;
const slider = document.getElementById("tolerance-slider"), field = document.getElementById("tolerance");
const drawings = document.querySelectorAll("#remaining .figure");
const rows = document.querySelector("#uses").tBodies[0].rows;
document.getElementById("unit").textContent = RELATIVE ? "% of the mean loss" : "in units of the loss, since a relative tolerance has no meaning here";

function smallest(criterion, variance, tolerance) {
  const least = variance / tolerance ** 2;
  if (criterion === "remaining") return Math.max(1, Math.ceil(least));
  return Math.max(1, Math.ceil((Math.sqrt(4 * least + 1) - 1) / 2));
}

function sizesAt(tolerance) {
  return SETTLING.map(({ criterion, relative, absolute, least }) => {
    const spread = RELATIVE ? relative : absolute;
    if (spread === null) return null;
    const sizes = ["value", "low", "high"].map((end) => smallest(criterion, spread[end], tolerance));
    return sizes[0] < least ? null : sizes;
  });
}

const counted = (number) => (number < 1e9 ? number.toLocaleString("en") : number.toExponential(2));

function move(svg, axis, value, label) {
  const mark = svg.querySelector(`.mark[data-axis="${axis}"]`);
  if (mark === null) return;
  mark.setAttribute("transform", `translate(${axis === "x" ? `${placed(svg, "x", value)} 0` : `0 ${placed(svg, "y", value)}`})`);
  mark.querySelector("text").textContent = label;
}

function show(tolerance) {
  const found = sizesAt(tolerance);
  found.forEach((ends, row) => {
    const cells = ends === null ? ["cannot tell", "not known"] : [counted(ends[0]), `${counted(ends[1])} to ${counted(ends[2])}`];
    // the rows may stand in another order
    const at = [...rows].find((other) => other.cells[3].textContent === SETTLING[row].criterion);
    cells.forEach((cell, column) => { at.cells[column + 1].textContent = cell; });
  });
  const size = found[0]?.[0];
  document.getElementById("enough").textContent = size === undefined ? "" : `${counted(size)} samples`;
  for (const svg of drawings) {
    move(svg, "y", SCALE * tolerance, `tolerance ${+(SCALE * tolerance).toPrecision(3)}${RELATIVE ? "%" : ""}`);
    if (size !== undefined) move(svg, "x", size, `about ${counted(+size.toPrecision(2))}`);
  }
}

// relative tolerances go from 0.1% to 100%; absolute ones around the spread of the loss
const center = RELATIVE ? 1 : Math.sqrt(SETTLING[0].absolute?.value ?? 1) || 1;
function set(tolerance, moved) {
  if (!(tolerance > 0)) return;
  if (moved !== slider) slider.value = Math.log10(tolerance / center);
  if (moved !== field) field.value = +(SCALE * tolerance).toPrecision(3);
  if (moved !== null) show(tolerance);
}
slider.addEventListener("input", () => set(center * 10 ** slider.value, slider));
field.addEventListener("input", () => set(field.value / SCALE, field));
set(RELATIVE ? TOLERANCE : center / 10, null);
if (!RELATIVE) show(center / 10);
