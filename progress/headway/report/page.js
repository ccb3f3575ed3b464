// The list of episodes: order, filters, keyboard.

const BATCH = 60; // cards drawn at once; more come when the end is near

const report = JSON.parse(carried("data"));
report.present = report.columns.map((_, i) => report.episodes.some((entry) => entry.scores[i] !== null));
report.ranked = report.episodes.filter((entry) => entry.scores[0] !== null).length;
const view = { column: 0, worstFirst: true, kind: "", outcome: "", verdict: "", text: "" };
const list = document.getElementById("cards");
const more = document.getElementById("more");
let shown = []; // entries in the order seen
let cards = []; // of the first few of them
let current = null;

const decisions = makeDecisions(report.fingerprint, () => { cards.forEach((card) => card.update()); showStatus(); });
const exporting = makeExport(report, decisions);
const undoButton = make("button", { type: "button", onclick: undo }, "Undo");

function outcomeOf(entry) {
  const outcome = entry.done !== undefined ? entry.done : entry.label;
  return outcome === undefined ? "unknown" : outcome ? "success" : "failure";
}

function wanted(entry) {
  if (view.kind && entry.kind !== view.kind) return false;
  if (view.outcome && outcomeOf(entry) !== view.outcome) return false;
  if (view.verdict && (decisions.of(entry.index) || "none") !== view.verdict) return false;
  if (!view.text) return true;
  const text = [`episode ${entry.index}`, entry.text, entry.kind, entry.why, entry.defects, entry.reason, entry.stage].join("\n");
  return text.toLowerCase().includes(view.text.toLowerCase());
}

// Without a value an episode comes last, whichever way round.
function compare(a, b) {
  const [left, right] = [a.scores[view.column], b.scores[view.column]];
  if (left === null || right === null) return (left === null) - (right === null) || a.index - b.index;
  const highFirst = (report.columns[view.column].worst === "high") === view.worstFirst;
  return (highFirst ? right - left : left - right) || a.index - b.index;
}

function refresh() {
  shown = report.episodes.filter(wanted).sort(compare);
  openPlayers.splice(0).forEach((player) => player.close());
  list.replaceChildren();
  cards = [];
  current = null;
  drawMore();
  if (cards.length) choose(cards[0]);
  showStatus();
}

function drawMore() {
  const fresh = shown.slice(cards.length, cards.length + BATCH).map((entry) => makeCard(report, entry, decisions, judge));
  cards.push(...fresh);
  list.append(...fresh.map((card) => card.element));
  more.hidden = cards.length === shown.length;
  document.documentElement.dataset.cards = cards.length;
  document.documentElement.dataset.episodes = shown.length;
}

function choose(card) {
  if (current) current.element.classList.remove("current");
  current = card;
  current.element.classList.add("current");
}

function showStatus() {
  const [kept, discarded] = [decisions.those("keep").length, decisions.those("discard").length];
  const lost = decisions.lasting() ? "" : " · this browser does not keep verdicts: download them before you leave";
  document.getElementById("status").textContent =
    `${shown.length} of ${report.episodes.length} shown · ${kept} keep · ${discarded} discard${lost}`;
  undoButton.disabled = !decisions.canUndo();
  exporting.update();
}

// The same verdict twice takes it back.
function judge(card, verdict) {
  choose(card);
  decisions.give([card.entry.index], decisions.of(card.entry.index) === verdict ? null : verdict);
}

function undo() {
  const indices = decisions.undo();
  const card = cards.find((other) => other.entry.index === indices[0]);
  if (card && indices.length === 1) goTo(card);
}

function judgeShown(verdict) {
  const open = shown.filter((entry) => !decisions.of(entry.index)).map((entry) => entry.index);
  if (open.length) decisions.give(open, verdict);
}

function goTo(card) {
  choose(card);
  card.element.focus({ preventScroll: true });
  card.element.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const place = cards.indexOf(current) + by;
  if (place >= cards.length && !more.hidden) drawMore();
  if (cards[place]) goTo(cards[place]);
}

const KEYS = {
  " ": () => current.player && current.player.toggle(),
  ArrowLeft: (event) => current.step(event.shiftKey ? -second() : -1),
  ArrowRight: (event) => current.step(event.shiftKey ? second() : 1),
  n: () => move(1), p: () => move(-1),
  k: () => judge(current, "keep"), d: () => judge(current, "discard"), u: undo,
};

function second() {
  return Math.max(1, Math.round(current.entry.fps));
}

function inView(card) {
  const place = card.element.getBoundingClientRect();
  const top = document.getElementById("toolbar").getBoundingClientRect().bottom;
  return place.bottom > Math.max(0, top) && place.top < window.innerHeight;
}

document.addEventListener("keydown", (event) => {
  const action = KEYS[event.key];
  if (!action || !current || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, .scroll, pre")) return;
  if (event.key === " " && (event.target.closest("button, summary, a") || !current.player)) return;
  event.preventDefault();
  // nothing is done to an episode that nobody sees: the first press only brings it back
  if (inView(current) || event.key === "u") action(event);
  else goTo("np".includes(event.key) ? cards.find(inView) || current : current);
});

for (const event of ["pointerdown", "focusin"]) {
  list.addEventListener(event, ({ target }) => {
    const card = cards.find((other) => other.element.contains(target));
    if (card) choose(card);
  });
}

makeToolbar();
more.addEventListener("click", drawMore);
new IntersectionObserver((seen) => { if (seen[0].isIntersecting && !more.hidden) drawMore(); }, { rootMargin: "600px" }).observe(more);
refresh();
