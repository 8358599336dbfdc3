// The tolerance moves k*: the same formulas as Convergence.sufficient_size, from the spreads in result.json.
const COLORS = { remaining: "#0072B2", difference: "#D55E00" };
// the control is relative if the headline is, the axis of the figure if both criteria are
const RELATIVE = SETTLING[0].relative !== null;
const AXIS_FACTOR = SETTLING.every(({ relative }) => relative !== null) ? 100 : RELATIVE ? SETTLING[0].loss : 1;
const plots = Object.fromEntries(Object.keys(PLOTS).map((name) => [name, document.getElementById("plot-" + name)]));

function smallest(criterion, variance, tolerance) {
  const least = variance / tolerance ** 2;
  if (criterion === "remaining") return Math.max(1, Math.ceil(least));
  return Math.max(1, Math.ceil((Math.sqrt(4 * least + 1) - 1) / 2));
}

function answers(tolerance) {
  return SETTLING.map((settling) => {
    const spread = RELATIVE ? settling.relative : settling.absolute;
    if (spread === null) return { criterion: settling.criterion, size: null };
    const [size, low, high] = ["value", "low", "high"].map((end) => smallest(settling.criterion, spread[end], tolerance));
    return { criterion: settling.criterion, size, low, high };
  });
}

const counted = (number) => (number < 1e9 ? number.toLocaleString("en") : number.toExponential(2));

function show(tolerance) {
  const found = answers(tolerance);
  const had = ": you have " + counted(SAMPLES) + (HELD_OUT ? " and " + counted(HELD_OUT) + " set aside" : "");
  for (const { criterion, size, low, high } of found) {
    const cells = size === null
      ? ["–", "–", "cannot tell: see the answer above"]
      : [counted(size), counted(low) + " to " + counted(high), (size <= SAMPLES ? "reached" : "extrapolated") + had];
    ["size", "interval", "status"].forEach((name, column) => {
      document.getElementById(name + "-" + criterion).textContent = cells[column];
    });
  }
  const level = AXIS_FACTOR * tolerance;
  const drawn = found.filter(({ size }) => size !== null && size < 1e15);
  const line = (where, color) => ({ type: "line", line: { color, width: 1.5, dash: "dashdot" }, ...where });
  Plotly.relayout(plots.settling, {
    shapes: [
      line({ xref: "paper", x0: 0, x1: 1, y0: level, y1: level }, "#222"),
      ...drawn.map(({ criterion, size }) =>
        line({ yref: "paper", y0: 0, y1: 1, x0: size, x1: size }, COLORS[criterion])),
    ],
    annotations: [
      { xref: "paper", x: 0, xanchor: "left", y: Math.log10(level), yanchor: "bottom", showarrow: false, text: "tolerance" },
      ...drawn.map(({ criterion, size }) => ({
        x: Math.log10(size), xanchor: "right", y: 1, yref: "paper", yanchor: "top", showarrow: false, textangle: -90,
        text: "k* = " + counted(size), font: { color: COLORS[criterion] },
      })),
    ],
    "xaxis.range": [0, Math.log10(1.5 * Math.max(SAMPLES, ...drawn.map(({ size }) => size)))],
  });
}

const slider = document.getElementById("tolerance-slider");
const field = document.getElementById("tolerance");
const percent = RELATIVE ? 100 : 1;
document.getElementById("unit").textContent = RELATIVE ? "% of the mean loss at w*" : "in units of the loss, since a relative tolerance has no meaning here";

// relative tolerances go from 0.1% to 100%; absolute ones around the spread of the loss
const center = RELATIVE ? 1 : Math.sqrt(SETTLING[0].absolute?.value ?? 1) || 1;
function set(tolerance, moved) {
  if (!(tolerance > 0)) return;
  if (moved !== slider) slider.value = Math.log10(tolerance / center);
  if (moved !== field) field.value = +(percent * tolerance).toPrecision(3);
  show(tolerance);
}

const drawn = plotly.then(() => {
  for (const [name, plot] of Object.entries(PLOTS)) {
    Plotly.newPlot(plots[name], plot.data, plot.layout, { responsive: true, displayModeBar: false });
  }
  slider.addEventListener("input", () => set(center * 10 ** slider.value, slider));
  field.addEventListener("input", () => set(field.value / percent, field));
  set(RELATIVE ? TOLERANCE : center / 10, null);
});
