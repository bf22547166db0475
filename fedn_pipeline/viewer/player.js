// The video and the playhead. Without a video the playhead moves all the same.

function makePlayer(video, axis, boxes, onFrame) {
  let frame = 0, wanted = null, stopAfter = null, ready = false;

  function show(k) {
    if (stopAfter !== null && k >= stopAfter) {
      const last = stopAfter;
      video.pause();
      return seek(last); // pictures may have been left out, or one more may come
    }
    if (k === frame) return;
    frame = k;
    onFrame(frame);
  }
  function seek(k) {
    stopAfter = null;
    move(axis.clamp(k));
  }
  function move(k) {
    frame = k;
    onFrame(frame);
    if (!ready) return;
    if (video.seeking) wanted = k; // one seek at a time: the last one asked for comes next
    else video.currentTime = axis.middle(k);
  }
  video.addEventListener("seeked", () => {
    if (wanted === null) return;
    const next = wanted;
    wanted = null;
    video.currentTime = axis.middle(next);
  });
  video.addEventListener("loadedmetadata", () => {
    ready = true;
    move(frame);
  });

  // The picture that is really on the screen says which frame it is.
  if ("requestVideoFrameCallback" in video) {
    const presented = (now, { mediaTime }) => {
      if (!video.seeking && wanted === null) show(axis.startNear(mediaTime));
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
  } else {
    const follow = () => {
      if (!video.paused && !video.seeking) show(axis.at(video.currentTime));
      requestAnimationFrame(follow);
    };
    follow();
  }

  function play() { // a pause that comes before it has begun is no error
    video.play().catch((error) => { if (error.name !== "AbortError") throw error; });
  }

  // Box of the followed person in px of the source: between two measured frames on the straight line, else the nearer.
  function box(k) {
    const position = k / boxes.every, before = Math.floor(position), share = position - before;
    const a = boxes.xywh[before], b = boxes.xywh[before + 1];
    if (a && b) return a.map((value, i) => value + share * (b[i] - value));
    return (share < 0.5 ? a : b) ?? null;
  }

  return {
    get frame() { return frame; },
    get ready() { return ready; },
    seek,
    step: (n) => (video.pause(), seek(frame + n)),
    skip: (seconds) => seek(axis.at(axis.middle(frame) + seconds)),
    toggle() {
      stopAfter = null;
      if (!video.paused) video.pause();
      else if (ready) play();
    },
    playInterval({ onset, offset }) {
      seek(onset);
      if (!ready) return;
      stopAfter = offset;
      play();
    },
    source(blob) {
      if (video.src) URL.revokeObjectURL(video.src);
      video.src = URL.createObjectURL(blob);
    },
    box,
  };
}

// The pieces of the video that stand in the page, as one Blob; each is dropped once it is decoded. null without any.
async function embeddedVideo(pieces) {
  const decoded = [];
  for (const piece of pieces) {
    const binary = atob(piece.textContent), bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    decoded.push(bytes);
    piece.remove();
    await new Promise((resume) => setTimeout(resume)); // the page stays usable meanwhile
  }
  return decoded.length ? new Blob(decoded, { type: "video/mp4" }) : null;
}
