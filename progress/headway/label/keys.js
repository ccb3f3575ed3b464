// What each key does.

const HELP = [
  [["space"], "play or pause"],
  [["←", "→"], "one frame; with shift ten"],
  [["home", "end"], "first and last frame"],
  [["↑", "↓"], "boundary before and after"],
  [["1", "…", "9"], "this stage begins at this frame; it may come again"],
  [["0"], "nothing of the task from this frame on"],
  [["x"], "remove the boundary at this frame"],
  [["−", "+"], "move the nearest boundary of yours by a frame"],
  [["a"], "accept the proposed boundary nearest to this frame, and go to the next"],
  [["⇧a"], "accept all that is proposed, or confirm what is shown"],
  [["s"], "success, or confirm it"],
  [["f"], "failure, or confirm it"],
  [["c"], "clear: take your success or failure back"],
  [["u"], "undo"],
  [["n", "p"], "next and previous episode"],
  [["m"], "next episode that is not marked"],
];

const nudgeNearest = (by) => nudge(nearest(state.own, state.frame), by);

const HELD = { // may be held down
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1), ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  "-": () => nudgeNearest(-1), "+": () => nudgeNearest(1), "=": () => nudgeNearest(1),
  ArrowUp: () => jump(-1), ArrowDown: () => jump(1),
};

const PRESSED = {
  " ": play, Home: () => step(-state.frame), End: () => step(state.episode.length),
  x: remove, Delete: remove, a: acceptCurrent, A: acceptAll, u: undo, s: () => judge(true), f: () => judge(false), c: clearOutcome,
  n: () => turn(1), p: () => turn(-1), m: () => turn(1, unmarked),
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
  if (!state.episode || event.ctrlKey || event.metaKey || event.altKey) return;
  // there space opens and closes the list of keys
  if (event.key === " " && event.target.closest("summary")) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action(event);
});
