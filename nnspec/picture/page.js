// Draws the edges of every diagram that is seen, anew whenever a block is opened or closed.
(() => {
  const named = new Map([...document.querySelectorAll("[data-name]")].map((e) => [e.dataset.name, e]));
  const ASIDE = 12; // between the two lines of an edge
  const style = getComputedStyle(document.documentElement);
  const [LANE, GAP] = ["--lane", "--gap"].map((name) => Number(style.getPropertyValue(name))); // between ways into the next round, and from a row to one along it

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

  // Into the next round of a loop: out below the row of one box, up beside everything, and in above the row of another.
  function again(svg, e, origin, back) {
    const [from, to] = e.path.map((name, i) => {
      const p = anchor(name, e.ports[i], back);
      const row = named.get(name).closest(".row").getBoundingClientRect();
      return { x: p.x - origin.left + (i ? 0 : ASIDE), top: p.top, bottom: p.bottom, row };
    });
    const aside = back ? 5 : 0;
    const lane = origin.width - LANE * (e.lanes - e.lane - back) + GAP / 2;
    const [low, high] = [from.row.bottom - origin.top + GAP + aside, to.row.top - origin.top - GAP - aside];
    const [start, end] = [from.bottom - origin.top, to.top - origin.top];
    add(svg, "path", { d: `M${from.x},${start} V${low} H${lane} V${high} H${to.x} V${end}`, class: back ? "back" : "again" });
    const head = back ? `M${from.x},${start} l-3.5,7 h7 z` : `M${to.x},${end} l-3.5,-7 h7 z`;
    add(svg, "path", { d: head, class: back ? "back head" : "again head" });
  }

  function points(path) {
    const length = path.getTotalLength();
    return Array.from({ length: Math.ceil(length / 4) + 1 }, (_, i) => path.getPointAtLength(Math.min(4 * i, length)));
  }

  // The side of a line on which a label meets fewest of the lines drawn so far.
  function aside(text, lines, x, y) {
    const size = text.getBBox().width;
    const met = (left) => lines.filter((p) => p.x > left && p.x < left + size && p.y > y - 10 && p.y < y + 2).length;
    return met(x + 4) <= met(x - 4 - size) ? [x + 4, "start"] : [x - 4, "end"];
  }

  function add(svg, kind, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    svg.append(element);
    return element;
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
    return !back && e.label ? [{ x: points[0].x, y: points[0].bottom + 14 }, e.label] : null;
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
      const edges = JSON.parse(diagram.dataset.edges);
      const lanes = edges.filter((e) => "lane" in e).reduce((sum, e) => sum + 1 + e.back, 0);
      for (const e of edges) {
        if ("lane" in e) {
          for (const back of e.back ? [true, false] : [false]) again(svg, { ...e, lanes }, origin, back);
          continue;
        }
        if (e.back) edge(svg, e, origin, true);
        labels.push(edge(svg, e, origin, false));
      }
      const lines = [...svg.querySelectorAll("path:not(.head)")].flatMap(points);
      for (const label of labels)
        if (label) {
          const text = add(svg, "text", ...label); // on top of all lines
          const [x, anchor] = aside(text, lines, label[0].x, label[0].y);
          text.setAttribute("x", x);
          text.setAttribute("text-anchor", anchor);
          const box = text.getBBox(); // which the labels after it avoid, too
          for (let at = box.x; at < box.x + box.width; at += 4) lines.push({ x: at, y: label[0].y - 4 });
        }
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
