// The page: one episode at a time, marked with the keyboard.

const byId = (id) => document.getElementById(id);
const HISTORY = 300; // steps that can be undone

const state = { dataset: null, episode: null, own: [], proposed: null, rows: [], frame: 0, timer: null, opened: 0 };
let loader, pictures, timeline, boundaries, saving, history;

async function start() {
  state.dataset = await fetchJson("/dataset.json");
  const { cameras, stages } = state.dataset;
  loader = makeLoader();
  pictures = makePictures(byId("pictures"), cameras, loader);
  timeline = makeTimeline(byId("timeline"), stages, (frame) => { pause(); goTo(frame); });
  boundaries = makeBoundaries(byId("boundaries"), stages, cameras[0], loader, { choose: goTo, accept, nudge });
  saving = makeSaving(answered, tell);
  history = makeHistory(`headway-label-${state.dataset.fingerprint}`);
  drawButtons();
  drawList();
  const indices = state.dataset.episodes.map((each) => each.index);
  const asked = Number(location.hash.slice(1));
  await open(location.hash && indices.includes(asked) ? asked : indices[0], history.frame());
}

async function fetchJson(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function tell(text, alarming = false) {
  const status = byId("status");
  status.textContent = text;
  status.classList.toggle("alarming", alarming);
}

// What can be undone outlives a reload, within this tab.
function makeHistory(key) {
  const kept = JSON.parse(sessionStorage.getItem(key) || '{"steps": [], "frame": 0}');
  const keep = () => sessionStorage.setItem(key, JSON.stringify(kept));
  window.addEventListener("pagehide", () => { kept.frame = state.frame; keep(); });
  return {
    frame: () => kept.frame,
    push(step) { kept.steps.push(step); kept.steps.splice(0, kept.steps.length - HISTORY); keep(); },
    pop() { const step = kept.steps.pop(); keep(); return step; },
  };
}

// ---- opening and moving

async function open(index, frame = 0) {
  pause();
  state.opened += 1;
  const turnedTo = state.opened;
  let episode;
  try {
    episode = await fetchJson(`/episode/${index}.json`);
  } catch (error) {
    tell(error instanceof TypeError ? "the server does not answer; start headway label again" : error.message, true);
    return;
  }
  if (turnedTo !== state.opened) return; // another was asked for in the meantime
  // a change on its way there is newer than what was read
  if (!saving.pending(index)) saving.learnt(episode);
  location.replace(`#${index}`);
  loader.clear();
  pictures.open(episode.length);
  take(episode);
  tell("");
  goTo(clamp(frame, 0, episode.length - 1));
  drawList();
}

function take(episode) {
  const { stages } = state.dataset;
  state.episode = episode;
  state.own = boundariesOf(episode.marks.stages, stages, episode.length);
  state.proposed = episode.proposed && boundariesOf(episode.proposed.stages, stages, episode.length);
  draw();
}

function goTo(frame) {
  state.frame = clamp(frame, 0, state.episode.length - 1);
  pictures.show(state.episode.index, state.frame);
  timeline.at(state.frame);
  drawTransport();
  drawCurrent();
}

function step(by) {
  pause();
  goTo(state.frame + by);
}

function jump(direction) {
  pause();
  const frames = [...state.own, ...(state.proposed || [])].map((each) => each.frame);
  const all = [...new Set([0, ...frames, state.episode.length - 1])].sort((a, b) => a - b);
  const next = direction > 0 ? all.find((frame) => frame > state.frame) : all.findLast((frame) => frame < state.frame);
  if (next !== undefined) goTo(next);
}

function turn(direction, wanted = () => true) {
  const { episodes } = state.dataset;
  const place = episodes.findIndex((each) => each.index === state.episode.index);
  for (let i = place + direction; i >= 0 && i < episodes.length; i += direction) {
    if (wanted(episodes[i])) { open(episodes[i].index); return; }
  }
  tell(direction > 0 ? "no further episode" : "this is the first episode");
}

function play() {
  if (state.timer) { pause(); return; }
  if (state.frame === state.episode.length - 1) goTo(0);
  // no frame is passed over: the next comes when this one is to be seen
  state.timer = setInterval(() => {
    if (!pictures.settled()) return;
    if (state.frame === state.episode.length - 1) pause();
    else goTo(state.frame + 1);
  }, 1000 / state.episode.fps);
  drawTransport();
}

function pause() {
  clearInterval(state.timer);
  state.timer = null;
  if (state.episode) drawTransport();
}

// ---- marking

// Everything a person changes goes through here: noted for undo, shown, saved.
function change(own, success = state.episode.marks.success) {
  const { episode } = state;
  history.push({ index: episode.index, marks: episode.marked ? episode.marks : null });
  put(episode, { stages: stagesOf(own, state.dataset.stages, episode.length), success });
}

function put(episode, marks) {
  saving.put(episode.index, marks);
  if (marks) take({ ...episode, marks, marked: true });
  tell("saving …");
}

function answered(episode, latest, all) {
  const entry = state.dataset.episodes.find((each) => each.index === episode.index);
  entry.marked = episode.marked;
  entry.success = episode.marked ? episode.marks.success : null;
  if (latest && episode.index === state.episode.index) take(episode);
  if (all && !byId("status").classList.contains("alarming")) tell("saved");
  else if (all && byId("status").textContent.startsWith("NOT SAVED")) tell("saved");
  drawList();
}

function begin(stage) {
  const own = withBegun(state.own, state.frame, stage);
  if (JSON.stringify(own) === JSON.stringify(state.own)) {
    tell(stage === null ? "nothing is marked here already" : `${state.dataset.stages[stage]} runs here already; move its boundary with − and +`);
    return;
  }
  change(own);
}

function remove() {
  if (!state.own.some((each) => each.frame === state.frame)) tell("no boundary of yours is at this frame; jump to one with ↑ and ↓");
  else change(without(state.own, state.frame));
}

function nudge(boundary, by) {
  pause();
  if (!boundary) { tell("no boundary of yours to move yet"); return; }
  const own = withMoved(state.own, boundary, by, state.episode.length);
  const moved = own[state.own.indexOf(boundary)].frame;
  if (moved !== boundary.frame) change(own);
  goTo(moved);
}

function judge(success) {
  change(state.own, state.episode.marks.success === success ? null : success);
}

async function undo() {
  const step = history.pop();
  if (!step) { tell("nothing to undo"); return; }
  if (step.index !== state.episode.index) await open(step.index);
  put(state.episode, step.marks);
}

function accept(row) {
  if (!agreed(row)) {
    const others = state.own.filter((each) => each !== row.own);
    change(withBegun(others, row.proposed.frame, row.stage));
  }
  const next = state.rows.find((each) => !agreed(each) && each.proposed.frame >= row.proposed.frame) || state.rows.find((each) => !agreed(each));
  goTo(next ? next.proposed.frame : row.proposed.frame);
  if (!next) tell("all proposed boundaries are agreed on");
}

function acceptCurrent() {
  pause();
  const row = nearestRow(state.rows.filter((each) => each.proposed), state.frame);
  if (row) accept(row);
  else tell("no boundary is proposed for this episode");
}

function acceptAll() {
  const { episode } = state;
  if (!episode.proposed && !state.own.length && episode.marks.success === null) { tell("there is nothing to accept"); return; }
  const proposed = episode.proposed || {};
  change(state.proposed || state.own, proposed.success ?? episode.marks.success);
}

// ---- drawing

function draw() {
  const { episode, own, proposed } = state;
  state.rows = pairs(own, proposed || []);
  timeline.draw(episode.length, own, proposed, state.dataset.proposedBy);
  timeline.at(state.frame);
  boundaries.draw(episode.index, state.rows, Boolean(proposed));
  drawHeading();
  drawOutcome();
  drawCurrent();
}

function drawHeading() {
  const { episode } = state;
  const unconfirmed = !episode.marked && (state.own.length || episode.marks.success !== null);
  byId("heading").replaceChildren(
    make("h2", {}, `Episode ${episode.index}`),
    episode.instruction ? make("p", {}, "“", make("bdi", {}, episode.instruction), "”") : "",
    make("span", { class: `badge ${episode.marked ? "good" : ""}` }, episode.marked ? "marked" : unconfirmed ? "as the dataset has it; shift+a confirms" : "not marked yet"));
}

function drawCurrent() {
  const row = nearestRow(state.rows, state.frame);
  boundaries.current(state.rows.indexOf(row));
  const running = state.own.findLast((each) => each.frame <= state.frame);
  const stage = running ? running.stage : null;
  document.querySelectorAll("#stages button").forEach((button) => {
    button.setAttribute("aria-pressed", button.dataset.stage === String(stage));
  });
}

function drawTransport() {
  const { episode, frame } = state;
  byId("play").firstChild.textContent = state.timer ? "pause" : "play";
  byId("frame").textContent = `frame ${frame} of ${episode.length - 1} · ${(frame / episode.fps).toFixed(2)} s`;
}

function drawOutcome() {
  const { marks, proposed } = state.episode;
  byId("success").setAttribute("aria-pressed", marks.success === true);
  byId("failure").setAttribute("aria-pressed", marks.success === false);
  byId("accept").hidden = !proposed;
  const said = proposed && proposed.success !== null ? `Proposed: ${proposed.success ? "success" : "failure"}. ` : "";
  const first = state.dataset.stages.length ? "Go to the frame at which a stage begins and press its digit; 0 where the last one is over." : "No stages are named: only success can be marked. Start again with --stages \"open;pick;place\" for stages.";
  byId("hint").textContent = said + (state.own.length ? "" : first);
}

function drawList() {
  const { episodes } = state.dataset;
  const marked = episodes.filter((each) => each.marked).length;
  byId("progress").value = marked / Math.max(1, episodes.length);
  byId("count").textContent = `${marked} of ${episodes.length} episodes marked`;
  const items = episodes.map((each) => {
    const current = state.episode && each.index === state.episode.index;
    const sign = !each.marked ? "·" : each.success === null ? "✓" : each.success ? "✓ success" : "✓ failure";
    return make("li", {}, make("button", { type: "button", class: each.marked ? "marked" : "", "aria-current": current ? "true" : null, onclick: () => open(each.index) }, `${each.index}`, make("span", {}, sign)));
  });
  const list = byId("episodes");
  const scrolled = list.scrollTop;
  list.replaceChildren(...items);
  list.scrollTop = scrolled;
  const current = list.querySelector("[aria-current]");
  if (current) list.scrollTop = clamp(list.scrollTop, current.offsetTop + current.offsetHeight - list.clientHeight, current.offsetTop);
}

function control(text, key, act, attributes = {}) {
  return make("button", { type: "button", onclick: (event) => { event.currentTarget.blur(); act(); }, ...attributes }, make("span", {}, text), make("kbd", {}, key));
}

function drawButtons() {
  byId("transport").append(
    control("play", "space", play, { id: "play" }), control("−10", "⇧←", () => step(-10)), control("−1", "←", () => step(-1)),
    control("+1", "→", () => step(1)), control("+10", "⇧→", () => step(10)), control("previous boundary", "↑", () => jump(-1)), control("next boundary", "↓", () => jump(1)),
    make("output", { id: "frame" }));
  const { stages } = state.dataset;
  byId("stages").append(
    ...stages.map((name, i) => control(name, i < 9 ? String(i + 1) : "click", () => begin(i), { class: stageClass(i), "data-stage": i })),
    ...(stages.length ? [control("nothing", "0", () => begin(null), { "data-stage": "null" }), control("remove boundary", "x", remove)] : []));
  byId("outcome").append(
    control("success", "s", () => judge(true), { id: "success" }), control("failure", "f", () => judge(false), { id: "failure" }),
    control("undo", "u", undo), control("accept all", "⇧a", acceptAll, { id: "accept" }),
    control("previous", "p", () => turn(-1)), control("next", "n", () => turn(1)), control("next unmarked", "m", () => turn(1, (each) => !each.marked)));
  for (const [keys, words] of HELP) byId("keys").append(make("div", {}, make("dt", {}, ...keys.map((key) => make("kbd", {}, key))), make("dd", {}, words)));
}

// ---- keys

const HELP = [
  [["space"], "play or pause"], [["←", "→"], "one frame; with shift ten"], [["home", "end"], "first and last frame"], [["↑", "↓"], "boundary before and after"],
  [["1", "…", "9"], "this stage begins at this frame; it may come again"], [["0"], "nothing of the task from this frame on"], [["x"], "remove the boundary at this frame"],
  [["−", "+"], "move the nearest boundary of yours by a frame"], [["a"], "accept the proposed boundary nearest to this frame, and go to the next"],
  [["⇧a"], "accept all that is proposed, or confirm what is shown"], [["s"], "success; again takes it back"], [["f"], "failure; again takes it back"], [["u"], "undo"],
  [["n", "p"], "next and previous episode"], [["m"], "next episode that is not marked"],
];

const HELD = { // may be held down
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1), ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  "-": () => nudge(nearest(state.own, state.frame), -1), "+": () => nudge(nearest(state.own, state.frame), 1), "=": () => nudge(nearest(state.own, state.frame), 1),
  ArrowUp: () => jump(-1), ArrowDown: () => jump(1),
};

