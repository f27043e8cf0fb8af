// Wheel, mouse, fingers and keys on one picture.
const partitionMoves = (panel, view, tall, { at, move, zoomAt, centre, look, point }) => {
  const { over } = panel, fingers = new Map();
  let moved = false;
  const place = event => {
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  over.addEventListener("wheel", event => {
    const steps = event.deltaY * (event.deltaMode ? 16 : 1);
    if (steps > 0 && view.zoom === 1) return; // the page scrolls on
    event.preventDefault();
    zoomAt(at(panel, ...place(event)), Math.exp(-Math.max(-200, Math.min(200, steps)) * (event.ctrlKey ? 0.01 : 0.0022)));
  }, { passive: false });
  over.addEventListener("pointerdown", event => {
    document.body.classList.toggle("touch", event.pointerType === "touch");
    fingers.set(event.pointerId, place(event));
    over.setPointerCapture(event.pointerId);
    moved = false;
  });
  over.addEventListener("pointermove", event => {
    const [x, y] = place(event), before = fingers.get(event.pointerId);
    if (!before) return look(panel, x, y);
    if (Math.hypot(x - before[0], y - before[1]) < (moved ? 0.5 : 4)) return;
    moved = true;
    if (fingers.size === 1) {
      const unit = view.zoom * panel.box.clientWidth;
      move(view.x - (x - before[0]) / unit, view.y + (y - before[1]) / unit, view.zoom);
    } else if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, finger]) => finger);
      const size = ([a, b]) => Math.max(8, Math.hypot(a - other[0], b - other[1]));
      const middle = at(panel, (before[0] + other[0]) / 2, (before[1] + other[1]) / 2);
      zoomAt(middle, size([x, y]) / size(before));
      const unit = view.zoom * panel.box.clientWidth;
      move(view.x - (x - before[0]) / 2 / unit, view.y + (y - before[1]) / 2 / unit, view.zoom);
    }
    fingers.set(event.pointerId, [x, y]);
  });
  const up = event => {
    if (fingers.delete(event.pointerId) && !moved && event.type === "pointerup") look(panel, ...place(event));
  };
  over.addEventListener("pointerup", up);
  over.addEventListener("pointercancel", up);
  over.addEventListener("pointerleave", event => { if (event.pointerType === "mouse" && !fingers.size) point(null); });
  over.addEventListener("dblclick", event => zoomAt(at(panel, ...place(event)), 2));
  over.addEventListener("keydown", event => {
    const step = 0.15 / view.zoom, key = event.key;
    const shift = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[key];
    if (shift) move(view.x + shift[0], view.y + shift[1], view.zoom);
    else if (key === "+" || key === "=") zoomAt(centre(), 1.5);
    else if (key === "-") zoomAt(centre(), 1 / 1.5);
    else if (key === "0" || key === "Home") move(0, tall, 1);
    else return;
    event.preventDefault();
    point(centre()); // what the middle shows is told
  });
};
