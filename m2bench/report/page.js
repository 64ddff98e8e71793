"use strict";
// What is wider than its box says so, and has a shadow at each edge beyond which it goes on.
for (const box of document.querySelectorAll(".scroll")) {
  const mark = () => {
    const beyond = box.scrollWidth - box.clientWidth;
    const { classList } = box.closest(".sideways");
    classList.toggle("too-wide", beyond > 1);
    classList.toggle("more-left", box.scrollLeft > 1);
    classList.toggle("more-right", box.scrollLeft < beyond - 1);
  };
  box.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(box);
}

(() => {
  const table = document.querySelector("table.sortable");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((element) => ({
    element,
    layers: JSON.parse(element.dataset.layers),
    keys: JSON.parse(element.dataset.keys),
    text: element.textContent.toLowerCase(),
  }));

  // Sorting: what is missing comes last in either direction.
  const headings = [...table.tHead.rows[0].cells];
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      rows.sort((a, b) => {
        const [x, y] = [a.keys[column], b.keys[column]];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * compare(x, y);
      });
      body.append(...rows.map((row) => row.element));
    });
  });

  // Filtering.
  const form = document.querySelector("form.filter");
  const search = form.querySelector("input");
  const choices = [...form.querySelectorAll("select")];
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = choices.every(
        (choice) => !choice.value || (choice.value === "on") === row.layers.includes(choice.dataset.layer),
      );
      row.element.hidden = !(fits && row.text.includes(wanted));
      shown += !row.element.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // Escape closes what hovering or focus has opened, until the pointer or the focus leaves.
  const tips = [...document.querySelectorAll(".tip")];
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tips.forEach((tip) => tip.classList.add("closed"));
  });
  for (const tip of tips) {
    // Fixed to the window, so that no scrolling box around the table cuts it off.
    const place = () => {
      const [cell, box] = [tip.getBoundingClientRect(), tip.querySelector("[role=tooltip]")];
      const below = cell.bottom + box.offsetHeight <= window.innerHeight;
      box.style.top = `${below ? cell.bottom : Math.max(0, cell.top - box.offsetHeight)}px`;
      box.style.left = `${Math.max(0, Math.min(cell.left, window.innerWidth - box.offsetWidth - 8))}px`;
    };
    for (const coming of ["mouseenter", "focusin"]) tip.addEventListener(coming, place);
    for (const leaving of ["mouseleave", "focusout"]) tip.addEventListener(leaving, () => tip.classList.remove("closed"));
  }
})();
