// Every change is sent at once, one after another; one that the server could not take yet is sent again.

const AGAIN = 2000; // milliseconds

// `answered` gets an episode as the server has it now, `told` one line for the person and whether it is alarming.
function makeSaving(answered, told) {
  const known = new Map(); // episode -> the marks that the server last told of
  const waiting = [];
  let sending = false;

  async function send({ index, after }) {
    const answer = await fetch(`/episode/${index}.json`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ before: known.get(index), after }),
    });
    if (answer.status >= 500) throw new Error(await answer.text());
    if (answer.ok) return answer.json();
    told(await answer.text(), true);
    // refused: what the server has counts, and what was built on the refused change is void
    for (let i = waiting.length - 1; i > 0; i -= 1) if (waiting[i].index === index) waiting.splice(i, 1);
    return (await fetch(`/episode/${index}.json`)).json();
  }

  async function run() {
    if (sending || !waiting.length) return;
    sending = true;
    try {
      const episode = await send(waiting[0]);
      const { index } = waiting.shift();
      known.set(index, episode.marks);
      sending = false;
      answered(episode, !waiting.some((each) => each.index === index), waiting.length === 0);
      run();
    } catch (error) {
      sending = false;
      const reason = error instanceof TypeError ? "the server does not answer; start headway label again" : error.message;
      told(`NOT SAVED: ${reason}. This page tries again by itself; leave it open.`, true);
      setTimeout(run, AGAIN);
    }
  }

  window.addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });

  return {
    learnt(episode) { known.set(episode.index, episode.marks); },
    put(index, after) { waiting.push({ index, after }); run(); },
    pending(index) { return waiting.some((each) => each.index === index); },
  };
}
