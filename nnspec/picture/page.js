// Draws the edges of every diagram that is seen, anew whenever a block is opened or closed.
(() => {
  const named = new Map([...document.querySelectorAll("[data-name]")].map((e) => [e.dataset.name, e]));
  const ASIDE = 12; // between the two lines of an edge

  // Where a line meets an element: a port of an open block, or the middle of a box or of the backward box beside it.
  function anchor(name, port, back) {
    const element = named.get(name);
    const box = element.getBoundingClientRect();
    const inside = element.open && named.get(port);
    const twin = back && !inside && named.get(name + "_back");
    const across = (inside || twin || element).getBoundingClientRect();
    const shift = back && !twin ? ASIDE : 0;
    return { x: across.left + across.width / 2 + shift, top: box.top, bottom: box.bottom, upright: element.tagName === "I" };
  }

  function curve(points) {
    let d = `M${points[0].x},${points[0].bottom}`;
    for (let i = 1; i < points.length; i++) {
      const [a, b] = [points[i - 1], points[i]];
      const bend = (b.top - a.bottom) / 2;
      d += ` C${a.x},${a.bottom + bend} ${b.x},${b.top - bend} ${b.x},${b.top}`;
      if (b.upright) d += ` L${b.x},${b.bottom}`;
    }
    return d;
  }

  function add(svg, kind, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    svg.append(element);
  }

  function edge(svg, e, origin, back) {
    const last = e.path.length - 1;
    const points = e.path.map((name, i) => {
      const p = anchor(name, i === 0 ? e.ports[0] : i === last ? e.ports[1] : "", back);
      return { ...p, x: p.x - origin.left, top: p.top - origin.top, bottom: p.bottom - origin.top };
    });
    straighten(points, e.path.map((name) => named.get(name)));
    add(svg, "path", { d: curve(points), class: back ? "back" : "" });
    const end = back ? points[0] : points[last];
    const [y, up] = back ? [end.bottom, 7] : [end.top, -7];
    if (named.get(e.path[back ? 0 : last]).tagName !== "B")
      add(svg, "path", { d: `M${end.x},${y} l-3.5,${up} h7 z`, class: back ? "back head" : "head" });
    return !back && e.label ? [{ x: points[0].x + 4, y: points[0].bottom + 14 }, e.label] : null;
  }

  // Lines that pass all boxes on the same side go straight down there.
  function straighten(points, elements) {
    const bends = elements.slice(1, -1);
    for (const [sibling, most] of [["nextElementSibling", Math.max], ["previousElementSibling", Math.min]])
      if (bends.length && bends.every((e) => !e[sibling])) {
        const x = most(...points.slice(1, -1).map((p) => p.x));
        points.slice(1, -1).forEach((p) => (p.x = x));
        return;
      }
  }

  function draw() {
    for (const diagram of document.querySelectorAll(".diagram")) {
      diagram.querySelector(":scope > svg")?.remove();
      if (!diagram.offsetParent) continue; // folded away
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      diagram.append(svg);
      const origin = diagram.getBoundingClientRect();
      const labels = [];
      for (const e of JSON.parse(diagram.dataset.edges)) {
        if (e.back) edge(svg, e, origin, true);
        labels.push(edge(svg, e, origin, false));
      }
      for (const label of labels) if (label) add(svg, "text", ...label); // on top of all lines
    }
  }

  document.addEventListener("toggle", draw, true);
  window.addEventListener("resize", draw);
  for (const button of document.querySelectorAll("button[data-open]"))
    button.addEventListener("click", () => {
      for (const block of document.querySelectorAll("details")) block.open = Boolean(button.dataset.open);
    });
  draw();
})();
