// Draws the surface of the size that the slider is at, in the colours of the page.
const NUMBERS = new Intl.NumberFormat("en");
const NARROW = matchMedia("(max-width: 40rem)");
const OPTIONS = { responsive: true, displaylogo: false };
const SMALL = { size: 12 };
const QUIET = { responsive: true, displayModeBar: false };
const ink = () => getComputedStyle(document.body).color;
const grid = () => (isDark() ? "#3a3a3a" : "#e3e3e3");

// Plotly's code from its packed form
async function plotly() {
  const packed = Uint8Array.from(atob(document.getElementById("packed-plotly").textContent), (letter) => letter.charCodeAt(0));
  const script = document.createElement("script");
  script.textContent = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
}

// a number of 16 bits (IEEE 754)
function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  const size = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
  return bits >> 15 ? -size : size;
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

function surfaceOf({ x, y, sizes, last, deltas, scale, labels, minima, low, high }) {
  const whole = new Float32Array(bytes(last)), changes = new Uint16Array(bytes(deltas));
  const count = x.length * y.length, found = Object.entries(minima);
  const slider = document.getElementById("surface-slider"), play = document.getElementById("surface-play");
  let timer = null;

  function losses(index) {
    const at = (cell) => whole[cell] + (index < sizes.length - 1 ? scale * half(changes[index * count + cell]) : 0);
    return y.map((_, row) => x.map((_, column) => Math.min(at(row * x.length + column), high)));
  }

  const ground = { backgroundcolor: "rgba(0,0,0,0)", showbackground: false };
  const axis = (title) => ({ title: { text: title, font: NARROW.matches ? SMALL : {} }, gridcolor: grid(), zerolinecolor: grid(), color: ink(), ...ground });
  const colors = { colorscale: "Viridis", cmin: low, cmax: high };

  function draw() {
    const z = losses(+slider.value);
    const hover = `%{x:.3f}, %{y:.3f}: loss %{z:.4g}<extra></extra>`;
    const away = NARROW.matches ? 1.25 : 1.08;
    const step = (high - low) / 16;
    const levels = { start: low + step, end: high - step / 2, size: step };
    Plotly.react("surface", [{
      type: "surface", x, y, z, ...colors, hovertemplate: hover,
      contours: { z: { show: true, ...levels, color: "rgba(255,255,255,0.5)", width: 1 } },
      colorbar: { title: { text: "mean loss", side: "right" }, thickness: 12, len: 0.7, tickfont: { color: ink() } },
    }], {
      margin: { l: 0, r: 0, t: 0, b: 0 }, height: NARROW.matches ? 340 : 460, font: { color: ink() }, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "k",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "#8a8a8a", activecolor: ink() },
      scene: {
        xaxis: axis("first, in ‖w*‖"), yaxis: axis("second, in ‖w*‖"), zaxis: { ...axis("mean loss"), range: [low, high + 0.02 * (high - low)] },
        aspectmode: "manual", aspectratio: { x: 1, y: 1, z: 0.75 }, camera: { eye: { x: 1.4 * away, y: -1.4 * away, z: 0.9 * away }, center: { x: -0.08, y: -0.08, z: -0.12 } },
      },
    }, OPTIONS);
    const flat = (title, values) => ({ title: { text: title, font: SMALL }, range: [values[0], values[values.length - 1]], constrain: "domain", gridcolor: grid(), zerolinecolor: grid() });
    Plotly.react("surface-contours", [
      { type: "contour", x, y, z, ...{ colorscale: "Viridis", zmin: low, zmax: high }, contours: levels, showscale: false, hovertemplate: hover,
        autocontour: false, line: { width: 0.7, color: "rgba(255,255,255,0.6)" } },
      { type: "scatter", x: [0, ...found.map(([, place]) => place[0])], y: [0, ...found.map(([, place]) => place[1])],
        mode: "markers+text", text: ["w*", ...found.map(([size]) => `w*, k = ${NUMBERS.format(size)}`)], textposition: "top center", hoverinfo: "skip",
        textfont: { color: "#fff" }, marker: { symbol: "cross", size: 8, color: "#fff" } },
    ], {
      margin: { l: 60, r: 10, t: 10, b: 50 }, height: 300, showlegend: false, font: { color: ink() }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: flat(`${labels[0]}, in ‖w*‖`, x), yaxis: { ...flat(`${labels[1]}, in ‖w*‖`, y), scaleanchor: "x" },
    }, QUIET);
    mark();
  }

  // what the slider changes; all else stays as it is, also where the reader looks from
  function move() {
    const z = losses(+slider.value);
    Plotly.restyle("surface", { z: [z] }, [0]);
    Plotly.restyle("surface-contours", { z: [z] }, [0]);
    mark();
  }

  function mark() {
    const size = sizes[+slider.value];
    document.getElementById("surface-k").textContent = `k = ${NUMBERS.format(size)} of ${NUMBERS.format(sizes[sizes.length - 1])} samples`;
    for (const svg of document.querySelectorAll("#surface_distance .figure")) {
      const { top, bottom } = JSON.parse(svg.dataset.axes), at = placed(svg, "x", size);
      const line = svg.querySelector(".now") ?? svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
      line.setAttribute("class", "now");
      line.setAttribute("d", `M ${at} ${bottom} V ${top}`);
      line.setAttribute("style", "fill: none; stroke: currentColor; stroke-dasharray: 2 3");
    }
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  slider.addEventListener("input", () => { stop(); move(); });
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (+slider.value === sizes.length - 1) slider.value = 0;
    play.textContent = "Stop";
    move();
    timer = setInterval(() => {
      slider.value = +slider.value + 1;
      move();
      if (+slider.value === sizes.length - 1) stop();
    }, 700);
  });
  return draw;
}

const drawn = (async () => {
  await new Promise((later) => setTimeout(later)); // the page is painted first
  await plotly();
  document.querySelector("#surface img").remove();
  const draw = surfaceOf(SURFACE);
  addEventListener("themechange", draw);
  NARROW.addEventListener("change", draw);
  draw();
})();
drawn.catch(() => ROOT.classList.add("without-figures"));