const PRESSED = {
  " ": play, Home: () => step(-state.frame), End: () => step(state.episode.length), x: remove, Delete: remove, a: acceptCurrent, A: acceptAll,
  s: () => judge(true), f: () => judge(false), u: undo, n: () => turn(1), p: () => turn(-1), m: () => turn(1, (each) => !each.marked),
};

function digitOf(event) {
  if (/^[0-9]$/.test(event.key)) return Number(event.key);
  // where digits need shift, their keys do without
  const match = /^Digit([0-9])$/.exec(event.code);
  return match && !event.shiftKey ? Number(match[1]) : null;
}

function actionOf(event) {
  if (HELD[event.key]) return HELD[event.key];
  const letter = event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key;
  if (PRESSED[letter]) return event.repeat ? () => {} : PRESSED[letter];
  const digit = digitOf(event);
  if (digit === null || digit > state.dataset.stages.length) return null;
  return event.repeat ? () => {} : () => begin(digit === 0 ? null : digit - 1);
}

document.addEventListener("keydown", (event) => {
  if (!state.episode || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("summary")) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action(event);
});

window.addEventListener("hashchange", () => {
  const index = Number(location.hash.slice(1));
  if (state.dataset.episodes.some((each) => each.index === index) && index !== state.episode.index) open(index);
});

start().catch((error) => tell(error.message, true));
