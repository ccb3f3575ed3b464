// What the page shows of its state, and its buttons.

const HOW = "Go to the frame at which a stage begins and press its digit; 0 where the last one is over.";
const NO_STAGES = "No stages are named: only success can be marked. Start again with --stages \"open;pick;place\".";

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
  byId("heading").replaceChildren(
    make("h2", {}, `Episode ${episode.index}`),
    episode.instruction ? make("p", {}, "“", make("bdi", {}, episode.instruction), "”") : "",
    make("span", { class: `badge ${episode.marked ? "good" : ""}` }, episode.marked ? "marked" : whence()));
}

// Where what is shown of an episode that is not marked yet comes from.
function whence() {
  const { marks, proposed } = state.episode;
  const stages = state.own.length ? ["stages as the dataset has them"] : [];
  const asProposed = proposed && proposed.success !== null;
  const asDataset = `success as the dataset has it${proposed ? ", none is proposed" : ""}`;
  const success = marks.success === null ? [] : [asProposed ? "success as proposed" : asDataset];
  const words = [...stages, ...success];
  return words.length ? `not marked yet: ${words.join("; ")}; shift+a confirms` : "not marked yet";
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
  const first = state.dataset.stages.length ? HOW : NO_STAGES;
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
    const attributes = { class: each.marked ? "marked" : "", "aria-current": current ? "true" : null };
    const onclick = () => open(each.index);
    return make("li", {}, make("button", { type: "button", ...attributes, onclick }, `${each.index}`, make("span", {}, sign)));
  });
  const list = byId("episodes");
  const scrolled = [list.scrollLeft, list.scrollTop];
  list.replaceChildren(...items);
  list.scrollTo(...scrolled);
  const current = list.querySelector("[aria-current]");
  // only the list itself moves, never the page
  if (current) list.scrollTo(reach(list, current, "Left", "Width"), reach(list, current, "Top", "Height"));
}

// How far to scroll so that an element of a list is seen.
function reach(list, element, side, size) {
  const edge = (each) => each.getBoundingClientRect()[side.toLowerCase()];
  const start = edge(element) - edge(list) + list[`scroll${side}`];
  return clamp(list[`scroll${side}`], start + element[`offset${size}`] - list[`client${size}`], start);
}

function control(text, key, act, attributes = {}) {
  // the button gives the keyboard back, so that space plays
  const onclick = (event) => { event.currentTarget.blur(); act(); };
  return make("button", { type: "button", onclick, ...attributes }, make("span", {}, text), make("kbd", {}, key));
}

function drawButtons() {
  byId("transport").append(
    control("play", "space", play, { id: "play" }),
    control("−10", "⇧←", () => step(-10)), control("−1", "←", () => step(-1)),
    control("+1", "→", () => step(1)), control("+10", "⇧→", () => step(10)),
    control("previous boundary", "↑", () => jump(-1)), control("next boundary", "↓", () => jump(1)),
    make("output", { id: "frame" }));
  const { stages } = state.dataset;
  stages.forEach((name, i) => {
    const attributes = { class: stageClass(i), "data-stage": i };
    byId("stages").append(control(name, i < 9 ? String(i + 1) : "click", () => begin(i), attributes));
  });
  if (stages.length) {
    const nothing = control("nothing", "0", () => begin(null), { "data-stage": "null" });
    byId("stages").append(nothing, control("remove boundary", "x", remove));
  }
  byId("outcome").append(
    control("success", "s", () => judge(true), { id: "success" }), control("failure", "f", () => judge(false), { id: "failure" }),
    control("clear", "c", clearOutcome, { id: "clear", title: "take your success or failure back" }),
    control("undo", "u", undo), control("accept all", "⇧a", acceptAll, { id: "accept" }),
    control("previous", "p", () => turn(-1)), control("next", "n", () => turn(1)),
    control("next unmarked", "m", () => turn(1, unmarked)));
  for (const [keys, words] of HELP) {
    const shown = keys.map((key) => make("kbd", {}, key));
    byId("keys").append(make("div", {}, make("dt", {}, ...shown), make("dd", {}, words)));
  }
}
