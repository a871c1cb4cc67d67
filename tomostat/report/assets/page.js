// Light and dark, and printing.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = document.getElementById("theme");
const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
const themed = new EventTarget(); // fires "change" when the colours of the page change

// A colour of the page as it is now, such as "rgb(29, 41, 53)".
function tint(name) {
  theme.style.outlineColor = `var(${name})`;
  const found = getComputedStyle(theme).outlineColor;
  theme.style.outlineColor = "";
  return found;
}

function applyTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  themed.dispatchEvent(new Event("change"));
}
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  applyTheme();
});
dark.addEventListener("change", applyTheme);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
theme.textContent = isDark() ? "Light" : "Dark";

// An element with its attributes and children.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
}

// Runs what takes long piece by piece, one for each frame, so that the page is drawn and answers between them.
const pieces = [];
function soon(run) {
  if (pieces.push(run) === 1) nextPiece();
}
function nextPiece() {
  requestAnimationFrame(() => setTimeout(() => {
    try {
      pieces[0]();
    } finally {
      pieces.shift();
      if (pieces.length) nextPiece();
    }
  }));
}

// Runs once, when an element comes near the screen.
function whenNear(target, run) {
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    run();
  }, { rootMargin: "400px" });
  watch.observe(target);
}
