// What the page does when it is asked to: light or dark, sorting, searching, choosing a seed, blurring. Without it all is there to read:
// the texts of every seed, and blurred ones under the pointer.
(function () {
  "use strict";
  const get = (id) => document.getElementById(id);

  // light or dark: as the system says, until the reader says otherwise
  const theme = get("theme");
  const root = document.documentElement;
  root.classList.add("scripted");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  label();

  // on paper nothing can be opened
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    opened.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((details) => (details.open = false)));

  // blurred texts are hidden from screen readers, too
  const blurs = Array.from(document.querySelectorAll("button.blur"));
  const sections = blurs.map((blur) => blur.closest("section"));
  function blurring(on) {
    blurs.forEach((blur) => (blur.textContent = on ? "Show texts" : "Blur texts"));
    for (const section of sections) {
      section.classList.toggle("blurred", on);
      for (const text of section.querySelectorAll(".text")) {
        on ? text.setAttribute("aria-hidden", "true") : text.removeAttribute("aria-hidden");
      }
    }
  }
  blurs.forEach((blur) => blur.addEventListener("click", () => blurring(!sections[0].classList.contains("blurred"))));
  if (sections.length) blurring(sections[0].classList.contains("blurred"));

  const table = get("texts");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const search = get("search"), seed = get("seed"), count = get("count");

  function show() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const ofSeed = seed ? seed.value : "";
    let shown = 0, all = 0;
    for (const row of rows) {
      const counts = !ofSeed || row.dataset.seed === ofSeed;
      const found = counts && wanted.every((word) => words.get(row).includes(word));
      row.hidden = !found;
      all += counts;
      shown += found;
    }
    count.textContent = shown === all ? all + " shown" : shown + " of " + all + " shown";
    get("nothing").hidden = shown > 0;
  }
  search.addEventListener("input", show);
  if (seed) seed.addEventListener("change", show);

  // a row's value in a column; a row without one comes last either way
  const value = (row, column) => {
    const cell = row.cells[column].dataset.value;
    return cell === undefined ? NaN : Number(cell);
  };
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const ascends = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", ascends ? "ascending" : "descending");
      const sorted = rows.map((row, place) => ({ row, place, value: value(row, column) }));
      sorted.sort((one, other) => {
        if (isNaN(one.value) || isNaN(other.value)) return isNaN(one.value) - isNaN(other.value) || one.place - other.place;
        return (ascends ? one.value - other.value : other.value - one.value) || one.place - other.place;
      });
      body.append(...sorted.map((entry) => entry.row));
    });
  });

  show();
})();
