// The particle table: sorted, filtered, reduced to the selection.
const table = document.getElementById("table");
const shown = columns.filter((one) => one.listed);
const order = { column: null, down: false };
let limit = study.rows || 0;

// Unknown values come last, either way.
function compare(a, b) {
  const one = order.column.values[a], other = order.column.values[b];
  if (one === null || other === null) return (one === null) - (other === null);
  const sign = order.down ? -1 : 1;
  return sign * (typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : one - other);
}
function filtered() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = Array.from({ length: count }, (_, row) => row);
  if (!words.length) return rows;
  return rows.filter((row) => {
    const line = shown.map((one) => written(one.values[row], one)).join(" ").toLowerCase();
    return words.every((word) => line.includes(word));
  });
}
function listed() {
  const rows = filtered().filter((row) => !state.selected || state.selected.has(row));
  return order.column ? rows.sort(compare) : rows;
}
function drawTable() {
  const rows = listed();
  table.tBodies[0].replaceChildren(...rows.slice(0, limit).map((row) => {
    const line = element("tr", { "data-row": row, tabindex: row === state.shown ? 0 : -1 });
    if (row === state.shown) line.setAttribute("aria-current", "true");
    shown.forEach((one) => {
      const cell = line.insertCell();
      const value = one.values[row];
      cell.textContent = value === false ? "" : written(value, one);
      if (one.text) cell.className = "text";
    });
    return line;
  }));
  const first = table.tBodies[0].rows[0];
  if (first && !table.querySelector("tr[tabindex='0']")) first.tabIndex = 0;
  document.getElementById("listed").textContent = `${rows.length} of ${count} particles`;
  document.getElementById("more").hidden = rows.length <= limit;
  document.getElementById("unselect").hidden = !state.selected;
  document.getElementById("selected").textContent = state.selected ? summary([...state.selected]) : "";
}
// What is selected, in a line.
function summary(rows) {
  const means = ["detachment", "equivalent_diameter", "resistance_mean"].filter((name) => column[name]).map((name) => {
    const values = rows.map((row) => column[name].values[row]).filter((value) => value !== null);
    if (!values.length) return "";
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return `mean ${column[name].heading} ${written(mean, column[name])}${column[name].unit ? ` ${column[name].unit}` : ""}`;
  });
  return [`${rows.length} of ${count} particles selected`, ...means.filter(Boolean)].join(" · ");
}
function focusRow(row) {
  table.querySelector(`tr[data-row="${row}"]`)?.focus({ preventScroll: false });
}
if (table) {
  table.tHead.append(element("tr", {}, ...shown.map((one) => {
    const button = element("button", { type: "button", title: one.definition }, one.heading, element("small", {}, one.unit));
    const head = element("th", { scope: "col", class: one.text ? "text" : "" }, button);
    button.addEventListener("click", () => {
      Object.assign(order, { down: order.column === one ? !order.down : !one.text, column: one });
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      drawTable();
    });
    return head;
  })));
  const body = table.tBodies[0];
  body.addEventListener("click", (event) => event.target.closest("tr") && show(Number(event.target.closest("tr").dataset.row)));
  body.addEventListener("keydown", (event) => {
    const line = event.target.closest("tr");
    const next = { ArrowDown: line?.nextElementSibling, ArrowUp: line?.previousElementSibling, Enter: line }[event.key];
    if (!next) return;
    event.preventDefault();
    show(Number(next.dataset.row));
    focusRow(state.shown);
  });
  document.getElementById("filter").addEventListener("input", drawTable);
  document.getElementById("select-filtered").addEventListener("click", () => select(filtered()));
  document.getElementById("unselect").addEventListener("click", () => select(null));
  document.getElementById("more").addEventListener("click", () => {
    limit *= 4;
    drawTable();
  });
  document.querySelectorAll(".flag").forEach((button) => button.addEventListener("click", () => {
    select(column[button.dataset.flag].values.flatMap((flag, row) => (flag ? [row] : [])));
    document.getElementById("explore").scrollIntoView();
  }));
  addEventListener("keydown", (event) => event.key === "Escape" && state.selected && select(null));
  state.addEventListener("select", drawTable);
  state.addEventListener("show", () => {
    table.querySelectorAll("tr[aria-current]").forEach((line) => {
      line.removeAttribute("aria-current");
      line.tabIndex = -1;
    });
    const line = table.querySelector(`tr[data-row="${state.shown}"]`);
    line?.setAttribute("aria-current", "true");
    if (line) line.tabIndex = 0;
  });
  drawTable();
}
