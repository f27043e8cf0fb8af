// What is said of a region, and how.
const partitionTelling = (() => {
  const UP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

  const NARROW = 2 ** -40, LEAST = 1e-100; // windows that the command takes: of their coordinates, and at all

  // here: the picture by the layers that are shown (`partitionLevels.at`); id: of a region of all layers; window: its area.
  function tell(panel, { id, here, point }, window) {
    const { whole, level, roots, units } = here, told = [];
    const last = here.born[id - 1];
    told.push(last ? `last cut in layer ${last} (${panel.folds[last - 1]})` : "cut by no layer");
    if (units && here.byLayers) told.push(`${here.active[id - 1]} of ${units} units active${whole ? "" : ` (layers ≤ ${level})`}`);
    if (whole && panel.classes) told.push(`${panel.classes.place[id] >= 0 ? "here class" : "class"} ${partitionPanel.classAt(panel, id, point.x, point.y)}`);
    if (whole) return `Region ${id - 1}: ${[...told, size(panel.share[id - 1], window)].join("; ")}.`;
    let share = 0, parts = 0;
    for (let i = 1; i < roots.length; i++) if (roots[i] === roots[id]) { share += panel.share[i - 1]; parts++; }
    told.push(size(share, window), parts > 1 ? `later layers divide it into ${parts}` : "later layers leave it whole");
    return `Region of the first ${level === 1 ? "layer" : `${level} layers`}: ${told.join("; ")}.`;
  }

  const size = (share, window) => `area ${number(share * window)} (${number(100 * share)} % of the window)`;
  function number(value) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 0.01 && Math.abs(value) < 1000) return String(+value.toPrecision(3));
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return `${mantissa}·10${raised(+exponent)}`;
  }
  const raised = power => [...String(power)].map(c => UP[c]).join("");

  // A coordinate, to digits that tell neighbouring pixels apart.
  const coordinate = (value, pixel) => {
    const digits = Math.ceil(-Math.log10(pixel));
    if ((digits > 12 || digits < 0) && Math.abs(value) < pixel / 2) return "0";
    if (digits <= 12 && Math.abs(value) < 1e5) return value.toFixed(Math.max(0, digits)).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
    const [mantissa, exponent] = value.toPrecision(Math.max(2, Math.min(15, digits + Math.ceil(Math.log10(Math.abs(value) || 1)) + 1))).split("e");
    return (exponent ? `${mantissa}·10${raised(+exponent)}` : mantissa).replace("-", "−");
  };

  // How far a window's shorter side is above the narrowest that the command takes: at least 1 where it takes the window.
  function room([x0, x1, y0, y1]) {
    const sides = [x1 - x0, y1 - y0], farthest = Math.max(...[x0, x1, y0, y1].map(Math.abs)), longest = Math.max(...sides);
    return Math.min(Math.min(...sides) / (NARROW * (farthest + longest)), longest / LEAST);
  }

  // A window as the command takes it, to a thousandth of its sides; null where it is too narrow for it.
  function extent(window) {
    const [x0, x1, y0, y1] = window;
    const rounded = window.map((value, k) => {
      const digits = Math.ceil(Math.log10(Math.abs(value) / (k < 2 ? x1 - x0 : y1 - y0))) + 4;
      return digits < 1 ? 0 : +value.toPrecision(Math.min(17, digits));
    });
    return room(rounded) >= 1 ? rounded.join() : null;
  }

  return { tell, coordinate, raised, room, extent };
})();
