// The clip of one episode, tied to its plot: the cursor follows the picture and the picture follows the cursor.

const MOST_OPEN = 4; // clips decoded at once; a phone has little memory
const openPlayers = [];

// Returns {element, seek(frame), toggle(), step(frames), frame()}, or null where the page carries no clip.
function makePlayer(entry, plot) {
  if (!document.getElementById(`clip-${entry.index}`)) return null;
  const place = make("div", { class: "player" });
  const button = make("button", { type: "button", class: "play", onclick: () => toggle() }, "▶ Play");
  place.append(button);
  let video = null;

  const frameNow = () => clamp(video.currentTime * entry.fps, 0, entry.frames - 1);
  const follow = () => {
    if (!video) return;
    plot.show(frameNow());
    if (!video.paused) requestAnimationFrame(follow);
  };
  const showState = () => {
    const playing = video !== null && !video.paused;
    button.textContent = playing ? "❚❚ Pause" : "▶ Play";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} episode ${entry.index}`);
  };
  const close = () => {
    URL.revokeObjectURL(video.src);
    video.remove();
    video = null;
    showOpen(place, null);
    showState();
  };
  const open = () => {
    if (video) return;
    const url = URL.createObjectURL(new Blob([bytes(carried(`clip-${entry.index}`))], { type: "video/mp4" }));
    video = make("video", { src: url, "aria-label": `Clip of episode ${entry.index}`, onclick: () => toggle() });
    video.muted = true;
    video.playsInline = true;
    video.addEventListener("play", () => { pauseOthers(player); showState(); follow(); });
    for (const event of ["pause", "ended"]) video.addEventListener(event, () => { showState(); follow(); });
    place.prepend(video);
    video.addEventListener("loadedmetadata", () => showOpen(place, video));
    remember(player);
  };
  const toggle = () => {
    open();
    if (!video.paused) video.pause();
    else video.play().catch(() => showState());
  };
  const seek = (frame) => {
    open();
    // the middle of the frame's time, so that rounding never lands on its neighbour
    video.currentTime = (clamp(frame, 0, entry.frames - 1) + 0.5) / entry.fps;
  };
  const player = { element: place, seek, toggle, close, pause: () => video && video.pause() };
  showState();
  return player;
}

// A card with an open clip gives its plot more height, and a wide clip more width.
function showOpen(place, video) {
  const card = place.closest(".card");
  if (!card) return;
  card.classList.toggle("open", video !== null);
  card.classList.toggle("wide", video !== null && video.videoWidth > 2 * video.videoHeight);
}

function pauseOthers(player) {
  for (const other of openPlayers) if (other !== player) other.pause();
}

function remember(player) {
  openPlayers.push(player);
  if (openPlayers.length > MOST_OPEN) openPlayers.shift().close();
}
