"use strict";
(() => {
  const source = document.getElementById("particles-data");
  addEventListener("beforeprint", () => document.querySelectorAll("details.field").forEach((part) => (part.open = true)));
  if (!source) return;
  const { columns, rows } = JSON.parse(source.textContent);
  const table = document.getElementById("particles-table");
  const filter = document.getElementById("particles-filter");
  const shown = document.getElementById("particles-shown");
  const body = table.tBodies[0];
  let order = { column: -1, down: false };

  const text = (value, column) => {
    if (value === null) return "–";
    if (typeof value === "boolean") return value ? "yes" : "";
    return typeof value === "number" ? value.toFixed(column.digits) : value;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null); // unknown values last, either way
    const sign = order.down ? -1 : 1;
    return sign * (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  };
  const draw = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = rows.filter((row) => {
      const line = row.map((value, i) => text(value, columns[i])).join(" ").toLowerCase();
      return words.every((word) => line.includes(word));
    });
    if (order.column >= 0) kept.sort((a, b) => compare(a[order.column], b[order.column]));
    body.replaceChildren(...kept.map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, i) => {
        const cell = line.insertCell();
        cell.textContent = text(value, columns[i]);
        if (columns[i].text) cell.className = "text";
      });
      return line;
    }));
    shown.textContent = `${kept.length} of ${rows.length} rows`;
  };
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      order = { column, down: order.column === column ? !order.down : !columns[column].text };
      table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      draw();
    });
  });
  filter.addEventListener("input", draw);
  draw();
})();
