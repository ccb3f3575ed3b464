// The plot of one episode: curves, stages, gaps, and a cursor that can be moved.

const WIDTH = 1000; // of the drawing; it is stretched to the card
const HEIGHT = 100;
const STAGE_COLOURS = 8;

// Build the plot; `onSeek(frame)` is called when a person moves its cursor.
// Returns {element, show(frame)}.
function makePlot(entry, stageNames, onSeek) {
  const curves = readCurves(entry);
  const drawing = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  drawing.append(...stageTints(curves), ...gridLines(), ...gaps(curves), ...lines(curves));
  const cursor = make("div", { class: "cursor", hidden: true });
  const area = make("div", {
    class: "area", tabindex: 0, role: "slider", "aria-label": `Episode ${entry.index}, place in time`,
    "aria-valuemin": 0, "aria-valuemax": entry.frames - 1, "aria-valuenow": 0,
  }, drawing, cursor);
  const readout = make("p", { class: "readout" }, resting(entry));
  const element = make("div", { class: "plot" },
    make("div", { class: "frame" },
      make("div", { class: "axis", "aria-hidden": "true" }, make("span", {}, "1"), make("span", {}, "0")), area),
    weightStrip(curves), ...stageStrips(curves, stageNames), readout, gapReason(entry, curves));
  let frameShown = null;
  const show = (frame) => {
    frameShown = clamp(frame, 0, entry.frames - 1);
    const part = entry.frames > 1 ? frameShown / (entry.frames - 1) : 0;
    cursor.hidden = false;
    cursor.style.left = `${100 * part}%`;
    const words = reading(entry, curves, stageNames, Math.floor(frameShown + 1e-6), part);
    readout.textContent = words;
    area.setAttribute("aria-valuenow", Math.floor(frameShown + 1e-6));
    area.setAttribute("aria-valuetext", words);
  };
  followPointer(area, entry, (frame) => { show(frame); onSeek(frame); });
  return { element, show, frame: () => frameShown };
}

function readCurves(entry) {
  const packed = entry.curves;
  const curves = {
    progress: unpackUnit(packed.progress), uncertainty: unpackUnit(packed.uncertainty),
    success: unpackUnit(packed.success), looked: unpackUnit(packed.looked), truth: unpackUnit(packed.truth),
    weight: unpackUnit(packed.weight), stage: unpackCodes(packed.stage), marked: unpackCodes(packed.marked),
  };
  const first = Object.values(curves).find((curve) => curve);
  curves.points = first ? first.length : 0;
  curves.progress = curves.progress || new Array(curves.points).fill(null);
  return curves;
}

function across(curves, point) {
  return curves.points > 1 ? (WIDTH * point) / (curves.points - 1) : 0;
}

function up(value) {
  return HEIGHT * (1 - value);
}

// A path through the points of `curve` that `use(point)` wants, broken where it does not or nothing is known.
function path(curves, curve, use = () => true) {
  let drawn = "";
  for (const { start, end, value } of stretches(curve.length, (i) => curve[i] !== null && use(i))) {
    if (!value) continue;
    for (let i = start; i < end; i += 1) {
      drawn += `${i === start ? "M" : "L"}${across(curves, i).toFixed(1)} ${up(curve[i]).toFixed(1)}`;
    }
    // a point on its own becomes a dot: a line of no length with round ends
    if (end === start + 1) drawn += "h0";
  }
  return drawn;
}

function lines(curves) {
  const { progress, uncertainty, looked, success, truth } = curves;
  const drawn = [];
  if (uncertainty) drawn.push(makeSvg("path", { class: "band", d: bandPath(curves) }));
  if (truth) drawn.push(makeSvg("path", { class: "line truth", d: path(curves, truth) }));
  if (success) drawn.push(makeSvg("path", { class: "line success", d: path(curves, success) }));
  drawn.push(makeSvg("path", { class: "line interpolated", d: path(curves, progress) }));
  drawn.push(makeSvg("path", { class: "line progress", d: path(curves, progress, (i) => !looked || looked[i] > 0) }));
  return drawn;
}

function bandPath(curves) {
  const { progress, uncertainty } = curves;
  let drawn = "";
  for (const { start, end, value } of stretches(curves.points, (i) => progress[i] !== null && uncertainty[i] !== null)) {
    if (!value) continue;
    const upper = [];
    const lower = [];
    for (let i = start; i < end; i += 1) {
      const x = across(curves, i).toFixed(1);
      upper.push(`${x} ${up(Math.min(1, progress[i] + uncertainty[i])).toFixed(1)}`);
      lower.unshift(`${x} ${up(Math.max(0, progress[i] - uncertainty[i])).toFixed(1)}`);
    }
    drawn += `M${upper.concat(lower).join("L")}Z`;
  }
  return drawn;
}

function gridLines() {
  return [0.25, 0.5, 0.75].map((value) => makeSvg("path", { class: "grid", d: `M0 ${up(value)}H${WIDTH}` }));
}

