(() => {
  const { FONT, CONFIG, CIVIDIS, GRID, HOVER, bytes, cosines, logarithmic, play } = normscope;
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const COLORS = { batch: "#0072b2", recenter: "#d55e00", rescale: "#009e73", none: "#6e6e6e" };
  const NAMES = { batch: "Batch norm", recenter: "Recenter only", rescale: "Rescale only", none: "No norm" };
  const RANGES = {
    unit: { range: [-0.03, 1.05] },
    rank: { range: [0, 1.05 * payload.samples.labels.length] },
  };
  const samples = payload.samples;
  const images = bytes(samples.images);
  const pixels = images.length / samples.labels.length;
  const titles = samples.shown.map(i => `sample ${i} (a ${samples.labels[i]})`);

  function drawDigit(canvas, index) {
    const side = Math.sqrt(pixels), context = canvas.getContext("2d"), image = context.createImageData(side, side);
    for (let p = 0; p < pixels; p++) {
      const ink = 255 - images[index * pixels + p];
      image.data.set([ink, ink, ink, 255], 4 * p);
    }
    context.putImageData(image, 0, 0);
  }

  function named(odd) {
    if (odd.length === 0) return "";
    if (odd.length === 1) return `, odd: sample ${odd[0]}`;
    return odd.length > 3 ? `, ${odd.length} odd samples` : `, odd: samples ${odd.join(", ")}`;
  }

  function drawMaps(section, root) {
    const packed = {};
    for (const norm of section.norms) packed[norm] = new Int8Array(bytes(section.cosines[norm]).buffer);
    const matrix = norm => cosines(packed[norm], +slider.value, samples.shown.length);
    const bar = root.querySelector(".scale .bar");
    bar.style.background = `linear-gradient(to right, ${CIVIDIS.map(([at, color]) => `${color} ${100 * at}%`).join(", ")})`;
    const slider = root.querySelector("input[type=range]"), output = root.querySelector("output");
    const maps = [...root.querySelectorAll(".map")].map(figure => ({ figure, norm: figure.dataset.norm, plot: figure.querySelector(".plot") }));

    for (const { norm, plot } of maps) {
      const trace = {
        type: "heatmap", z: matrix(norm), x: titles, y: titles, zmin: 0, zmax: 1, // behind a ReLU no cosine is negative
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
        const mean = section.cos_mean[norm][row], odd = section.odd[norm][row], canvas = figure.querySelector("canvas");
        canvas.hidden = odd.length !== 1;
        if (odd.length === 1) drawDigit(canvas, odd[0]);
        const cosine = mean === null ? "no direction left" : `mean cosine ${mean.toFixed(2)}`;
        figure.querySelector(".now span").textContent = cosine + named(odd);
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
        for (const { norm, plot } of maps) Plotly.restyle(plot, { z: [matrix(norm)] });
        root.dataset.drawn = slider.value;
      });
    }
    slider.addEventListener("input", update);
    describe();
    root.dataset.drawn = slider.value;
    play(root.querySelector(".play"), slider);
  }

  function drawChart(section, chart, plot) {
    const mode = section.depths.length < 3 ? "lines+markers" : "lines";  // a line of one point is not seen
    const ends = [section.depths[0], section.depths[section.depths.length - 1]];
    const expected = Object.entries(chart.expected).map(([norm, line]) => ({
      x: ends, y: line.y, mode: "lines", line: { color: COLORS[norm], width: 2, dash: "dash" }, opacity: 0.75,
      name: `${NAMES[norm]}, theory`, hovertemplate: "%{y:.3g}", legendgroup: norm,
    }));
    const lines = section.norms.map(norm => ({
      x: section.depths, y: chart.scale === "log" ? chart.lines[norm].map(v => v || null) : chart.lines[norm], mode, line: { color: COLORS[norm], width: 2 },
      name: NAMES[norm], hovertemplate: "%{y:.3g}",
    }));
    const grid = { ...GRID, fixedrange: true };
    Plotly.newPlot(plot, [...lines, ...expected], {
      margin: { l: 62, r: 8, t: 6, b: 42 }, showlegend: false, font: FONT, hovermode: "x unified",
      hoverlabel: HOVER,
      xaxis: { ...grid, title: { text: "layer", font: FONT, standoff: 6 }, unifiedhovertitle: { text: "layer %{x}" } },
      yaxis: { ...grid, ...(RANGES[chart.scale] || logarithmic(Object.values(chart.lines).flat())), title: { text: chart.axis, font: FONT, standoff: 8 } },
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
