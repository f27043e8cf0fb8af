(() => {
  const { load, render, buffersOf } = partitionPanel, { tell, coordinate, room, extent } = partitionTelling, { packed } = raster;
  const data = JSON.parse(document.getElementById("payload").textContent);
  const [X0, X1, Y0, Y1] = data.window, WIDE = X1 - X0, TALL = (Y1 - Y0) / WIDE;
  const CLOSEST = Math.max(1, Math.min(1e6, room(data.window))); // no closer than doubles tell pixels apart
  const SETTLED = 110, QUICK = 12; // ms without a move until sharp; ms within which sharp at once
  const $ = (selector, root = document) => root.querySelector(selector);
  const panels = [], view = { x: 0, y: TALL, zoom: 1 };
  const look = {
    by: $("#by").value, level: Infinity, hidden: new Set(), lines: true, layers: data.layerColours.map(packed), pale: data.paleColours.map(packed),
    classes: data.paleClassColours.map(packed), ramp: data.ramp.map(packed), range: [0, 1],
  };
  const deepest = Math.max(...data.panels.map(p => p.folds.length));
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

  // ---- drawing: at once a stretched picture of before, sharp when nothing moves or when it is quick

  const pixelView = panel => ({ x: view.x, y: view.y, k: view.zoom * panel.w, dpr: panel.dpr });
  const same = (a, b) => a && a.x === b.x && a.y === b.y && a.k === b.k;
  let frame = 0, timer = 0;

  function wish() {
    frame ||= requestAnimationFrame(draw);
    clearTimeout(timer);
    timer = setTimeout(sharpen, SETTLED);
  }

  function draw() {
    frame = 0;
    const before = performance.now();
    const cost = panels.reduce((sum, panel) => sum + panel.cost, 0);
    for (const panel of panels) {
      if (cost < QUICK) sharp(panel);
      show(panel);
    }
    measure.frames.push(performance.now() - before);
  }

  // One picture a frame, so that the page goes on answering.
  function sharpen() {
    clearTimeout(timer); // one chain of these, whoever starts it
    const panel = panels.find(p => p.stale || !same(p.shown, pixelView(p)));
    if (!panel) {
      document.documentElement.dataset.sharp = "true";
      panels.forEach(count);
      return inspect(); // another region may have come to lie under the pointer
    }
    sharp(panel);
    show(panel);
    timer = setTimeout(sharpen, 0);
  }

  function sharp(panel) {
    const wanted = pixelView(panel);
    if (!panel.stale && same(panel.shown, wanted)) return;
    const before = performance.now();
    render(panel, wanted, panel.w, panel.h, look, panel.buffers, panel.store);
    panel.shown = wanted;
    panel.stale = false;
    if (view.zoom === 1) panel.whole.getContext("2d").drawImage(panel.store, 0, 0);
    panel.cost = performance.now() - before;
    measure.sharp.push(panel.cost);
  }

  function show(panel) {
    const context = panel.picture.getContext("2d"), now = pixelView(panel);
    const stretched = (source, of) => {
      const scale = now.k / of.k;
      context.drawImage(source, (of.x - now.x) * now.k, (now.y - of.y) * now.k, panel.w * scale, panel.h * scale);
    };
    if (same(panel.shown, now)) context.drawImage(panel.store, 0, 0);
    else {
      stretched(panel.whole, { x: 0, y: TALL, k: panel.w });
      if (panel.shown) stretched(panel.store, panel.shown);
    }
    partitionOverlay.overlay(panel, now, look, state, data);
    const x = X0 + view.x * WIDE, y = Y0 + view.y * WIDE, part = WIDE / view.zoom;
    partitionAxes.draw(panel, { low: x, high: x + part }, { low: y - part * TALL, high: y });
  }

  function changed() {
    document.documentElement.dataset.sharp = "false";
    for (const panel of panels) panel.stale = true;
    partitionLegend.draw(panels, look, data, deepest);
    wish();
    inspect();
  }

  function resize() {
    for (const panel of panels) {
      const dpr = Math.min(2, devicePixelRatio || 1), w = Math.round(panel.box.clientWidth * dpr), h = Math.max(1, Math.round(w * TALL));
      if (!w || (w === panel.w && h === panel.h)) continue;
      Object.assign(panel, { dpr, w, h, buffers: buffersOf(w, h), store: sized(w, h), whole: sized(w, h), shown: null, stale: true });
      for (const canvas of [panel.picture, panel.over]) Object.assign(canvas, { width: w, height: h });
      // the picture of the whole window, for what comes into sight while zooming out
      render(panel, { x: 0, y: TALL, k: w, dpr }, w, h, look, panel.buffers, panel.whole);
    }
    wish();
  }
  const sized = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

  // ---- the view, one for all pictures: it never leaves the window

  function move(x, y, zoom) {
    const part = 1 / zoom;
    view.zoom = zoom;
    view.x = clamp(x, 0, 1 - part);
    view.y = clamp(y, TALL * part, TALL);
    document.documentElement.dataset.sharp = "false";
    document.body.classList.toggle("zoomed", zoom > 1);
    wish();
    tellView();
  }
  const at = (panel, x, y) => ({ x: view.x + x / (view.zoom * panel.box.clientWidth), y: view.y - y / (view.zoom * panel.box.clientWidth) });
  function zoomAt(point, factor) {
    const zoom = clamp(view.zoom * factor, 1, CLOSEST), rest = view.zoom / zoom;
    move(point.x - (point.x - view.x) * rest, point.y + (view.y - point.y) * rest, zoom);
  }
  const centre = () => ({ x: view.x + 0.5 / view.zoom, y: view.y - 0.5 * TALL / view.zoom });

  function tellView() {
    const x = X0 + view.x * WIDE, y = Y0 + view.y * WIDE, part = WIDE / view.zoom;
    const seen = [x, x + part, y - part * TALL, y], alone = view.zoom > 1 && extent(seen);
    const [left, right, low, high] = seen.map(value => coordinate(value, part / 500));
    const anew = alone ? ` Of this part alone, by the same command with --extent=${alone}.` : "";
    $("#view").textContent = `In view: x from ${left} to ${right}, y from ${low} to ${high}.${anew}`;
    $("#factor").textContent = `${view.zoom < 10 ? view.zoom.toFixed(1) : Math.round(view.zoom).toLocaleString("en")}×`;
  }

  // ---- which region is here

  const state = { point: null, partial: false, found: [] };
  function pointAt(point) {
    state.point = point;
    inspect();
  }
  const lookAt = (panel, x, y) => pointAt(at(panel, x, y));
  function inspect() {
    state.found = panels.map(panel => (state.point ? regionAt(panel, state.point) : null));
    panels.forEach((panel, k) => { panel.told.replaceChildren(...(state.found[k] ? told(panel, state.found[k]) : panel.hint)); });
    frame ||= requestAnimationFrame(draw);
  }

  function told(panel, found) {
    const where = document.createElement("span"), pixel = WIDE / (view.zoom * panel.box.clientWidth);
    const [x, y] = [X0 + found.point.x * WIDE, Y0 + found.point.y * WIDE].map(value => coordinate(value, pixel));
    where.textContent = `x ${x}, y ${y} · `;
    where.className = "at";
    return [where, tell(panel, found, WIDE * WIDE * TALL)];
  }

  function regionAt(panel, point) {
    const of = panel.shown;
    if (!of) return null;
    const column = Math.floor((point.x - of.x) * of.k), row = Math.floor((of.y - point.y) * of.k);
    if (column < 0 || row < 0 || column >= panel.w || row >= panel.h) return null;
    const id = panel.buffers.ids[row * panel.w + column];
    if (!id) return null;
    return { id, here: partitionLevels.at(panel, look.level), point };
  }

  // How many regions there are; of those how many are in view, once that is drawn sharp.
  function count(panel) {
    const here = partitionLevels.at(panel, look.level), closer = view.zoom > 1 && same(panel.shown, pixelView(panel));
    const seen = closer ? `${partitionLevels.inView(panel, here.roots, panel.w, panel.h).toLocaleString("en")} of ` : "";
    const done = panel.done < Math.min(look.level, panel.folds.length) ? `, ${panel.done} of ${panel.folds.length} layers` : "";
    panel.counted.textContent = `${seen}${here.regions.toLocaleString("en")} ${here.regions === 1 ? "region" : "regions"}${state.partial ? " so far" : ""}${closer ? " in view" : ""}${done}`;
  }

  // ---- controls

  const slider = $("#level"), names = data.panels.find(p => p.folds.length === deepest).folds;
  slider.max = deepest + 1;
  slider.value = slider.max;
  function level() {
    const value = +slider.value;
    look.level = value > deepest ? Infinity : value;
    const told = value > deepest ? "all layers" : `layer ${value} of ${deepest} (${names[value - 1]})`;
    slider.setAttribute("aria-valuetext", told);
    $("#level-name").textContent = $("#level-name").title = told;
    state.partial = value < deepest;
    for (const chip of document.querySelectorAll(".chips button")) chip.classList.toggle("later", +chip.dataset.fold > value);
    $("#boundary").disabled = state.partial; // it belongs to the whole network
    panels.forEach(count);
    changed();
  }
  slider.addEventListener("input", level);
  let playing = 0;
  const playButton = on => { $("#play").textContent = on ? "❚❚" : "▶"; $("#play").setAttribute("aria-label", on ? "Pause" : "Play layer by layer"); };
  const stop = () => { clearInterval(playing); playing = 0; playButton(false); };
  $("#play").addEventListener("click", () => {
    if (playing) return stop();
    slider.value = 1;
    level();
    playButton(true);
    playing = setInterval(() => {
      slider.value = +slider.value + 1;
      level();
      if (slider.value === slider.max) stop();
    }, Math.max(250, Math.min(1200, 8000 / deepest)));
  });
  slider.addEventListener("pointerdown", stop);

  $("#by").addEventListener("change", event => { look.by = event.target.value; changed(); });
  $("#lines").addEventListener("change", event => { look.lines = event.target.checked; changed(); });
  $("#dots").addEventListener("change", event => { $(".markers").hidden = !event.target.checked; });
  for (const box of document.querySelectorAll("#dots, #boundary")) {
    box.addEventListener("change", () => { state[box.id] = box.checked; wish(); });
    state[box.id] = box.checked;
  }
  for (const chip of document.querySelectorAll(".chips button")) {
    chip.addEventListener("click", () => {
      const fold = +chip.dataset.fold, shown = chip.getAttribute("aria-pressed") === "true";
      chip.setAttribute("aria-pressed", String(!shown));
      look.hidden[shown ? "add" : "delete"](fold);
      changed();
    });
  }
  $("#closer").addEventListener("click", () => zoomAt(state.point || centre(), 1.6));
  $("#farther").addEventListener("click", () => zoomAt(centre(), 1 / 1.6));
  $("#all").addEventListener("click", () => move(0, TALL, 1));

  // ---- start

  const measure = globalThis.partitionMeasure = { frames: [], sharp: [], view, panels, state };
  (async () => {
    const boxes = [...document.querySelectorAll(".panel")];
    for (const [k, given] of data.panels.entries()) {
      const panel = { ...await load(given, data.window), index: k }, figure = boxes[k];
      Object.assign(panel, { picture: $(".picture", figure), over: $(".over", figure), box: $(".view", figure), told: $(".told", figure), axes: { x: $(".axis.x", figure), y: $(".axis.y", figure) }, counted: $(".count", figure), cost: Infinity });
      panel.hint = [...panel.told.childNodes];
      panel.box.style.aspectRatio = String(1 / TALL);
      panels.push(panel);
      partitionMoves(panel, view, TALL, { at, move, zoomAt, centre, look: lookAt, point: pointAt });
    }
    document.body.classList.toggle("touch", matchMedia("(pointer: coarse)").matches); // until a finger or a mouse is seen
    new ResizeObserver(resize).observe($(".panels"));
    $(".ramp .colours").style.background = `linear-gradient(to right, ${data.ramp.join()})`;
    resize();
    level();
    tellView();
    sharpen();
    measure.ready = performance.now();
    document.documentElement.dataset.ready = "true";
  })();
})();
