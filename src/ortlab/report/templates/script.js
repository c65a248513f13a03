"use strict";
(() => {
  const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const words = new WeakMap();
  each("svg .m > title", (title) => {
    words.set(title.parentNode, title.textContent);
    title.remove();
  });
  const show = (event) => {
    const mark = event.target.closest ? event.target.closest("svg .m") : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = words.get(mark);
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = (above > 4 ? above : event.clientY + 16) + "px";
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  let pinned = null;
  const light = (arm) => {
    document.body.classList.toggle("dimmed", arm !== null);
    each("svg .m[data-arm]", (mark) => mark.classList.toggle("lit", mark.dataset.arm === arm));
  };
  each(".legend [data-arm]", (item) => {
    const arm = item.dataset.arm;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("pointerenter", () => light(arm));
    button.addEventListener("pointerleave", () => light(pinned));
    button.addEventListener("click", () => {
      pinned = pinned === arm ? null : arm;
      each(".legend button", (other) => {
        other.setAttribute("aria-pressed", String(other.parentNode.dataset.arm === pinned));
      });
      light(pinned);
    });
  });

  each("table.sortable", (table) => {
    const body = table.tBodies[0];
    each("thead th", (head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        each("thead th", (other) => other.removeAttribute("aria-sort"), table);
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => {
          const cell = row.cells[head.cellIndex];
          return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
        };
        const order = (one, two) => {
          const a = value(one), b = value(two);
          if (typeof a === "number" && typeof b === "number") return a - b;
          return String(a).localeCompare(String(b));
        };
        const rows = [...body.rows].sort(order);
        body.append(...(down ? rows.reverse() : rows));
      });
    }, table);
  });

  each(".command", (box) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", () => {
      const text = box.querySelector("code").textContent;
      const done = () => { button.textContent = "Copied"; };
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
    });
    box.append(button);
  });

  addEventListener("beforeprint", () => each("details", (item) => { item.open = true; }));
})();
