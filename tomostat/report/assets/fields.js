// Fields of view, slice by slice: grey values with phases, particles and maps; a click shows a particle.
const browser = document.getElementById("browser");
const fields = browser ? JSON.parse(document.getElementById("fields-data").textContent) : [];
const slices = browser ? document.getElementById("fields-slices").textContent.split("\n\n").map((lines) => lines.split("\n")) : [];
const UNKNOWN_STEP = 255;
const browsed = { field: 0, slice: 0, layer: "detachment", outlines: true, clicked: false, ticket: 0, data: null };

// The slice that is shown, decoded.
async function load() {
  const ticket = ++browsed.ticket;
  const [grey, labels, maps] = await Promise.all(slices[browsed.field][browsed.slice].split(",").map(decoded));
  if (ticket !== browsed.ticket) return;
  browsed.data = { grey: pixels(grey), labels: pixels(labels).data, maps: pixels(maps).data };
  paint();
}
const PHASE_CODES = 8; // the third byte of a label: phase + PHASE_CODES * high bits of the row
const phaseAt = (i) => browsed.data.labels[4 * i + 2] % PHASE_CODES;
const rowAt = (i) => {
  const { labels } = browsed.data, at = 4 * i;
  return labels[at] + 256 * labels[at + 1] + 65536 * Math.floor(labels[at + 2] / PHASE_CODES) - 1;
};
const COLOURS = {
  none: () => null,
  phases: (i) => [...rgb(study.phases[phaseAt(i)].colour), 150],
  detachment: (i) => {
    const value = column.detachment?.values[rowAt(i)];
    return value === null || value === undefined ? null : [...rgb(scaled("detachment", value)), 110];
  },
  resistance: (i) => mapped("resistance", browsed.data.maps[4 * i]),
  contact: (i) => mapped("contact", browsed.data.maps[4 * i + 1]),
};
const mapped = (name, step) => (step === UNKNOWN_STEP ? null : [...rgb(scaled(name, step / 254)), 255]);

function paint() {
  if (!browsed.data) return;
  const { grey } = browsed.data, { width, height } = grey;
  const scale = Math.max(1, Math.round(1000 / width));
  const image = new ImageData(width * scale, height * scale);
  const colourOf = COLOURS[browsed.layer];
  const tints = Array.from({ length: width * height }, (_, i) => colourOf(i));
  for (let y = 0, at = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++, at += 4) {
      const i = Math.floor(y / scale) * width + Math.floor(x / scale);
      const over = tints[i], share = over ? over[3] / 255 : 0, base = grey.data[4 * i] * (1 - share);
      for (let c = 0; c < 3; c++) image.data[at + c] = base + (over ? over[c] * share : 0);
      image.data[at + 3] = 255;
      if (browsed.outlines || rowAt(i) === state.shown) outline(image, at, i, x, y, width, scale);
    }
  }
  browsed.canvas.width = width * scale;
  browsed.canvas.height = height * scale;
  browsed.canvas.getContext("2d").putImageData(image, 0, 0);
  const { name, places, pixel } = fields[browsed.field];
  browsed.place.textContent = `${name}, z = ${places[browsed.slice]} µm, ${(width * pixel[1]).toFixed(0)} × ${(height * pixel[0]).toFixed(0)} µm`;
  browsed.canvas.setAttribute("aria-label", `Slice of ${browsed.place.textContent}`);
  browsed.legend.replaceChildren(...(study.scales[browsed.layer] ? [scaleBar(browsed.layer)] : browsed.layer === "phases" ? phaseKeys() : []));
}
const phaseKeys = () => study.phases.map(({ name, colour }) => element("span", { class: "key", style: `--tint: ${colour}` }, name));

// A pixel of an outline: particles of the selection are white, the one that is shown is thick.
function outline(image, at, i, x, y, width, scale) {
  const row = rowAt(i), own = row === state.shown, thick = own ? Math.max(2, scale) : 1;
  if (row < 0 || (!own && state.selected && !state.selected.has(row))) return;
  const left = x % scale < thick && rowAt(i - 1) !== row, right = x % scale >= scale - thick && rowAt(i + 1) !== row;
  const up = y % scale < thick && rowAt(i - width) !== row, down = y % scale >= scale - thick && rowAt(i + width) !== row;
  if (left || right || up || down) image.data.set(own ? [255, 235, 59, 255] : [255, 255, 255, 255], at);
}
if (browser && fields.length) {
  const choice = (options, name, change) => {
    const chooser = element("select", { "aria-label": name }, ...options.map(([text, value]) => new Option(text, value)));
    chooser.addEventListener("change", () => change(chooser.value));
    return chooser;
  };
  const slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Slice" });
  const to = (field, slice) => {
    Object.assign(browsed, { field, slice });
    slider.max = fields[field].places.length - 1;
    slider.value = slice;
    chooser.value = field;
    return load();
  };
  const middle = (field) => Math.floor(fields[field].places.length / 2);
  const chooser = choice(fields.map((one, i) => [[one.condition, one.name].filter(Boolean).join(" · "), i]), "Field", (field) => to(Number(field), middle(field)));
  const layers = choice([["degree of detachment", "detachment"], ["phases", "phases"], ["contact", "contact"], ["local resistance", "resistance"], ["grey values only", "none"]],
    "Layer", (layer) => {
      browsed.layer = layer;
      paint();
    });
  const lines = element("input", { type: "checkbox", checked: "" });
  browsed.canvas = element("canvas", { role: "img", class: "slice" });
  browsed.place = element("span", { class: "small", "aria-live": "polite" });
  browsed.legend = element("span", { class: "small keys" });
  browser.append(
    element("div", { class: "axes" }, chooser, layers, element("label", {}, lines, " outlines"), browsed.legend),
    element("div", { class: "axes" }, slider, browsed.place), browsed.canvas,
  );
  slider.addEventListener("input", () => to(browsed.field, Number(slider.value)));
  lines.addEventListener("change", () => {
    browsed.outlines = lines.checked;
    paint();
  });
  browsed.canvas.addEventListener("click", (event) => {
    if (!browsed.data) return;
    const box = browsed.canvas.getBoundingClientRect(), { width, height } = browsed.data.grey;
    const x = Math.floor(((event.clientX - box.left) / box.width) * width), y = Math.floor(((event.clientY - box.top) / box.height) * height);
    browsed.clicked = true;
    show(rowAt(y * width + x));
    browsed.clicked = false;
  });
  let near = false;
  whenNear(browser, () => {
    near = true;
    to(0, middle(0));
  });
  state.addEventListener("select", paint);
  state.addEventListener("show", () => {
    const field = fields.findIndex((one) => one.name === column.field?.values[state.shown]);
    if (!near) return;
    if (browsed.clicked || field < 0) return paint();
    const away = fields[field].places.map((place) => Math.abs(place - study.heights[state.shown]));
    to(field, away.indexOf(Math.min(...away)));
  });
}
