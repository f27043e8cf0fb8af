// Drawing a planar subdivision of 10⁵ regions pixel by pixel, into typed arrays: no path, no canvas, no dependency.
const raster = (() => {
  // Rows are sampled off the pixel's middle by an amount at which no vertex of a picture lies: no ties.
  const OFF = 0.5 + 0.01370412;

  // Vertices in pixels. world: x to the right, y up, width of the window 1; view: { x, y: top left, k: pixels a unit }.
  function project(panel, view, px, py) {
    const { x, y, count } = panel, k = view.k, x0 = view.x, y0 = view.y;
    for (let i = 0; i < count; i++) {
      px[i] = (x[i] - x0) * k;
      py[i] = (y0 - y[i]) * k;
    }
  }

  // Which region (1 …; 0: outside of the window) lies under each pixel's middle. Where an edge crosses a row, the region
  // on its right begins; between two pixels the last crossing counts.
  function regions(panel, px, py, w, h, ids, far) {
    const { start, end, left, right } = panel;
    far.fill(-Infinity);
    for (let e = 0; e < start.length; e++) {
      const a = start[e], b = end[e], ya = py[a], yb = py[b], xa = px[a], xb = px[b];
      if (ya === yb || (xa >= w && xb >= w)) continue;
      const top = ya < yb ? ya : yb, bottom = ya < yb ? yb : ya;
      if (bottom < 0 || top > h) continue;
      const first = top <= OFF ? 0 : Math.ceil(top - OFF), last = bottom - OFF;
      const id = yb < ya ? right[e] : left[e]; // upwards, what is on the right is the region on the right
      const slope = (xb - xa) / (yb - ya);
      for (let row = first; row < h && row < last; row++) {
        const x = xa + (row + OFF - ya) * slope;
        const column = x <= 0.5 ? 0 : Math.ceil(x - 0.5);
        if (column >= w) continue;
        const at = row * w + column;
        if (x > far[at]) {
          far[at] = x;
          ids[at] = id;
        }
      }
    }
    for (let row = 0, at = 0; row < h; row++) {
      let id = 0;
      for (let column = 0; column < w; column++, at++) {
        if (far[at] === -Infinity) ids[at] = id;
        else id = ids[at];
      }
    }
  }

  // How much of each pixel a line covers (0 … 255), and whose line it is, for the edges whose fold has the given tag.
  // tags: of each fold 0 (not drawn) or what is written into `tag`. Returns the sum of all coverage.
  function lines(panel, px, py, w, h, tags, half, cover, tag) {
    const { start, end, fold } = panel;
    let drawn = 0;
    for (let e = 0; e < start.length; e++) {
      const mark = tags[fold[e]];
      if (!mark) continue;
      let xa = px[start[e]], ya = py[start[e]], xb = px[end[e]], yb = py[end[e]];
      if ((xa < -2 && xb < -2) || (ya < -2 && yb < -2) || (xa > w + 2 && xb > w + 2) || (ya > h + 2 && yb > h + 2)) continue;
      const steep = Math.abs(yb - ya) > Math.abs(xb - xa);
      if (steep) { let t = xa; xa = ya; ya = t; t = xb; xb = yb; yb = t; }
      if (xa > xb) { let t = xa; xa = xb; xb = t; t = ya; ya = yb; yb = t; }
      const along = steep ? h : w, across = steep ? w : h;
      const slope = xb > xa ? (yb - ya) / (xb - xa) : 0;
      const thick = half * Math.sqrt(1 + slope * slope);
      const first = Math.max(0, Math.floor(xa - 0.3)), last = Math.min(along - 1, Math.floor(xb + 0.3));
      for (let i = first; i <= last; i++) {
        let middle = i + 0.5;
        middle = ya + slope * ((middle < xa ? xa : middle > xb ? xb : middle) - xa);
        const low = Math.floor(middle - thick), high = Math.floor(middle + thick);
        // the ends are not drawn whole, or they would stand out where edges meet
        const length = Math.min(1, Math.min(i + 1, xb + 0.3) - Math.max(i, xa - 0.3));
        for (let j = low < 0 ? 0 : low; j <= high && j < across; j++) {
          const share = Math.min(j + 1, middle + thick) - Math.max(j, middle - thick);
          const amount = 255 * length * (share > 1 ? 1 : share) | 0;
          const at = steep ? i * w + j : j * w + i;
          if (amount > cover[at]) {
            drawn += amount - cover[at];
            cover[at] = amount;
            tag[at] = mark;
          }
        }
      }
    }
    return drawn;
  }

  // Colours are 0xBBGGRR, as a little-endian pixel has them.
  function mix(under, over, share) {
    const rest = 256 - share;
    return (((under & 0xff00ff) * rest + (over & 0xff00ff) * share) >>> 8 & 0xff00ff)
      | (((under & 0x00ff00) * rest + (over & 0x00ff00) * share) >>> 8 & 0x00ff00);
  }

  function compose(ids, fill, cover, tag, colours, strength, pixels) {
    const share = Math.round(256 * strength);
    for (let at = 0; at < pixels.length; at++) {
      const colour = fill[ids[at]], amount = cover[at];
      pixels[at] = 0xff000000 | (amount ? mix(colour, colours[tag[at]], (amount * share) >> 8) : colour);
    }
  }

  const packed = hex => parseInt(hex.slice(5, 7) + hex.slice(3, 5) + hex.slice(1, 3), 16);
  return { project, regions, lines, compose, mix, packed };
})();
