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

function unmarked(entry) {
  return !entry.marked;
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
  const marked = marks !== null && (marks.stages.length > 0 || marks.success !== null);
  take({ ...episode, marks: marked ? marks : episode.unmarked, marked });
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
    const name = state.dataset.stages[stage];
    const words = `${name} runs here already; move its boundary with − and +`;
    tell(stage === null ? "nothing is marked here already" : words);
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
  const { marked, marks } = state.episode;
  if (marked && marks.success === success) tell(`${success ? "success" : "failure"} is marked already; c takes it back`);
  else change(state.own, success);
}

function clearOutcome() {
  const { marked, marks } = state.episode;
  if (marked && marks.success !== null) change(state.own, null);
  else tell("you marked neither success nor failure here");
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
  const open = state.rows.filter((each) => !agreed(each));
  const next = open.find((each) => each.proposed.frame >= row.proposed.frame) || open[0];
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
  if (!episode.proposed && !state.own.length && episode.marks.success === null) {
    tell("there is nothing to accept");
    return;
  }
  const proposed = episode.proposed || {};
  change(state.proposed || state.own, proposed.success ?? episode.marks.success);
}

window.addEventListener("hashchange", () => {
  const index = Number(location.hash.slice(1));
  if (state.dataset.episodes.some((each) => each.index === index) && index !== state.episode.index) open(index);
});

start().catch((error) => tell(error.message, true));
