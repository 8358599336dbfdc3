// Figures in the colours of the page, light or dark.
const DARK = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => DARK.matches && getComputedStyle(document.documentElement).colorScheme.includes("dark");

const ink = () => getComputedStyle(document.body).color;
// what is too dark on a dark ground
const inkOf = (color) => ({ "#222222": ink(), "#0072B2": isDark() ? "#56B4E9" : color })[color] ?? color;
const grid = () => (isDark() ? "#3a3a3a" : "#e3e3e3");

// a layout without a white ground, and curves in colours that show on it
function inked({ data, layout }) {
  const axes = Object.keys(layout).filter((key) => /^[xy]axis/.test(key));
  const themed = (trace) => {
    const found = structuredClone(trace);
    for (const part of ["line", "marker"]) if (found[part]?.color) found[part].color = inkOf(found[part].color);
    if (found.fillcolor) found.fillcolor = inkOf(found.fillcolor);
    return found;
  };
  const named = ({ font, ...rest }) => ({ ...rest, font: { ...font, color: inkOf(font?.color ?? ink()) } });
  const lined = ({ line, ...rest }) => ({ ...rest, line: { ...line, color: inkOf(line?.color) } });
  return [data.map(themed), {
    ...layout,
    annotations: layout.annotations?.map(named),
    shapes: layout.shapes?.map(lined),
    ...Object.fromEntries(axes.map((key) => [key, { ...layout[key], gridcolor: grid(), zerolinecolor: grid() }])),
    font: { ...layout.font, color: ink() },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#8a8a8a", activecolor: ink() },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  }];
}
