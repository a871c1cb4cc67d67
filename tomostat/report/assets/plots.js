// The linked plots.
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
const numeric = columns.filter((one) => !one.text && one.values.some((value) => typeof value === "number"));
const plots = [];
let drawnIn = null; // the plot in which the selection was drawn

function axisOf(one) {
  if (one.text) return { type: "linear", tickvals: fieldNames.map((_, i) => i), ticktext: fieldNames };
  const values = one.values.filter((value) => value !== null);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return { type: low > 0 && high > 200 * low ? "log" : "linear", tickformat: one.name.startsWith("detachment") ? ".0%" : "" };
}
const fieldNames = column.field ? [...new Set(column.field.values)] : [];
const jitter = (row) => (((row * 0.618034) % 1) - 0.5) * 0.6; // the golden ratio spreads neighbours apart
const places = (one) => (one.text ? one.values.map((name, row) => fieldNames.indexOf(name) + jitter(row)) : one.values);

function layoutOf(plot) {
  const [ink, muted, grid, page] = ["--ink", "--muted", "--grid", "--page"].map(tint);
  const axis = (one) => ({
    tickangle: one.text ? -35 : 0, ...axisOf(one), title: { text: titled(one), standoff: 8 }, gridcolor: grid, zeroline: false, linecolor: muted,
    tickcolor: muted, automargin: false, exponentformat: "power", // margins that adapt draw everything twice
  });
  return {
    xaxis: axis(plot.x), yaxis: axis(plot.y), dragmode: "select", hovermode: "closest", uirevision: `${plot.x.name} ${plot.y.name}`,
    margin: { l: 62, r: 12, t: 8, b: plot.x.text ? 74 : 48 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", height: 300,
    font: { color: ink, size: 12, family: getComputedStyle(document.body).fontFamily }, modebar: { color: muted, activecolor: ink, bgcolor: page },
    selections: state.selected && plot === drawnIn ? plot.box.layout.selections : [], // the box stays where it was drawn
    showlegend: plot === plots[0] && study.conditions.length > 1,
    legend: { x: 1, xanchor: "right", y: 0.9, bgcolor: "rgba(0,0,0,0)" }, // below the buttons, which would hide a condition
  };
}
function tracesOf(plot) {
  const x = places(plot.x), y = places(plot.y);
  return study.conditions.map(({ name, colour }, group) => {
    const rows = plot.rows[group];
    return {
      type: "scatter", mode: "markers", name, x: rows.map((row) => x[row]), y: rows.map((row) => y[row]), customdata: rows,
      text: rows.map(named), hovertemplate: "%{text}<br>%{xaxis.title.text}: %{x:.3~g}<br>%{yaxis.title.text}: %{y:.3~g}<extra></extra>",
      marker: { color: colour, symbol: SYMBOLS[group % SYMBOLS.length], size: 7, line: { width: 0.5, color: tint("--page") } },
      selectedpoints: state.selected ? rows.flatMap((row, i) => (state.selected.has(row) ? [i] : [])) : null,
      selected: { marker: { opacity: 0.95 } }, unselected: { marker: { opacity: 0.13 } }, opacity: 0.85,
    };
  });
}
// The ring around the particle that is shown: an element of its own, since a change of the plot draws all points again.
function ring(plot) {
  const { xaxis, yaxis } = plot.box._fullLayout, size = 8;
  const [x, y] = [places(plot.x)[state.shown], places(plot.y)[state.shown]];
  const [left, top] = [xaxis._offset + xaxis.c2p(x), yaxis._offset + yaxis.c2p(y)];
  const inside = (at, { _offset, _length }) => at >= _offset && at <= _offset + _length;
  plot.ring.hidden = x === null || y === null || x === undefined || !inside(left, xaxis) || !inside(top, yaxis);
  Object.assign(plot.ring.style, { left: `${left - size}px`, top: `${top - size}px` });
}
function draw(plot) {
  if (!plot.ready) return;
  Plotly.react(plot.box, tracesOf(plot), layoutOf(plot), {
    displaylogo: false, responsive: true, displayModeBar: "hover", modeBarButtons: [["select2d", "lasso2d", "zoom2d", "pan2d", "resetScale2d"]],
  });
}
function picker(plot, axis) {
  const choices = [...(fieldNames.length ? [column.field] : []), ...numeric];
  const chooser = element("select", { "aria-label": `${axis} axis` });
  choices.forEach((one) => chooser.append(new Option(titled(one), one.name, false, one === plot[axis])));
  chooser.addEventListener("change", () => {
    plot[axis] = column[chooser.value];
    draw(plot);
  });
  return chooser;
}
// The next particle along an axis of a plot, by its place there.
function neighbour(plot, axis, step) {
  const where = places(plot[axis]), other = places(plot[axis === "x" ? "y" : "x"]);
  const rows = plot.rows.flat().filter((row) => where[row] !== null && other[row] !== null).sort((a, b) => where[a] - where[b] || a - b);
  return rows[Math.min(Math.max(rows.indexOf(state.shown) + step, 0), rows.length - 1)];
}
function addPlot(x, y) {
  const rows = study.conditions.map((_, group) => study.groups.flatMap((mine, row) => (mine === group ? [row] : [])));
  const box = element("div", { class: "plot", tabindex: 0, role: "application" });
  const plot = { x, y, box, rows, ready: false, ring: element("i", { class: "ring", hidden: "" }) };
  plots.push(plot);
  const head = element("div", { class: "axes" }, picker(plot, "y"), " against ", picker(plot, "x"));
  document.getElementById("plots").append(element("div", {}, head, element("div", { class: "frame" }, box, plot.ring)));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowDown: ["y", -1], ArrowUp: ["y", 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    show(neighbour(plot, ...step));
  });
  whenNear(box, () => soon(() => {
    plot.ready = true;
    box.setAttribute("aria-label", `Plot of particles: ${titled(plot.y)} against ${titled(plot.x)}. Arrow keys walk from particle to particle.`);
    draw(plot);
    ring(plot);
    box.on("plotly_afterplot", () => ring(plot));
    box.on("plotly_click", ({ points }) => show(points[0].customdata));
    box.on("plotly_selected", (event) => {
      if (!event) return;
      drawnIn = plot;
      select(event.points.map(({ customdata }) => customdata));
    });
    box.on("plotly_deselect", () => select(null));
  }));
}
const known = (name) => (name === "field" && fieldNames.length ? column.field : numeric.find((one) => one.name === name));
if (source && numeric.length) {
  (study.plots || []).forEach(([x, y]) => known(x) && known(y) && addPlot(known(x), known(y)));
  if (!plots.length) addPlot(numeric[0], numeric[Math.min(1, numeric.length - 1)]);
}
state.addEventListener("select", () => {
  plots.forEach((plot) => soon(() => draw(plot)));
});
state.addEventListener("show", () => {
  plots.filter((plot) => plot.ready).forEach(ring);
});
themed.addEventListener("change", () => plots.forEach(draw));
