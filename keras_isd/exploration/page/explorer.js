// What a pointer does on the map, and what is shown of an image. Bokeh draws the map and calls
// `hover`, `leave` and `tap`. Text becomes part of the page by `textContent` alone.
"use strict";
const explorer = (() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const $ = (selector) => document.querySelector(selector);
  const model = (name) => Bokeh.documents[0].get_model_by_name(name);
  const REACH = 14;  // pixels from a point within which the pointer is at it
  let kind = data.groupings.length ? data.groupings[0].kind : null;

  function element(tag, name, text) {
    const made = document.createElement(tag);
    made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function picture(row) {
    const {positions, on_a_sheet} = data.places, columns = positions.length;
    const place = row % on_a_sheet;
    const made = element("span", `picture s${Math.floor(row / on_a_sheet)}`);
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", data.names[row]);
    const [across, down] = [place % columns, Math.floor(place / columns)];
    made.style.backgroundPosition = `${positions[across]} ${positions[down]}`;
    return made;
  }

  function classesOf(row) {
    return data.groupings.map((by) => by.names[by.codes[row]]).join(", ");
  }

  function nearest(event) {
    const plot = model("map"), {x, y} = model("points").data, alpha = model("points").data.alpha;
    const scale = (range, pixels) => pixels / (range.end - range.start);
    const across = scale(plot.x_range, plot.inner_width);
    const down = scale(plot.y_range, plot.inner_height);
    let best = null, least = REACH * REACH;
    for (let row = 0; row < x.length; row++) {
      const distance = ((x[row] - event.x) * across) ** 2 + ((y[row] - event.y) * down) ** 2;
      if (distance < least && alpha[row] > 0.1) [best, least] = [row, distance];
    }
    return best;
  }

  function hover(event) {
    const row = nearest(event), tip = $(".tip"), map = $(".map");
    map.classList.toggle("on-point", row !== null);
    tip.hidden = row === null;
    if (row === null) return;
    const lines = [element("b", "name", data.names[row]), element("span", "", classesOf(row))];
    tip.replaceChildren(picture(row), ...lines);
    const fits = (at, size, room) => Math.max(0, at + 16 + size > room ? at - 16 - size : at + 16);
    tip.style.left = `${fits(event.sx, tip.offsetWidth, map.clientWidth)}px`;
    tip.style.top = `${fits(event.sy, tip.offsetHeight, map.clientHeight)}px`;
  }

  function leave() {
    $(".tip").hidden = true;
  }

  function tap(event) {
    const row = nearest(event);
    if (row === null) return;
    show(row);
    hover(event);
  }

  function show(row) {
    const neighbors = data.neighbors[row];
    const near = neighbors.map((other, place) => {
      const button = element("button", "thumb");
      button.type = "button";
      button.dataset.row = other;
      button.title = data.names[other];
      const similarity = (data.similarities[row][place] / 1000).toFixed(3);
      button.append(picture(other), element("b", "", similarity),
        element("span", "name", data.names[other].split("/").pop()),
        element("span", "name", classesOf(other)));
      return button;
    });
    const about = element("p", "about");
    about.append(element("b", "", data.names[row]), element("span", "", classesOf(row)));
    const grid = element("div", "near");
    grid.append(...near);
    const large = picture(row);
    large.classList.add("large");
    const parts = [large, about];
    if (near.length) parts.push(element("h3", "", "Nearest, by cosine similarity"), grid);
    $(".chosen").replaceChildren(...parts);
    const {x, y} = model("points").data, rows = [row, ...neighbors];
    model("marks").data = {x: rows.map((at) => x[at]), y: rows.map((at) => y[at]),
      size: rows.map((_, place) => place ? 11 : 20)};
  }

  function dim(code) {
    const points = model("points"), by = data.groupings.find((each) => each.kind === kind);
    const all = code === null;
    points.data.alpha = Float32Array.from(by.codes, (each) => all || each === code ? 0.8 : 0.05);
    points.change.emit();
    for (const button of document.querySelectorAll("[data-code]"))
      button.setAttribute("aria-pressed", String(!all && Number(button.dataset.code) === code));
  }

  document.addEventListener("click", (event) => {
    const thumb = event.target.closest("[data-row]"), entry = event.target.closest("[data-code]");
    if (thumb) {
      show(Number(thumb.dataset.row));
      $(".chosen").scrollIntoView({block: "nearest"});
    }
    if (entry)
      dim(entry.getAttribute("aria-pressed") === "true" ? null : Number(entry.dataset.code));
  });

  $("#color-by")?.addEventListener("change", (event) => {
    dim(null);
    kind = event.target.value;
    model("dots").glyph.fill_color = {field: kind};
    for (const legend of document.querySelectorAll(".legend"))
      legend.hidden = legend.dataset.kind !== kind;
  });

  return {hover, leave, tap};
})();
