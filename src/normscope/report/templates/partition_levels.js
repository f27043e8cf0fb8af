// A picture by its first layers alone: regions that only later layers divide are one there.
const partitionLevels = (() => {
  // Of each region the number of the one that stands for all that are one with it; 0: outside of the window.
  function merged(panel, level) {
    const root = Int32Array.from({ length: panel.share.length + 1 }, (_, i) => i);
    const find = i => {
      while (root[i] !== i) i = root[i] = root[root[i]];
      return i;
    };
    for (let e = 0; e < panel.fold.length; e++) {
      if (panel.fold[e] > level && panel.left[e] && panel.right[e]) {
        const a = find(panel.left[e]), b = find(panel.right[e]);
        if (a !== b) root[a] = b;
      }
    }
    for (let i = 0; i < root.length; i++) root[i] = find(i);
    return root;
  }

  // Of each region the last layer that cut the one which holds it (0: none). A cut stays on the border of what it cuts
  // off, unless another one, no earlier, comes between: so it is the largest on the border.
  function bornBy(panel, level, roots) {
    const { fold, left, right } = panel, latest = new Uint16Array(roots.length), born = new Uint16Array(roots.length - 1);
    for (let e = 0; e < fold.length; e++) {
      if (fold[e] > level) continue;
      const a = roots[left[e]], b = roots[right[e]];
      if (fold[e] > latest[a]) latest[a] = fold[e];
      if (fold[e] > latest[b]) latest[b] = fold[e];
    }
    for (let i = 0; i < born.length; i++) born[i] = latest[roots[i + 1]];
    return born;
  }

  // How many units of the first layers are active in each region; null: that is known of all layers only.
  function activeBy(panel, level) {
    if (level === panel.done && panel.active) return panel.active;
    if (!panel.activeOf) return null;
    const sum = new Uint32Array(panel.share.length);
    for (const counts of panel.activeOf.slice(0, level)) for (let i = 0; i < sum.length; i++) sum[i] += counts[i];
    return sum;
  }

  function rangeOf(values) {
    let low = Infinity, high = 0;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  }

  // All of this for one level, each when it is asked for, until another level is.
  function at(panel, wanted) {
    const level = Math.min(wanted, panel.done);
    if (panel.layered?.level === level) return panel.layered;
    const known = {}, once = (name, make) => (name in known ? known[name] : (known[name] = make()));
    return panel.layered = {
      level,
      whole: level === panel.done,
      regions: level ? panel.through[level - 1] : 1,
      get roots() { return once("roots", () => (this.whole ? null : merged(panel, level))); },
      get born() { return once("born", () => (this.whole ? panel.born : bornBy(panel, level, this.roots))); },
      get byLayers() { return !!panel.activeOf || this.whole; },
      get active() { return once("active", () => activeBy(panel, this.byLayers ? level : panel.done)); },
      get range() { return once("range", () => rangeOf(this.active)); },
      get units() { return panel.units.slice(0, this.byLayers ? level : panel.done).reduce((a, b) => a + b, 0); },
    };
  }

  // How many regions meet the picture: an edge of theirs does, or they hold all of it. px, py: of the vertices, in pixels.
  function inView(panel, roots, w, h) {
    const { px, py, start, end, left, right } = panel, seen = new Uint8Array(panel.share.length + 1);
    const mark = id => { seen[roots ? roots[id] : id] = 1; };
    for (let e = 0; e < start.length; e++) {
      if (crosses(px[start[e]], py[start[e]], px[end[e]], py[end[e]], w, h)) { mark(left[e]); mark(right[e]); }
    }
    mark(panel.buffers.ids[0]);
    seen[0] = 0;
    return seen.reduce((sum, one) => sum + one, 0);
  }

  // Whether a segment has a point inside the picture.
  function crosses(xa, ya, xb, yb, w, h) {
    if ((xa <= 0 && xb <= 0) || (ya <= 0 && yb <= 0) || (xa >= w && xb >= w) || (ya >= h && yb >= h)) return false;
    if (xa > 0 && xa < w && ya > 0 && ya < h) return true;
    // of the corners some lie on one side of its line and some on the other
    const side = (x, y) => (xb - xa) * (y - ya) - (yb - ya) * (x - xa);
    const corners = [side(0, 0), side(w, 0), side(0, h), side(w, h)];
    return Math.min(...corners) < 0 && Math.max(...corners) > 0;
  }

  return { at, merged, bornBy, inView };
})();