// Each point stands for the time around it, so that stretches meet half-way between points.
function spanOf(curves, { start, end }) {
  const last = Math.max(1, curves.points - 1);
  const left = clamp((start - 0.5) / last, 0, 1);
  return { left, width: clamp((end - 0.5) / last, 0, 1) - left };
}

function box(curves, stretch, attributes) {
  const { left, width } = spanOf(curves, stretch);
  return makeSvg("rect", { x: left * WIDTH, width: width * WIDTH, y: 0, height: HEIGHT, ...attributes });
}

function stageTints(curves) {
  if (!curves.stage) return [];
  return stretches(curves.points, (i) => curves.stage[i])
    .filter((stretch) => stretch.value !== null)
    .map((stretch) => box(curves, stretch, { class: `tint stage-${stretch.value % STAGE_COLOURS}` }));
}

function gaps(curves) {
  return stretches(curves.points, (i) => curves.progress[i] === null)
    .filter((stretch) => stretch.value)
    .map((stretch) => box(curves, stretch, { class: "gap", fill: "url(#hatch)" }));
}

function gapReason(entry, curves) {
  const gap = curves.progress.includes(null);
  if (!gap && !entry.reason) return null;
  const reason = make("bdi", {}, entry.reason || "no reason was recorded");
  return make("p", { class: "gap-reason" }, gap ? "No progress where hatched: " : "No score: ", reason);
}

// Under the plot: how much each frame weighs in training; hatched where it has no weight.
function weightStrip(curves) {
  const { weight } = curves;
  if (!weight) return null;
  const strip = makeSvg("svg", {
    class: "weight-strip", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": "Weight of each frame in training",
  });
  for (const stretch of stretches(curves.points, (i) => weight[i] !== null)) {
    if (!stretch.value) {
      strip.append(box(curves, stretch, { class: "gap", fill: "url(#hatch)" }));
      continue;
    }
    const { start, end } = stretch;
    let drawn = `M${across(curves, start).toFixed(1)} ${HEIGHT}`;
    for (let i = start; i < end; i += 1) drawn += `L${across(curves, i).toFixed(1)} ${up(weight[i]).toFixed(1)}`;
    strip.append(makeSvg("path", { class: "area-under", d: `${drawn}V${HEIGHT}Z` }));
  }
  return strip;
}

// Under the plot: the estimated stages by name and, thinner, the true or annotated ones.
function stageStrips(curves, stageNames) {
  const strips = [];
  for (const [key, label] of [["stage", "Estimated stages"], ["marked", "True or annotated stages"]]) {
    if (!curves[key]) continue;
    const found = stretches(curves.points, (i) => curves[key][i]);
    const names = found.filter(({ value }) => value !== null).map(({ value }) => stageNames[value]);
    const strip = make("div", { class: `stages ${key}`, role: "img", "aria-label": `${label}: ${names.join(", ")}` });
    for (const stretch of found) strip.append(stagePiece(curves, stretch, stageNames, label));
    strips.push(strip);
  }
  return strips;
}

function stagePiece(curves, stretch, stageNames, label) {
  const { value } = stretch;
  const { width } = spanOf(curves, stretch);
  const name = value === null ? "" : stageNames[value];
  const piece = make("span", {
    class: value === null ? "" : `stage-${value % STAGE_COLOURS}`, title: name ? `${label}: ${name}` : null,
  }, make("b", {}, name));
  piece.style.width = `${100 * width}%`;
  return piece;
}

function resting(entry) {
  const seconds = entry.frames / entry.fps;
  return `${seconds.toFixed(1)} s, ${entry.frames} frames`;
}

// What is known at one frame, in words.
function reading(entry, curves, stageNames, frame, part) {
  const point = Math.round(part * (curves.points - 1));
  const at = (key) => (curves[key] ? curves[key][point] : null);
  const words = [`${(frame / entry.fps).toFixed(1)} s`, `frame ${frame}`];
  const progress = at("progress");
  words.push(progress === null ? "no progress" : `progress ${number(progress)}`);
  if (progress !== null && at("uncertainty") !== null) words[2] += ` ± ${number(at("uncertainty"))}`;
  if (progress !== null && at("looked") === 0) words[2] += " (interpolated)";
  if (at("truth") !== null) words.push(`truth ${number(at("truth"))}`);
  if (at("weight") !== null) words.push(`weight ${number(at("weight"))}`);
  if (at("success") !== null) words.push(`success ${number(at("success"))}`);
  if (at("stage") !== null) words.push(stageNames[at("stage")]);
  if (at("marked") !== null && at("marked") !== at("stage")) words.push(`${stageNames[at("marked")]} (marked)`);
  return words.join(" · ");
}

function followPointer(area, entry, onFrame) {
  const frameAt = (event) => {
    const place = area.getBoundingClientRect();
    return Math.round(clamp((event.clientX - place.left) / place.width, 0, 1) * (entry.frames - 1));
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    area.setPointerCapture(event.pointerId);
    onFrame(frameAt(event));
  });
  area.addEventListener("pointermove", (event) => {
    if (area.hasPointerCapture(event.pointerId)) onFrame(frameAt(event));
  });
}
