// The particle that is shown: three sections, its surface to turn, its row with definitions.
const panel = document.getElementById("particle");
const PHASE = { step: 8, pore: 0, outside: 4 };
const EDGE = { contact: 2, gap: 3, unknown: 4 };
const view = { by: "contact", gaps: true, ticket: 0 };
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

// A round length of at most a third of what is shown, with its share of it.
function roundLength(reach) {
  const length = [50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1].find((step) => step <= reach * 0.7) ?? 0.1;
  return { length, share: length / (2 * reach) };
}
async function drawSections(canvas, [reach, grey, codes], ticket) {
  const [shades, marks] = await Promise.all([decoded(grey), decoded(codes)]);
  if (ticket !== view.ticket) return; // another particle is shown meanwhile
  const size = shades.naturalHeight, scale = Math.max(2, Math.round(480 / size));
  canvas.width = 3 * size * scale;
  canvas.height = size * scale;
  const context = canvas.getContext("2d");
  context.drawImage(shades, 0, 0, canvas.width, canvas.height);
  const code = pixels(marks);
  const over = new ImageData(code.width, code.height);
  const edges = { [EDGE.contact]: rgb(study.tints.contact), [EDGE.gap]: rgb(study.tints.gap), [EDGE.unknown]: rgb(study.tints.unknown) };
  for (let i = 0; i < code.data.length; i += 4) {
    const value = code.data[i], edge = edges[value % PHASE.step], phase = Math.floor(value / PHASE.step);
    if (edge) over.data.set([...edge, 255], i);
    else if (phase === PHASE.outside) over.data.set([128, 136, 144, 255], i);
    else if (view.gaps && value % PHASE.step === 0 && phase === PHASE.pore) over.data.set([110, 150, 190, 105], i);
  }
  const layer = new OffscreenCanvas(code.width, code.height);
  layer.getContext("2d").putImageData(over, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  const { length, share } = roundLength(Number(reach)), bar = share * size * scale;
  context.font = `${Math.round(canvas.height / 11)}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.shadowColor = "black";
  context.shadowBlur = 6;
  context.fillStyle = "white";
  ["z", "y", "x"].forEach((axis, i) => context.fillText(`across ${axis}`, (i + 0.5) * canvas.height, canvas.height * 0.02));
  context.textBaseline = "bottom";
  context.fillRect(canvas.height * 0.95 - bar, canvas.height * 0.94, bar, canvas.height / 70);
  context.fillText(`${length} µm`, canvas.height * 0.95 - bar / 2, canvas.height * 0.93);
}
function meshOf(buffer) {
  const [corners, triangles] = new Uint16Array(buffer, 0, 2);
  let at = 4;
  const bytes = (length) => new Uint8Array(buffer, (at += length) - length, length);
  const [x, y, z, contact, resistance] = Array.from({ length: 5 }, () => bytes(corners));
  const numbers = new Uint16Array(buffer.slice(at));
  const faces = [0, 1, 2].map((part) => {
    let sum = 0;
    return Array.from(numbers.subarray(part * triangles, (part + 1) * triangles), (step) => (sum = (sum + step) & 0xffff));
  });
  return { x, y, z, values: { contact, resistance }, faces };
}
function drawMesh(box, mesh) {
  const tints = Array.from(mesh.values[view.by], (step) => (step === 255 ? study.tints.unknown : scaled(view.by, step / 254)));
  const hidden = { visible: false, range: [0, 255] };
  const [i, j, k] = mesh.faces;
  const up = (values) => Array.from(values, (value) => 255 - value); // rows run down, so that z and y are turned over
  Plotly.react(box, [{
    type: "mesh3d", x: Array.from(mesh.x), y: up(mesh.y), z: up(mesh.z), i, j, k, vertexcolor: tints, hoverinfo: "skip", flatshading: false,
    lighting: { ambient: 0.62, diffuse: 0.55, specular: 0.12, roughness: 0.7, fresnel: 0.05 }, lightposition: { x: 800, y: -1500, z: 2000 },
  }], {
    height: 290, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "camera",
    scene: { xaxis: hidden, yaxis: hidden, zaxis: hidden, aspectmode: "manual", aspectratio: { x: 1.7, y: 1.7, z: 1.7 }, camera: { eye: turned.eye, up: { x: 0, y: 0, z: 1 }, projection: { type: "orthographic" } } },
  }, { displayModeBar: false, responsive: true, scrollZoom: false });
}
const turned = { eye: { x: 0.9, y: -1.1, z: 0.75 } };
function turn(box, around, over) {
  const { x, y, z } = box._fullLayout.scene.camera.eye;
  const far = Math.hypot(x, y, z), angle = Math.atan2(y, x) + around;
  const height = Math.min(Math.max(Math.asin(z / far) + over, -1.5), 1.5);
  turned.eye = { x: far * Math.cos(height) * Math.cos(angle), y: far * Math.cos(height) * Math.sin(angle), z: far * Math.sin(height) };
  Plotly.relayout(box, { "scene.camera.eye": turned.eye });
}
function rowList(row) {
  const list = (chosen) => element("dl", {}, ...chosen.flatMap((one) => [
    element("dt", { title: one.definition }, one.heading),
    element("dd", {}, element("b", {}, written(one.values[row], one)), one.unit ? ` ${one.unit}` : "",
      element("small", {}, one.definition || one.meaning)),
  ]));
  const others = element("details", {}, element("summary", {}, "All other columns"), list(columns.filter((one) => !one.listed)));
  return [list(columns.filter((one) => one.listed)), others];
}
const canvas = element("canvas", { role: "img", class: "sections" });
const solid = element("div", { class: "solid", tabindex: 0, role: "application", "aria-label": "Surface of the particle. Arrow keys turn it." });
const heading = element("h3"), numbers = element("div", { class: "row" }), legend = element("p", { class: "small" });
const missing = element("p", { class: "small" });

async function drawParticle() {
  const row = state.shown, ticket = ++view.ticket, parts = (pictures[row] || "").split(",");
  heading.textContent = named(row);
  numbers.replaceChildren(...rowList(row));
  canvas.hidden = !parts[1];
  solid.hidden = !parts[3];
  missing.textContent = parts[1] ? (parts[3] ? "" : "Too small for a surface.") : "No pictures: the page holds those of a part of the particles.";
  canvas.setAttribute("aria-label", `Three sections through ${named(row)}`);
  legend.replaceChildren(...(parts[3] ? [scaleBar(view.by)] : []));
  if (parts[1]) await drawSections(canvas, parts, ticket);
  if (!parts[3]) return;
  const mesh = meshOf(await inflated(parts[3]));
  soon(() => ticket === view.ticket && drawMesh(solid, mesh));
}
if (panel && count) {
  const step = (by, text, name) => {
    const button = element("button", { type: "button", "aria-label": name }, text);
    button.addEventListener("click", () => show((state.shown + by + count) % count));
    return button;
  };
  const by = element("select", { "aria-label": "Colour of the surface" }, new Option("contact", "contact"), new Option("local resistance", "resistance"));
  by.addEventListener("change", () => {
    view.by = by.value;
    drawParticle();
  });
  const gaps = element("input", { type: "checkbox", checked: "" });
  gaps.addEventListener("change", () => {
    view.gaps = gaps.checked;
    drawParticle();
  });
  const key = (colour, text) => element("span", { class: "key", style: `--tint: ${colour}` }, text);
  panel.append(
    element("div", { class: "axes" }, step(-1, "‹", "Previous particle"), step(1, "›", "Next particle"), heading), canvas,
    element("p", { class: "small keys" }, key(study.tints.contact, "contact"), key(study.tints.gap, "gap"), key(study.tints.unknown, "unknown"),
      element("label", {}, gaps, " pores tinted")),
    missing, solid, element("div", { class: "axes" }, "Surface by ", by, legend), numbers,
  );
  solid.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[event.key];
    if (!by || !solid._fullLayout) return;
    event.preventDefault();
    turn(solid, ...by);
  });
  state.addEventListener("show", drawParticle);
  const largest = column.volume ? column.volume.values.reduce((best, value, row, all) => (value > (all[best] ?? -1) && pictures[row] ? row : best), 0) : 0;
  whenNear(panel, () => state.shown < 0 && show(largest));
}
