"use strict";
(() => {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const COLORS = { batch: "#0072b2", recenter: "#d55e00", rescale: "#009e73", none: "#6e6e6e" };
  const NAMES = { batch: "Batch norm", recenter: "Recenter only", rescale: "Rescale only", none: "No norm" };
  const RANGES = {
    unit: { range: [-0.03, 1.05] },
    rank: { range: [0, 1.05 * payload.samples.labels.length] },
  };
  const FONT = { family: "system-ui, sans-serif", size: 12, color: "#57606a" };
  const CONFIG = { displayModeBar: false, responsive: true };
  const CIVIDIS = [[0, "#00224e"], [0.125, "#123570"], [0.25, "#3b496c"], [0.375, "#575d6d"], [0.5, "#707173"],
    [0.625, "#8a8678"], [0.75, "#a59c74"], [0.875, "#c3b369"], [0.94, "#d8c55a"], [1, "#fee838"]];
  const samples = payload.samples;
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const images = bytes(samples.images);
  const pixels = images.length / samples.labels.length;
  const titles = samples.shown.map(i => `sample ${i} (a ${samples.labels[i]})`);

  // Cosine matrix at one stop from its packed upper triangle.
  function matrix(packed, stop) {
    const m = samples.shown.length, z = Array.from({ length: m }, () => new Array(m));
    let at = stop * m * (m - 1) / 2;
    for (let i = 0; i < m; i++) {
      z[i][i] = 1;
      for (let j = i + 1; j < m; j++, at++) z[i][j] = z[j][i] = packed[at] === -128 ? null : packed[at] / 127;
    }
    return z;
  }

  function drawDigit(canvas, index) {
    const side = Math.sqrt(pixels), context = canvas.getContext("2d"), image = context.createImageData(side, side);
    for (let p = 0; p < pixels; p++) {
      const ink = 255 - images[index * pixels + p];
      image.data.set([ink, ink, ink, 255], 4 * p);
    }
    context.putImageData(image, 0, 0);
  }

  function drawMaps(section, root) {
    const packed = {};
    let low = 0;
    for (const norm of section.norms) {
      packed[norm] = new Int8Array(bytes(section.cosines[norm]).buffer);
      if (packed[norm].some(v => v < -12 && v > -128)) low = -1;
    }
    const bar = root.querySelector(".scale .bar");
    bar.style.background = `linear-gradient(to right, ${CIVIDIS.map(([at, color]) => `${color} ${100 * at}%`).join(", ")})`;
    root.querySelector(".scale .low").textContent = low === 0 ? "0" : "−1";
    root.querySelector(".scale .high").textContent = "1";
    const slider = root.querySelector("input[type=range]"), output = root.querySelector("output");
    const maps = [...root.querySelectorAll(".map")].map(figure => ({ figure, norm: figure.dataset.norm, plot: figure.querySelector(".plot") }));

    for (const { norm, plot } of maps) {
      const trace = {
        type: "heatmap", z: matrix(packed[norm], +slider.value), x: titles, y: titles, zmin: low, zmax: 1,
        colorscale: CIVIDIS, showscale: false, hovertemplate: "%{y}<br>%{x}<br>cosine %{z:.2f}<extra></extra>",
      };
      const axis = { visible: false, fixedrange: true };
      Plotly.newPlot(plot, [trace], {
        margin: { l: 0, r: 0, t: 0, b: 0 }, xaxis: axis, yaxis: { ...axis, autorange: "reversed" }, font: FONT,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "#f6f8fa",
      }, CONFIG);
    }

    function describe() {
      const stop = +slider.value, row = section.stops[stop];
      const name = document.createElement("span");
      name.className = "name";
      name.textContent = ` of ${section.depths[section.depths.length - 1]}`;
      output.replaceChildren(`layer ${section.depths[row]}`, name);
      slider.setAttribute("aria-valuetext", `layer ${section.depths[row]}, ${section.layers[row]}`);
      for (const { figure, norm } of maps) {
        const mean = section.cos_mean[norm][row], index = section.odd[norm][row], score = section.odd_score[norm][row];
        const stands = index >= 0 && score > 0.5, canvas = figure.querySelector("canvas");
        canvas.hidden = !stands;
        if (stands) drawDigit(canvas, index);
        const cosine = mean === null ? "no direction left" : `mean cosine ${mean.toFixed(2)}`;
        figure.querySelector(".now span").textContent = stands ? `${cosine}, odd: sample ${index}` : cosine;
      }
    }

    // One redraw a frame however fast the slider moves.
    let pending = false;
    function update() {
      describe();
      if (pending) return;
      pending = true;
      requestAnimationFrame(() => {
        pending = false;
        for (const { norm, plot } of maps) Plotly.restyle(plot, { z: [matrix(packed[norm], +slider.value)] });
        root.dataset.drawn = slider.value;
      });
    }
    slider.addEventListener("input", update);
    describe();
    root.dataset.drawn = slider.value;
    play(root.querySelector(".play"), slider);
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

  // Few decades are labelled at 1, 2, 5; more of them at every power of ten; many at some.
  function logarithmic(chart) {
    const values = Object.values(chart.lines).flat().filter(v => v > 0);
    const decades = Math.log10(Math.max(...values) / Math.min(...values));
    if (decades < 1.5) return { type: "log", dtick: "D2", tickformat: "~g" };
    return { type: "log", exponentformat: "power", ...(decades < 7 ? { dtick: 1 } : { nticks: 6 }) };
  }

  function drawChart(section, chart, plot) {
    const ends = [section.depths[0], section.depths[section.depths.length - 1]];
    const expected = Object.entries(chart.expected).map(([norm, line]) => ({
      x: ends, y: line.y, mode: "lines", line: { color: COLORS[norm], width: 2, dash: "dash" }, opacity: 0.75,
      name: `${NAMES[norm]}, theory`, hovertemplate: "%{y:.3g}", legendgroup: norm,
    }));
    const lines = section.norms.map(norm => ({
      x: section.depths, y: chart.lines[norm], mode: "lines", line: { color: COLORS[norm], width: 2 },
      name: NAMES[norm], hovertemplate: "%{y:.3g}",
    }));
    const grid = { gridcolor: "#e7ebef", zeroline: false, linecolor: "#d8dee4", fixedrange: true };
    Plotly.newPlot(plot, [...lines, ...expected], {
      margin: { l: 62, r: 8, t: 6, b: 42 }, showlegend: false, font: FONT, hovermode: "x unified",
      hoverlabel: { font: { ...FONT, color: "#1b1f24" }, bgcolor: "#ffffff", bordercolor: "#d8dee4" },
      xaxis: { ...grid, title: { text: "layer", font: FONT, standoff: 6 }, unifiedhovertitle: { text: "layer %{x}" } },
      yaxis: { ...grid, ...(RANGES[chart.scale] || logarithmic(chart)), title: { text: chart.axis, font: FONT, standoff: 8 } },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    }, CONFIG);
  }

  for (const section of payload.sections) {
    const root = document.getElementById(section.id);
    drawMaps(section, root);
    for (const chart of section.charts) {
      drawChart(section, chart, root.querySelector(`[data-chart="${chart.key}"] .plot`));
    }
  }
  document.documentElement.dataset.ready = "true";
})();
