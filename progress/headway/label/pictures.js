// The pictures of one frame, one a camera; those that come next are fetched ahead.

const KEPT = 300; // pictures that the page keeps
const AHEAD = 8;
const WAITING = 200; // more are given up, the least wanted first
const AT_ONCE = 4; // requests: a browser makes six, and marks must not wait behind pictures
const AGAIN_AFTER = 150; // milliseconds, for a picture that is still to be decoded

function frameUrl(index, camera, frame) {
  return `/episode/${index}/camera/${encodeURIComponent(camera)}/frame/${frame}.jpg`;
}

// The picture's local address, or null when it is still to be decoded.
async function fetchPicture(url) {
  const answer = await fetch(url).catch(() => { throw new Error("the server does not answer"); });
  if (answer.status === 202) return null;
  if (!answer.ok) throw new Error(await answer.text());
  return URL.createObjectURL(await answer.blob());
}

// From an address to a promise of the picture's local address. What is asked for last comes first, and what is only
// asked for ahead comes after all else.
function makeLoader() {
  const kept = new Map(); // address -> {promise, resolve, local}
  const waiting = []; // addresses, the most wanted last
  const later = new Set(); // addresses of pictures still to be decoded
  let active = 0;

  async function take(url) {
    const entry = kept.get(url);
    active += 1;
    try {
      entry.local = await fetchPicture(url);
      if (entry.local) entry.resolve(entry.local);
      else later.add(url);
    } catch (error) {
      kept.delete(url); // asked for again next time
      entry.reject(error);
    }
    active -= 1;
    if (later.has(url)) setTimeout(askAgain, AGAIN_AFTER, url);
    pump();
  }

  function askAgain(url) {
    if (!later.delete(url)) return;
    waiting.unshift(url);
    pump();
  }

  function pump() {
    while (active < AT_ONCE && waiting.length) take(waiting.pop());
    for (const [url, entry] of kept) {
      if (kept.size <= KEPT) break;
      if (!entry.local) continue;
      URL.revokeObjectURL(entry.local);
      kept.delete(url);
    }
  }

  function entryOf(url) {
    if (!kept.has(url)) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => { Object.assign(entry, { resolve, reject }); });
      entry.promise.catch(() => {});
      kept.set(url, entry);
      waiting.unshift(url);
    }
    const entry = kept.get(url);
    kept.delete(url);
    kept.set(url, entry); // the most recent is dropped last
    return entry;
  }

  function giveUp(left) {
    for (const url of waiting.splice(0, Math.max(0, waiting.length - left))) {
      kept.get(url).reject(new Error("no longer asked for"));
      kept.delete(url);
    }
  }

  return {
    get(url, ahead = false) {
      const entry = entryOf(url);
      const place = waiting.indexOf(url);
      if (!ahead && place >= 0) waiting.push(...waiting.splice(place, 1));
      // the frame in view waits no longer than it must
      if (!ahead && later.delete(url)) waiting.push(url);
      giveUp(WAITING);
      pump();
      return entry.promise;
    },
    // what another episode still waits for would have the server decode it again
    clear() {
      waiting.push(...later);
      later.clear();
      giveUp(0);
    },
  };
}

async function loaded(loader, url, frame) {
  const image = make("img", { src: await loader.get(url), alt: "", "data-frame": frame });
  await image.decode();
  return image;
}

function makePictures(place, cameras, loader) {
  const views = cameras.map((camera) => {
    const slot = make("div", { class: "slot" });
    place.append(make("figure", {}, slot, cameras.length > 1 ? make("figcaption", {}, camera) : null));
    return { camera, slot, url: null };
  });
  let length = 0;

  async function showView(view, index, frame) {
    const url = frameUrl(index, view.camera, frame);
    view.url = url;
    view.slot.classList.add("waiting");
    const picture = await loaded(loader, url, frame).catch((error) => make("p", { class: "no-picture" }, error.message));
    if (view.url !== url) return; // another frame was asked for in the meantime
    view.slot.replaceChildren(picture);
    view.slot.classList.remove("waiting");
  }

  return {
    open(frames) { length = frames; },
    show(index, frame) {
      for (const view of views) {
        showView(view, index, frame);
        for (let next = frame + 1; next <= Math.min(frame + AHEAD, length - 1); next += 1) {
          loader.get(frameUrl(index, view.camera, next), true);
        }
      }
    },
    // whether what is on the page is the frame asked for
    settled() { return views.every((view) => !view.slot.classList.contains("waiting")); },
  };
}
