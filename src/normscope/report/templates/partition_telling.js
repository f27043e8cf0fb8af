// What is said of a region.
const partitionTelling = (() => {
  // found: a region's number, and where it is one of only some layers, of all regions which of those holds them.
  function tell(panel, { id, level, roots, point }, window) {
    const size = area => `area ${number(area)} (${number(100 * area / window)} % of the window)`;
    if (roots) {
      let area = 0, parts = 0;
      for (let i = 1; i < roots.length; i++) if (roots[i] === roots[id]) { area += panel.area[i - 1]; parts++; }
      return `Region of the first ${level} ${level === 1 ? "layer" : "layers"}: ${size(area)}; later layers divide it into ${parts}.`;
    }
    const born = panel.born[id - 1], units = panel.units.reduce((a, b) => a + b, 0);
    const parts = [
      born ? `cut to its form in layer ${born} (${panel.folds[born - 1]})` : "cut by no layer",
      `${panel.active[id - 1]} of ${units} units active`,
    ];
    if (panel.classes) parts.push(`${panel.classes.place[id] >= 0 ? "here class" : "class"} ${partitionPanel.classAt(panel, id, point.x, point.y)}`);
    return `Region ${id - 1}: ${parts.join("; ")}; ${size(panel.area[id - 1])}.`;
  }
  function number(value) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 0.01 && Math.abs(value) < 1000) return String(+value.toPrecision(3));
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return `${mantissa}·10${[...String(+exponent)].map(c => ({ "-": "⁻" }[c] || "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("")}`;
  }

  return tell;
})();
