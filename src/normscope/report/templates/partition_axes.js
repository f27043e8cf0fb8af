// Numbers along the left and the lower side of a picture.
const partitionAxes = (() => {
  const APART = { x: 84, y: 56 }, LETTER = 7, SHORT = 5; // pixels between numbers, of a letter; letters that stand upright

  // Multiples of 1, 2 or 5 times a power of ten, as few as stand apart: [{ value, text }]; none where no double is between.
  function ticks(low, high, pixels, apart) {
    if (!(high - low > 16 * Number.EPSILON * Math.max(Math.abs(low), Math.abs(high)))) return [];
    for (let wanted = Math.max(2, Math.min(7, Math.floor(pixels / apart))); ; wanted--) {
      const rough = (high - low) / wanted, power = Math.floor(Math.log10(rough));
      const [factor, raised] = [[1, 0], [2, 0], [5, 0], [1, 1]].find(([f, r]) => f * 10 ** (power + r) >= rough * (1 - 1e-9));
      const places = power + raised, step = factor * 10 ** places, first = Math.ceil(low / step - 1e-9), found = [];
      for (let i = 0; i <= wanted + 1; i++) { // counted: far from zero sums of small numbers may stand still
        const whole = (first + i) * factor, value = places < 0 ? whole / 10 ** -places : whole * 10 ** places;
        if (value >= low - 1e-9 * step && value <= high + 1e-9 * step) found.push({ value, text: written(value, places, Math.max(-low, high)) });
      }
      const longest = Math.max(0, ...found.map(tick => tick.text.length));
      if (wanted === 1 || (longest * LETTER + 12) * (high - low) <= step * pixels) return found;
    }
  }

  // A number whose last digit counts 10^places; `largest`: of all that stand beside it.
  function written(value, places, largest) {
    if (value === 0) return "0";
    if (places < 5 && places > -13 && (largest >= 1e-3 || places >= -4)) return value.toFixed(Math.max(0, -places)).replace("-", "−");
    const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9), digits = Math.max(0, Math.min(15, power - places));
    return `${(value / 10 ** power).toFixed(digits).replace("-", "−")}·10${partitionTelling.raised(power)}`;
  }

  function made() {
    const mark = document.createElement("span");
    mark.append(document.createElement("i"), document.createElement("b")); // a line, and a number
    return mark;
  }

  function place(axis, found, shift) {
    while (axis.children.length < found.length) axis.append(made());
    [...axis.children].forEach((mark, k) => {
      mark.hidden = k >= found.length;
      if (mark.hidden) return;
      if (mark.textContent !== found[k].text) mark.lastChild.textContent = found[k].text;
      mark.style.transform = shift(found[k].value);
    });
  }

  // x, y: { low, high } of what the picture shows, in the plane's coordinates.
  function draw(panel, x, y) {
    const wide = panel.box.clientWidth, high = panel.box.clientHeight;
    const fits = tick => (tick.value - x.low) / (x.high - x.low) * wide + tick.text.length * LETTER / 2 < wide + 14;
    place(panel.axes.x, ticks(x.low, x.high, wide, APART.x).filter(fits), value => `translateX(${((value - x.low) / (x.high - x.low) * wide).toFixed(1)}px)`);
    const found = ticks(y.low, y.high, high, APART.y);
    panel.axes.y.classList.toggle("long", found.some(tick => tick.text.length > SHORT));
    place(panel.axes.y, found, value => `translateY(${((y.high - value) / (y.high - y.low) * high).toFixed(1)}px)`);
  }

  return { ticks, draw };
})();
