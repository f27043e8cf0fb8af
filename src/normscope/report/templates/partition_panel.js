// One picture: its arrays, its two canvases, and the view that all pictures share.
const partitionPanel = (() => {
  const { project, regions, lines, compose, mix, packed } = raster;
  const INK = packed("#1b1f24"), EARLIER = packed("#b4bbc2"), OUTSIDE = packed("#f6f8fa"), WHITE = 0xffffff;
  const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

  // Bytes of numbers stand plane by plane: all lowest bytes first.
  async function unpack(part) {
    const stream = new Blob([normscope.bytes(part.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const size = +part.type[1], count = part.count, bytes = new Uint8Array(size * count);
    for (let k = 0; k < size; k++) for (let i = 0, at = k * count; i < count; i++) bytes[i * size + k] = planes[at + i];
    return new TYPES[part.type](bytes.buffer);
  }

  // From whole numbers to the window's units: width 1, height `tall`, y up.
  function placed(whole, tall) {
    const count = whole.length / 2, x = new Float64Array(count), y = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      x[i] = whole[i] / 0xffffffff;
      y[i] = whole[count + i] / 0xffffffff * tall;
    }
    return { x, y, count };
  }

  async function load(given, window) {
    const [x0, x1, y0, y1] = window, tall = (y1 - y0) / (x1 - x0), panel = { ...given, tall };
    for (const key of ["start", "end", "left", "right", "fold", "unit", "share", "born"]) panel[key] = await unpack(given[key]);
    if (given.active) panel.active = await unpack(given.active);
    if (given.activeOf) panel.activeOf = await Promise.all(given.activeOf.map(unpack));
    Object.assign(panel, placed(await unpack(given.vertices), tall));
    panel.boundary = placed(await unpack(given.boundary), tall);
    panel.px = new Float64Array(panel.count);
    panel.py = new Float64Array(panel.count);
    if (given.classes) {
      const classes = panel.classes = { count: given.classes.count };
      for (const key of ["of", "mixed", "logits"]) classes[key] = await unpack(given.classes[key]);
      classes.place = new Int32Array(panel.share.length + 1).fill(-1);
      classes.mixed.forEach((region, k) => { classes.place[region + 1] = k; });
    }
    panel.dots = { ...given.dots, at: given.dots.at.map(([x, y]) => [(x - x0) / (x1 - x0), (y - y0) / (x1 - x0)]) };
    if (given.mean) panel.mean = [(given.mean[0] - x0) / (x1 - x0), (given.mean[1] - y0) / (x1 - x0)];
    return panel;
  }

  // The class at a point of the window; y in its units.
  function classAt(panel, id, x, y) {
    const { classes } = panel, k = classes.place[id];
    if (k < 0) return classes.of[id - 1];
    let best = 0, most = -Infinity;
    for (let c = 0, at = 3 * k * classes.count; c < classes.count; c++, at += 3) {
      const logit = classes.logits[at] * x + classes.logits[at + 1] * y / panel.tall + classes.logits[at + 2];
      if (logit > most) { most = logit; best = c; }
    }
    return best;
  }

  // Colours of the regions, by number; behind them those of the classes.
  function fills(panel, look) {
    const count = panel.share.length, fill = new Uint32Array(count + 1 + (panel.classes?.count || 0)).fill(WHITE);
    if (look.by === "active") {
      const { active } = partitionLevels.at(panel, look.level), [low, high] = look.range;
      for (let i = 0; i < count; i++) fill[i + 1] = look.ramp[Math.round((active[i] - low) / Math.max(1, high - low) * (look.ramp.length - 1))];
    }
    if (look.by === "born") {
      const { born } = partitionLevels.at(panel, look.level);
      for (let i = 0; i < count; i++) fill[i + 1] = born[i] ? look.pale[born[i] - 1] : WHITE;
    }
    if (look.by === "class" && panel.classes) {
      for (let i = 0; i < count; i++) fill[i + 1] = look.classes[panel.classes.of[i]];
      for (let c = 0; c < panel.classes.count; c++) fill[count + 1 + c] = look.classes[c];
    }
    fill[0] = OUTSIDE;
    return fill;
  }

  // Which folds are drawn how: earlier ones grey and one in colour, or all in colour; over filled regions in ink.
  function tags(panel, look) {
    const behind = new Uint16Array(panel.folds.length + 1), front = new Uint16Array(panel.folds.length + 1);
    const last = panel.folds.length, all = look.level > last;
    for (let f = 1; f <= Math.min(look.level, last); f++) {
      if (look.hidden.has(f)) continue;
      if (all || f === look.level) front[f] = f;
      else behind[f] = f;
    }
    return { behind, front };
  }

  // Draws `view` of size w × h into `target`; buffers: made once, and used again for the next picture of that size.
  function render(panel, view, w, h, look, buffers, target) {
    const { ids, far, cover, tag, image } = buffers, pixels = new Uint32Array(image.data.buffer);
    project(panel, view, panel.px, panel.py);
    regions(panel, panel.px, panel.py, w, h, ids, far);
    const seen = look.by === "class" && panel.classes ? classed(panel, view, w, h, ids, buffers) : ids;
    const { behind, front } = tags(panel, look), filled = look.by !== "layer";
    const half = (filled ? 0.45 : 0.6) * view.dpr;
    cover.fill(0);
    const grey = look.lines ? lines(panel, panel.px, panel.py, w, h, behind, half, cover, tag) : 0;
    // where lines are denser than pixels they must not drown what is below them
    const share = drawn => Math.min(1, (filled ? 0.25 : 0.6) * 255 * w * h / Math.max(1, drawn));
    const inks = new Uint32Array(panel.folds.length + 1).fill(filled ? INK : EARLIER);
    compose(seen, fills(panel, look), cover, tag, inks, share(grey) * (filled ? 0.5 : 1), pixels);
    cover.fill(0);
    const drawn = look.lines ? lines(panel, panel.px, panel.py, w, h, front, half * (filled ? 1 : 1.25), cover, tag) : 0;
    const strength = Math.round(256 * share(drawn) * (filled && look.level > panel.folds.length ? 0.55 : 1));
    const single = filled && look.level > panel.folds.length;
    for (let at = 0; at < pixels.length; at++) {
      if (cover[at]) pixels[at] = 0xff000000 | mix(pixels[at] & 0xffffff, single ? INK : look.layers[tag[at] - 1], cover[at] * strength >> 8);
    }
    target.getContext("2d").putImageData(image, 0, 0);
  }

  function classed(panel, view, w, h, ids, buffers) {
    const seen = buffers.seen, first = panel.share.length + 1, { place } = panel.classes;
    for (let row = 0, at = 0; row < h; row++) {
      const y = view.y - (row + 0.5) / view.k;
      for (let column = 0; column < w; column++, at++) {
        const id = ids[at];
        seen[at] = id && place[id] >= 0 ? first + classAt(panel, id, view.x + (column + 0.5) / view.k, y) : id;
      }
    }
    return seen;
  }

  function buffersOf(w, h) {
    return {
      ids: new Int32Array(w * h), seen: new Int32Array(w * h), far: new Float64Array(w * h), cover: new Uint8Array(w * h),
      tag: new Uint16Array(w * h), image: new ImageData(w, h),
    };
  }

  return { load, render, buffersOf, classAt };
})();
