// What lies over the picture and is drawn anew each frame: the decision boundary, data, the region that is looked at.
const partitionOverlay = (() => {
  const SHAPES = [
    (c, x, y, r) => c.arc(x, y, r, 0, 7), (c, x, y, r) => c.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r),
    (c, x, y, r) => { c.moveTo(x, y - 1.2 * r); c.lineTo(x + 1.1 * r, y + 0.9 * r); c.lineTo(x - 1.1 * r, y + 0.9 * r); c.closePath(); },
    (c, x, y, r) => { c.moveTo(x, y - 1.3 * r); c.lineTo(x + 1.3 * r, y); c.lineTo(x, y + 1.3 * r); c.lineTo(x - 1.3 * r, y); c.closePath(); },
  ];

  const SHADES = ["#1b1f24", "#ffffff", "#8a929a", "#d3d8dd", "#57606a"];

  function stroke(context, colour, width) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  // A data point. Beside coloured folds, classes are told by shape and shade: a colour means a layer there.
  function dot(context, label, a, b, size, dpr, colours) {
    context.beginPath();
    SHAPES[Math.max(0, label) % SHAPES.length](context, a, b, size);
    const shaded = label < 0 || !colours.length;
    context.fillStyle = shaded ? SHADES[Math.max(0, label) % SHADES.length] : colours[label % colours.length];
    stroke(context, "#ffffff", 3 * dpr);
    context.fill();
    stroke(context, shaded ? "#1b1f24" : "#ffffff", dpr);
  }

  function mean(context, a, b, dpr) {
    const r = 7 * dpr;
    context.beginPath();
    for (const turn of [-1, 1]) { context.moveTo(a - r, b - turn * r); context.lineTo(a + r, b + turn * r); }
    stroke(context, "#ffffff", 6 * dpr);
    stroke(context, "#000000", 2.5 * dpr);
  }

  const coloursOf = (look, data) => (look.by === "class" ? data.classColours : []);

  // What a mark in the legend looks like: a class by its number, or the mean.
  function marker(canvas, look, data) {
    const dpr = Math.min(2, devicePixelRatio || 1), context = canvas.getContext("2d");
    canvas.width = canvas.height = 18 * dpr;
    if (canvas.dataset.label === "mean") mean(context, 9 * dpr, 9 * dpr, dpr);
    else dot(context, +canvas.dataset.label, 9 * dpr, 9 * dpr, 4.5 * dpr, dpr, coloursOf(look, data));
  }

  function overlay(panel, view, look, state, data) {
    const context = panel.over.getContext("2d"), { w, h, dpr } = panel;
    const X = x => (x - view.x) * view.k, Y = y => (view.y - y) * view.k;
    context.clearRect(0, 0, w, h);
    context.lineCap = "round";
    const found = state.found[panel.index];
    if (found) outline(found);
    if (state.boundary && !state.partial && panel.boundary.count) boundary();
    if (state.dots) dots();
    if (state.point) cross(X(state.point.x), Y(state.point.y));

    function outline({ id, here }) {
      const { roots } = here, inside = roots ? i => roots[i] === roots[id] : i => i === id;
      context.beginPath();
      for (let e = 0; e < panel.fold.length; e++) {
        if (inside(panel.left[e]) === inside(panel.right[e])) continue;
        context.moveTo(X(panel.x[panel.start[e]]), Y(panel.y[panel.start[e]]));
        context.lineTo(X(panel.x[panel.end[e]]), Y(panel.y[panel.end[e]]));
      }
      stroke(context, "#ffffff", 5 * dpr);
      stroke(context, "#1b1f24", 2.5 * dpr);
    }

    function boundary() {
      const { x, y, count } = panel.boundary;
      context.beginPath();
      for (let i = 0; i < count; i += 2) {
        const xa = X(x[i]), ya = Y(y[i]), xb = X(x[i + 1]), yb = Y(y[i + 1]);
        if ((xa < 0 && xb < 0) || (ya < 0 && yb < 0) || (xa > w && xb > w) || (ya > h && yb > h)) continue;
        context.moveTo(xa, ya);
        context.lineTo(xb, yb);
      }
      stroke(context, "#ffffff", 5.5 * dpr);
      stroke(context, "#000000", 2.75 * dpr);
    }

    function dots() {
      const size = (panel.dots.at.length > 400 ? 2 : panel.dots.at.length > 50 ? 2.8 : 4.5) * dpr;
      const colours = coloursOf(look, data);
      panel.dots.at.forEach(([x, y], k) => {
        const a = X(x), b = Y(y), label = panel.dots.labels[k];
        if (a < -9 || b < -9 || a > w + 9 || b > h + 9) return;
        dot(context, label, a, b, size, dpr, colours);
      });
      if (panel.mean) mean(context, X(panel.mean[0]), Y(panel.mean[1]), dpr);
    }

    function cross(a, b) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { context.moveTo(a + 4 * dpr * dx, b + 4 * dpr * dy); context.lineTo(a + 10 * dpr * dx, b + 10 * dpr * dy); }
      stroke(context, "#ffffff", 3.5 * dpr);
      stroke(context, "#1b1f24", 1.25 * dpr);
    }
  }

  return { overlay, marker };
})();
