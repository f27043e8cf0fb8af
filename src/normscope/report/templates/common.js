"use strict";
// What every page of normscope draws with.
const normscope = (() => {
  const FONT = { family: "system-ui, sans-serif", size: 12, color: "#57606a" };
  const CONFIG = { displayModeBar: false, responsive: true };
  const CIVIDIS = [[0, "#00224e"], [0.125, "#123570"], [0.25, "#3b496c"], [0.375, "#575d6d"], [0.5, "#707173"],
    [0.625, "#8a8678"], [0.75, "#a59c74"], [0.875, "#c3b369"], [0.94, "#d8c55a"], [1, "#fee838"]];
  const GRID = { gridcolor: "#e7ebef", zeroline: false, linecolor: "#d8dee4" };
  const HOVER = { font: { ...FONT, color: "#1b1f24" }, bgcolor: "#ffffff", bordercolor: "#d8dee4" };
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

  // The k-th cosine matrix of m samples, from upper triangles packed one after another.
  function cosines(packed, k, m) {
    const z = Array.from({ length: m }, () => new Array(m));
    let at = k * m * (m - 1) / 2;
    for (let i = 0; i < m; i++) {
      z[i][i] = 1;
      for (let j = i + 1; j < m; j++, at++) z[i][j] = z[j][i] = packed[at] === -128 ? null : packed[at] / 127;
    }
    // a sample with no cosine to any other is zero: it has none to itself
    z.forEach((row, i) => { if (m > 1 && row.every((v, j) => v === null || j === i)) row[i] = null; });
    return z;
  }

  // Few decades are labelled at 1, 2, 5; more of them at every power of ten; many at some. What has not two such labels
  // is hardly more than level: its axis is linear.
  function logarithmic(values) {
    const positive = values.filter(v => v > 0);
    const low = positive.reduce((a, b) => Math.min(a, b), Infinity), high = positive.reduce((a, b) => Math.max(a, b), 0);
    const decades = Math.log10(high / low);
    if (!(decades > 0) || labels(low, high) < 2) return { type: "linear", exponentformat: "power" };
    if (decades < 2) return { type: "log", dtick: "D2", tickformat: "~g" };
    return { type: "log", exponentformat: "power", ...(decades < 7 ? { dtick: 1 } : { nticks: 6 }) };
  }

  // How many of 1, 2, 5, 10, 20, ... lie from low to high; two are enough to stop counting.
  function labels(low, high) {
    let count = 0;
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high && count < 2; power *= 10) {
      for (const digit of [1, 2, 5]) if (digit * power >= low && digit * power <= high) count++;
    }
    return count;
  }

  function play(button, slider) {
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; button.textContent = "▶"; };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (+slider.value === +slider.max) slider.value = 0;
      button.textContent = "❚❚";
      timer = setInterval(() => {
        slider.value = +slider.value + 1;
        slider.dispatchEvent(new Event("input"));
        if (+slider.value === +slider.max) stop();
      }, 120);
    });
    slider.addEventListener("pointerdown", stop);
  }

  return { FONT, CONFIG, CIVIDIS, GRID, HOVER, bytes, cosines, logarithmic, play };
})();
