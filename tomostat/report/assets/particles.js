// The particles: columns of the table, which particle is shown, which are selected.
const source = document.getElementById("particles-data");
const study = source ? JSON.parse(source.textContent) : { columns: [], values: [], groups: [], conditions: [] };
const columns = study.columns.map((column, i) => ({ ...column, values: study.values[i] }));
const column = Object.fromEntries(columns.map((one) => [one.name, one]));
const count = study.groups.length;
const pictures = source ? document.getElementById("particles-pictures").textContent.split("\n") : [];
const state = new EventTarget(); // fires "show" and "select"
state.shown = -1;
state.selected = null; // a Set of rows, or null where none are selected

function show(row) {
  if (!(row >= 0 && row < count)) return;
  state.shown = row;
  state.dispatchEvent(new Event("show"));
}
function select(rows) {
  state.selected = rows && rows.length ? new Set(rows) : null;
  state.dispatchEvent(new Event("select"));
}

// A value as text: at least two digits that are not leading zeros.
function written(value, { digits, name }) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return value;
  if (Number.isInteger(value) && digits === 0) return String(value);
  if (value !== 0 && Math.abs(value) < 10 ** (1 - digits)) return value.toPrecision(2);
  return value.toFixed(digits);
}
const titled = ({ heading, unit }) => (unit ? `${heading} (${unit})` : heading);
const named = (row) => [study.conditions[study.groups[row]].name, column.field?.values[row], `label ${column.label?.values[row]}`]
  .filter(Boolean).join(" · ");

// Colours of a scale: from 0 to its top.
function scaled(name, share) {
  const tints = study.scales[name].colours;
  return tints[Math.round(Math.min(Math.max(share, 0), 1) * (tints.length - 1))];
}
function scaleBar(name) {
  const { top, colours, title } = study.scales[name];
  const bar = element("span", { class: "bar", style: `background: linear-gradient(90deg, ${colours.join()})` });
  return element("span", { class: "scale" }, `${title} 0 `, bar, ` ${top}`);
}
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
async function decoded(text) {
  const image = new Image();
  image.src = `data:image/webp;base64,${text}`;
  await image.decode();
  return image;
}
// Pixels of an image, (rows, columns) of red, green, blue and opacity.
function pixels(image) {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight); // of a canvas of its own: never drawn
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
