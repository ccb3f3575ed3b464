// Marks as boundaries [{frame, stage}], in order: from `frame` on it is `stage`, a number, or null for none.
// Nothing here touches the page.

// The boundaries of what the server keeps: stages [[name, start, end]].
function boundariesOf(stages, names, length) {
  const found = [];
  for (const [name, start, end] of stages) {
    found.push({ frame: start, stage: names.indexOf(name) });
    if (end < length) found.push({ frame: end, stage: null });
  }
  // where one stage ends and the next begins, only the beginning counts
  const begun = new Set(stages.map(([, start]) => start));
  return tidy(found.filter(({ frame, stage }) => stage !== null || !begun.has(frame)));
}

function stagesOf(boundaries, names, length) {
  const ends = boundaries.map((_, i) => (i + 1 < boundaries.length ? boundaries[i + 1].frame : length));
  return boundaries.map(({ frame, stage }, i) => [names[stage], frame, ends[i], stage])
    .filter(([, start, end, stage]) => stage !== null && start < end)
    .map(([name, start, end]) => [name, start, end]);
}

// In order of time, and without those that change nothing.
function tidy(boundaries) {
  const sorted = [...boundaries].sort((a, b) => a.frame - b.frame);
  return sorted.filter(({ stage }, i) => stage !== (i ? sorted[i - 1].stage : null));
}

// The boundary by which a stage, or nothing, begins at a frame.
function withBegun(boundaries, frame, stage) {
  return tidy([...boundaries.filter((each) => each.frame !== frame), { frame, stage }]);
}

function without(boundaries, frame) {
  return tidy(boundaries.filter((each) => each.frame !== frame));
}

// One boundary moved, but not past its neighbours.
function withMoved(boundaries, boundary, by, length) {
  const place = boundaries.indexOf(boundary);
  const low = place ? boundaries[place - 1].frame + 1 : 0;
  const high = place + 1 < boundaries.length ? boundaries[place + 1].frame - 1 : length - 1;
  const frame = clamp(boundary.frame + by, low, high);
  return boundaries.map((each) => (each === boundary ? { ...each, frame } : each));
}

// Each boundary beside the proposed one of the same stage: the first with the first, the second with the second.
function pairs(own, proposed) {
  const rows = new Map();
  for (const [side, boundaries] of [["own", own], ["proposed", proposed]]) {
    const count = new Map();
    for (const boundary of boundaries) {
      const nth = (count.get(boundary.stage) || 0) + 1;
      count.set(boundary.stage, nth);
      const key = `${boundary.stage} ${nth}`;
      rows.set(key, { own: null, proposed: null, stage: boundary.stage, ...rows.get(key), [side]: boundary });
    }
  }
  const first = (row) => (row.proposed || row.own).frame;
  return [...rows.values()].sort((a, b) => first(a) - first(b));
}

function agreed(row) {
  return !row.proposed || (row.own !== null && row.own.frame === row.proposed.frame);
}

// The row one of whose boundaries is nearest to a frame, or null.
function nearestRow(rows, frame) {
  const frames = (row) => [row.own, row.proposed].filter(Boolean).map((each) => each.frame);
  const distance = (row) => Math.min(...frames(row).map((each) => Math.abs(each - frame)));
  return rows.reduce((best, row) => (best === null || distance(row) < distance(best) ? row : best), null);
}

function nearest(boundaries, frame) {
  const distance = (each) => Math.abs(each.frame - frame);
  return boundaries.reduce((best, each) => (best === null || distance(each) < distance(best) ? each : best), null);
}
