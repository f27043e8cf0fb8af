(() => {
  const { FONT, CONFIG, CIVIDIS, GRID, HOVER, bytes, cosines, logarithmic, play } = normscope;
  const data = JSON.parse(document.getElementById("payload").textContent);
  const { quantities, networks, layers, kinds, shapes } = data;
  const COLORS = ["#0072b2", "#d55e00"];
  const several = networks.length > 1;
  const TOUCH = matchMedia("(pointer: coarse)").matches; // a finger that scrolls over a chart must not zoom it
  const $ = (selector, root = document) => root.querySelector(selector);
  const escaped = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); // plotly reads tags
  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const elided = (text, length) => {
    if (text.length <= length) return text;
    const head = Math.floor((length - 1) / 2);
    return `${text.slice(0, head)}…${text.slice(text.length - (length - 1 - head))}`;
  };

  // A layer's dotted name: words become their first letters, from the left, as few as needed; its numbers stay.
  const shortPath = (name, length) => {
    const parts = name.split(".");
    for (let i = 0; i < parts.length - 1 && parts.join(".").length > length; i++) {
      if (parts[i] && !/^\d+$/.test(parts[i])) parts[i] = parts[i][0];
    }
    return elided(parts.join("."), length);
  };

  // Numbers as readers want them: the same rules as in the printed table.
  const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  function written(value, form) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value;
    const minus = text => text.replace("-", "−");
    if (form === "index") return value < 0 ? "–" : String(value);
    if (form === "percent") return `${(100 * value).toFixed(0)}%`;
    if (form === "cosine") return minus(value.toFixed(2).replace(/^-0\.00$/, "0.00"));
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 0.01 && size < 1000) return minus(value.toPrecision(3));
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return minus(`${mantissa}·10${[...exponent.replace("+", "")].map(c => SUPERSCRIPT[c]).join("")}`);
  }
  const finite = value => (typeof value === "number" ? value : null);
  const column = (network, key) => networks[network].values[key];

  // One thing a frame: whatever is to be drawn answers in turn, the newest wish for each figure counts.
  const wishes = new Map();
  function draw(key, task) {
    if (!wishes.size) requestAnimationFrame(next);
    wishes.delete(key);
    wishes.set(key, task);
  }
  function next() {
    const [key, task] = wishes.entries().next().value;
    wishes.delete(key);
    task();
    if (wishes.size) requestAnimationFrame(next);
  }

  const state = { rows: layers.map((_, i) => i), order: [], selected: -1, key: null, direction: 1, by: 0 };

  // ---- charts through depth

  const charts = [...document.querySelectorAll(".chart")].map(figure => {
    const quantity = quantities.find(q => q.key === figure.dataset.chart);
    return { figure, plot: $(".plot", figure), quantity, drawn: false, seen: false, stale: true };
  });

  function lines(chart) {
    return [...networks.map((_, k) => line(chart, chart.quantity.key, k)), ...expected(chart)];
  }

  // What is expected of the values, dashed: of two networks once, where it is the same for both.
  function expected(chart) {
    const key = chart.quantity.reference;
    const known = networks.map((_, k) => k).filter(k => key && column(k, key));
    const same = known.length > 1 && networks[0].positions.every((at, row) => at === networks[1].positions[row])
      && column(0, key).every((value, row) => value === column(1, key)[row]);
    return (same ? [0] : known).map(k => {
      const drawn = line(chart, key, k);
      const name = escaped(quantities.find(q => q.key === key).title);
      return {
        ...drawn, mode: "lines", line: { color: same || !several ? "#57606a" : COLORS[k], width: 1.5, dash: "dash" },
        hovertemplate: `${name}: <b>%{y:.3~g}</b><extra></extra>`,
      };
    });
  }

  function line(chart, key, k) {
    const network = networks[k], values = column(k, key);
    const rows = values ? state.rows.filter(row => network.positions[row] >= 0) : [];
    return {
      x: rows.map(row => network.positions[row] + 1), y: rows.map(row => finite(values[row])), customdata: rows,
      text: rows.map(row => escaped(shortPath(layers[row], 44))), mode: rows.length > 150 ? "lines" : "lines+markers",
      line: { color: COLORS[k], width: rows.length > 400 ? 1.25 : 2 }, marker: { size: 5, color: COLORS[k] },
      hovertemplate: `%{text}<br>${several ? `${escaped(elided(network.name, 30))}: ` : ""}<b>%{y:.3~g}</b><extra></extra>`,
      connectgaps: true,
    };
  }

  function axis(chart) {
    if (chart.quantity.scale === "unit") {
      const low = networks.flatMap((_, k) => column(k, chart.quantity.key) || []).map(finite).reduce((a, b) => Math.min(a, b), 0);
      return { range: [Math.max(-1.05, 1.1 * low - 0.03), 1.05] };
    }
    if (chart.quantity.scale === "rank") return { range: [0, 1.05 * Math.max(...networks.map(n => n.batch))] };
    const shown = [chart.quantity.key, chart.quantity.reference].filter(Boolean);
    const values = shown.flatMap(key => networks.flatMap((_, k) => column(k, key) || [])).map(finite).filter(v => v !== null);
    const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    if (chart.quantity.scale === "log" ? high > 0 : low > 0 && high > 100 * low) return logarithmic(values);
    return {};
  }

  const marker = () => networks.filter(n => state.selected >= 0 && n.positions[state.selected] >= 0).slice(0, 1).map(network => ({
    type: "line", yref: "paper", y0: 0, y1: 1, x0: network.positions[state.selected] + 1, x1: network.positions[state.selected] + 1,
    line: { color: "#1b1f24", width: 1, dash: "dot" }, layer: "below",
  }));

  function drawChart(chart) {
    chart.stale = false;
    if (chart.drawn) {
      const drawn = lines(chart);
      Plotly.restyle(chart.plot, Object.fromEntries(["x", "y", "customdata", "text", "mode", "line"].map(key => [key, drawn.map(line => line[key])])));
      return;
    }
    chart.drawn = true;
    Plotly.newPlot(chart.plot, lines(chart), {
      margin: { l: 62, r: 8, t: 6, b: 42 }, showlegend: false, font: FONT, hovermode: "x", hoverlabel: HOVER,
      dragmode: TOUCH ? false : "zoom", shapes: marker(),
      xaxis: { ...GRID, title: { text: "layer call", font: FONT, standoff: 6 }, fixedrange: TOUCH },
      yaxis: { ...GRID, ...axis(chart), fixedrange: TOUCH },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    }, CONFIG);
    chart.plot.on("plotly_click", event => select(event.points[0].customdata));
    chart.plot.on("plotly_relayout", event => zoom(chart, event));
    chart.figure.dataset.drawn = "true";
  }

  // A zoom along depth is one of all charts; they follow when they are next seen.
  let zooming = false, window_ = null;
  function zoom(source, event) {
    if (zooming || !("xaxis.range[0]" in event || "xaxis.autorange" in event)) return;
    window_ = "xaxis.range[0]" in event ? [event["xaxis.range[0]"], event["xaxis.range[1]"]] : null;
    for (const chart of charts) {
      if (chart !== source && chart.drawn) draw(`zoom ${chart.quantity.key}`, () => {
        zooming = true;
        Plotly.relayout(chart.plot, window_ ? { "xaxis.range": window_ } : { "xaxis.autorange": true });
        zooming = false;
      });
    }
  }

  const observer = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const chart = charts.find(c => c.figure === entry.target);
      chart.seen = entry.isIntersecting;
      if (chart.seen && chart.stale) draw(chart.quantity.key, () => drawChart(chart));
      if (chart.seen && chart.unmarked) mark(chart);
    }
  }, { rootMargin: "300px" });

  function mark(chart) {
    chart.unmarked = !chart.seen;
    if (chart.seen && chart.drawn) draw(`mark ${chart.quantity.key}`, () => Plotly.relayout(chart.plot, { shapes: marker() }));
  }

  // ---- the filter

  const find = $("#find"), kind = $("#kind"), count = $("#count");
  const counts = new Map();
  for (const name of kinds) counts.set(name, (counts.get(name) || 0) + 1);
  for (const [name, times] of counts) kind.append(Object.assign(element("option", `${elided(name, 40)} (${times})`), { value: name }));

  function filter() {
    const wanted = find.value.trim().toLowerCase(), parts = wanted.split("*");
    const matches = text => {
      let at = 0;
      for (const part of parts) {
        at = text.indexOf(part, at);
        if (at < 0) return false;
        at += part.length;
      }
      return true;
    };
    state.rows = layers.flatMap((name, i) => ((!kind.value || kinds[i] === kind.value) && matches(name.toLowerCase()) ? [i] : []));
    count.textContent = state.rows.length === layers.length ? `${layers.length} layer calls` : `${state.rows.length} of ${layers.length}`;
    for (const chart of charts) {
      chart.stale = true;
      if (chart.seen) draw(chart.quantity.key, () => drawChart(chart));
    }
    sort();
    fit();
  }
  find.addEventListener("input", filter);
  kind.addEventListener("change", filter);

  // ---- the table: only the rows in sight are in the document, so that thousands cost what fifty do

  const grid = $(".grid"), body = $("tbody", grid), head = $("thead", grid);
  const ROW = several ? 46 : 34, PAST = 12;
  grid.style.setProperty("--row", `${ROW}px`);
  const narrow = innerWidth < 700;
  const measured = quantities.map(q => ({ ...q, width: narrow ? 92 : 104 }));
  const labels = [
    { key: "kind", title: "Kind", text: kinds, width: 128 },
    { key: "shape", title: "Shape of a sample", text: shapes, width: 112 },
  ];
  const name = { key: "layer", title: "Layer", text: layers, width: narrow ? 150 : 290 };
  const fields = narrow ? [name, ...measured, ...labels] : [name, ...labels, ...measured];
  {
    const row = element("tr");
    for (const field of fields) {
      const cell = element("th", undefined, field.text ? "text" : ""), button = element("button", field.title);
      cell.scope = "col";
      cell.dataset.key = field.key;
      button.type = "button";
      if (field.meaning) button.title = field.meaning;
      button.addEventListener("click", () => sortBy(field));
      cell.append(button);
      row.append(cell);
      $("colgroup", grid).append(Object.assign(element("col"), { style: `width: ${field.width}px` }));
    }
    head.append(row);
  }

  function sortBy(field) {
    const first = field.text ? 1 : -1; // numbers: the largest first
    if (state.key !== field.key) Object.assign(state, { key: field.key, direction: first });
    else if (state.direction === first) state.direction = -first;
    else state.key = null; // the third click: forward order again
    sort();
  }

  function sort() {
    const field = fields.find(f => f.key === state.key);
    state.order = [...state.rows];
    if (field) {
      const values = field.text || sortable(field.key);
      const undefined_ = value => value === null || value === undefined || Number.isNaN(value);
      state.order.sort((a, b) => {
        const x = values[a], y = values[b];
        if (undefined_(x) || undefined_(y)) return undefined_(x) - undefined_(y) || a - b;
        return state.direction * (x < y ? -1 : x > y ? 1 : 0) || a - b;
      });
    }
    for (const cell of head.querySelectorAll("th")) {
      if (field && cell.dataset.key === field.key) cell.setAttribute("aria-sort", state.direction > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    }
    grid.scrollTop = 0;
    fill(true);
  }

  function sortable(key) {
    const plain = network => (column(network, key) || []).map(v => (v === "∞" || v === "NaN" ? Infinity : v === "−∞" ? -Infinity : v === "~0" ? 0 : v));
    if (state.by < 2) return plain(state.by);
    const first = plain(0), second = plain(1);
    return first.map((v, i) => (v === null || second[i] === null ? null : Math.abs(v - second[i])));
  }
  if (several) $("#by").addEventListener("change", event => { state.by = +event.target.value; sort(); });

  function cells(row) {
    const line = element("tr", undefined, row === state.selected ? "selected" : "");
    line.dataset.row = row;
    for (const field of fields) {
      if (field.text) {
        const shortened = field.key === "layer" ? shortPath : elided;
        const cell = element(field.key === "layer" ? "th" : "td", shortened(field.text[row], Math.floor(field.width / 7.2)), "text");
        if (field.key === "layer") cell.scope = "row";
        cell.title = field.text[row];
        line.append(cell);
        continue;
      }
      const cell = element("td");
      if (field.key === "trouble") cell.title = networks.map(n => n.why[row]).filter(Boolean).join(", ");
      if (several) networks.forEach((_, k) => cell.append(element("span", written((column(k, field.key) || [])[row], field.form), k ? "second" : "first")));
      else cell.textContent = written(column(0, field.key)[row], field.form);
      line.append(cell);
    }
    return line;
  }

  let from = -1, to = -1;
  function fill(anew) {
    const start = Math.max(0, Math.floor(grid.scrollTop / ROW) - PAST);
    const end = Math.min(state.order.length, Math.ceil((grid.scrollTop + grid.clientHeight) / ROW) + PAST);
    if (!anew && start === from && end === to) return;
    [from, to] = [start, end];
    const space = rows => {
      const line = element("tr", undefined, "space"), cell = element("td");
      cell.colSpan = fields.length;
      cell.style.height = `${rows * ROW}px`;
      line.append(cell);
      return line;
    };
    const shown = state.order.slice(start, end).map(cells);
    if (!state.order.length) {
      const line = element("tr", undefined, "none"), cell = element("td", "No layer of that name and kind.");
      cell.colSpan = fields.length;
      line.append(cell);
      shown.push(line);
    }
    body.replaceChildren(...(start ? [space(start)] : []), ...shown, ...(end < state.order.length ? [space(state.order.length - end)] : []));
    $("table", grid).setAttribute("aria-rowcount", state.order.length + 1);
    if (anew) fill(false); // the rows have made the grid higher than it was
  }
  grid.addEventListener("scroll", () => fill(false), { passive: true });
  addEventListener("resize", () => fill(false));
  body.addEventListener("click", event => {
    const line = event.target.closest("tr[data-row]");
    if (line) select(+line.dataset.row, "table");
  });
  grid.addEventListener("keydown", event => {
    if (event.target.closest("button")) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter" && state.selected >= 0) return reveal();
    if (step === undefined || !state.order.length) return;
    event.preventDefault();
    const at = state.order.indexOf(state.selected);
    const to = Math.min(state.order.length - 1, Math.max(0, at < 0 ? 0 : at + step));
    const top = to * ROW, height = grid.clientHeight - head.offsetHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW > grid.scrollTop + height) grid.scrollTop = top + ROW - height;
    select(state.order[to], "keys");
  });

  // ---- one layer closely

  const root = $("#layer"), slider = $("input[type=range]", root), output = $("output", root);
  const packed = networks.map(network => new Int8Array(bytes(network.cosines).buffer));
  const low = packed.some(values => values.some(v => v < -12 && v > -128)) ? -1 : 0;
  $(".scale .bar", root).style.background = `linear-gradient(to right, ${CIVIDIS.map(([at, color]) => `${color} ${100 * at}%`).join(", ")})`;
  $(".scale .low", root).textContent = low ? "−1" : "0";
  const maps = [...root.querySelectorAll(".map")].map(figure => ({ plot: $(".plot", figure), note: $(".note", figure) }));
  const channels = { plot: $(".channels .plot", root), note: $(".channels .note", root) };

  function fit() {
    slider.max = Math.max(0, state.rows.length - 1);
    const at = state.rows.indexOf(state.selected);
    if (at >= 0) slider.value = at;
    slider.disabled = !state.rows.length;
  }
  slider.addEventListener("input", () => select(state.rows[+slider.value], "slider"));
  play($(".play", root), slider);

  function reveal() {
    const box = root.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) root.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  function select(row, by) {
    if (row === undefined || row === state.selected) {
      if (by === "table") reveal();
      return;
    }
    state.selected = row;
    for (const line of body.querySelectorAll("tr[data-row]")) line.classList.toggle("selected", +line.dataset.row === row);
    if (by !== "slider") fit();
    output.textContent = `${row + 1} of ${layers.length}`;
    slider.setAttribute("aria-valuetext", layers[row]);
    $(".chosen b", root).textContent = layers[row];
    $(".chosen span", root).textContent = `${kinds[row]}, ${shapes[row]} a sample`;
    listNumbers(row);
    draw("closely", () => { drawMaps(row); drawChannels(row); root.dataset.drawn = row; });
    for (const chart of charts) mark(chart);
    if (by === "table") reveal();
  }

  function drawMaps(row) {
    maps.forEach(({ plot, note }, k) => {
      const network = networks[k], slot = network.slots[row], m = network.shown.length;
      const titles = network.shown.map(i => `sample ${i}`);
      note.textContent = slot < 0 ? (network.positions[row] < 0 ? "This network has no such layer." : "This output has no row a sample.")
        : m < network.batch ? `${m} of ${network.batch} samples` : `${m} samples`;
      const hidden = { visible: false, fixedrange: true };
      Plotly.react(plot, slot < 0 ? [] : [{
        type: "heatmap", z: cosines(packed[k], slot, m), x: titles, y: titles, zmin: low, zmax: 1, colorscale: CIVIDIS,
        showscale: false, hovertemplate: "%{y}<br>%{x}<br>cosine %{z:.2f}<extra></extra>",
      }], {
        margin: { l: 0, r: 0, t: 0, b: 0 }, xaxis: hidden, yaxis: { ...hidden, autorange: "reversed" }, font: FONT, hoverlabel: HOVER,
        dragmode: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "#f6f8fa",
      }, CONFIG);
    });
  }

  function drawChannels(row) {
    const drawn = [], notes = [];
    networks.forEach((network, k) => {
      const held = network.channels[row];
      if (!held) return;
      const curves = [...new Float32Array(bytes(held.curves).buffer)].map(v => (Number.isFinite(v) ? v : null));
      const points = curves.length / 2;
      const x = Array.from({ length: points }, (_, i) => (points > 1 ? 100 * i / (points - 1) : 50));
      for (const [name, at, dash] of [["mean", 0, "solid"], ["standard deviation", points, "dot"]]) {
        drawn.push({
          x, y: curves.slice(at, at + points), mode: points > 1 ? "lines" : "markers", name: several ? `${name}, ${escaped(elided(network.name, 24))}` : name,
          line: { color: several ? COLORS[k] : at ? "#d55e00" : "#0072b2", width: 2, dash: several ? dash : "solid" },
          hovertemplate: `${name} %{y:.3~g}<extra></extra>`,
        });
      }
      notes.push(`${held.count} channels${held.dead ? `, ${held.dead} dead` : ""}`);
    });
    channels.note.textContent = notes.length ? [...new Set(notes)].join("; ") : "No channels were measured here.";
    const grid_ = { ...GRID, fixedrange: true };
    Plotly.react(channels.plot, drawn, {
      margin: { l: 48, r: 6, t: 6, b: several ? 96 : 66 }, font: FONT, hovermode: "x", hoverlabel: HOVER, dragmode: false,
      legend: { orientation: "h", y: -0.2, x: 0 }, showlegend: drawn.length > 0,
      xaxis: { ...grid_, title: { text: "% of the channels", font: FONT, standoff: 4 } }, yaxis: { ...grid_, zeroline: true, zerolinecolor: "#d8dee4" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    }, CONFIG);
  }

  function listNumbers(row) {
    $(".numbers", root).replaceChildren(...quantities.map(q => {
      const line = element("div"), title = element("dt", q.title);
      if (q.meaning) title.title = q.meaning;
      line.append(title, ...networks.map((network, k) => {
        const text = written((column(k, q.key) || [])[row], q.form);
        const why = q.key === "trouble" && network.why[row];
        return element("dd", why ? `${why} ${text}` : text, several ? (k ? "second" : "first") : "");
      }));
      return line;
    }));
  }

  filter();
  for (const chart of charts) observer.observe(chart.figure);
  const worst = layers.map((_, row) => Math.max(...networks.map((_, k) => column(k, "trouble")[row] ?? -1)));
  select(worst.indexOf(Math.max(...worst)), "start");
  document.documentElement.dataset.ready = "true";
})();
