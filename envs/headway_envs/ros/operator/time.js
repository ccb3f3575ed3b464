// How old something is. A computer that slept stops one of the browser's clocks, a clock that is set moves the other;
// the longer of both counts.

const began = [performance.now(), Date.now()];

function seconds() {
  return Math.max(performance.now() - began[0], Date.now() - began[1]) / 1000;
}

// Text of an element, touched only when it changes: screen readers tell of every touch.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function wait(age) {
  return age < 10 ? `${age.toFixed(1)} s` : age < 100 ? `${Math.round(age)} s` : `${Math.round(age / 60)} min`;
}
