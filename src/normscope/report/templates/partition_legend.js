// What colours and marks stand for, beside the pictures.
const partitionLegend = (() => {
  const $ = selector => document.querySelector(selector);

  // The ramp of active units, whose ends follow the layers that are shown.
  function ramp(panels, look, deepest) {
    const shown = panels.map(panel => partitionLevels.at(panel, look.level));
    look.range = [Math.min(...shown.map(here => here.range[0])), Math.max(...shown.map(here => here.range[1]))];
    const every = look.level >= deepest || !shown.every(here => here.byLayers);
    const [low, high] = look.range, layers = every ? "of all layers" : look.level === 1 ? "of layer 1" : `of layers ≤ ${look.level}`;
    const none = shown.every(here => !here.units) ? "; max pooling has none" : "";
    $(".ramp .least").textContent = low;
    for (const part of [$(".ramp .least"), $(".ramp .colours")]) part.hidden = low === high;
    $(".ramp .most").textContent = `${high} active ${high === 1 && low === high ? "unit" : "units"}, ${layers}${none}`;
  }

  function draw(panels, look, data, deepest) {
    document.body.dataset.by = look.by;
    if (look.by === "active") ramp(panels, look, deepest);
    for (const canvas of document.querySelectorAll(".markers canvas")) partitionOverlay.marker(canvas, look, data);
  }

  return { draw };
})();
