"use strict";
// Frames and seconds of the source; elements of the page. Frame k is shown from start(k) to end(k).

function makeAxis({ video, times_s: times }) {
  const { n_frames: count, fps, duration_s: length } = video;
  const last = Math.max(count - 1, 0);
  const start = times ? (k) => times[k] : (k) => k / fps;
  const end = times ? (k) => (k < last ? times[k + 1] : length) : (k) => (k + 1) / fps;
  const clamp = (k) => Math.min(Math.max(Math.round(k), 0), last);
  const at = (t) => { // the frame shown at t seconds
    if (!times) return Math.min(Math.max(Math.floor(t * fps + 1e-6), 0), last);
    let low = 0, high = last;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= t + 1e-6) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const middle = (k) => (start(k) + end(k)) / 2;
  const startNear = (t) => (t > middle(at(t)) ? Math.min(at(t) + 1, last) : at(t)); // whose beginning is nearest
  const endNear = (t) => (t < middle(at(t)) ? Math.max(at(t) - 1, 0) : at(t)); // whose end is nearest
  return { last, start, end, at, middle, clamp, startNear, endNear, from: start(0), to: end(last) };
}

// 83.456 as 1:23.46; with hours where there are any.
function clock(seconds, digits = 2) {
  const scale = 10 ** digits;
  const total = Math.round(Math.max(seconds, 0) * scale) / scale;
  const hours = Math.floor(total / 3600), minutes = Math.floor(total / 60) % 60;
  const rest = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const byId = (id) => document.getElementById(id);

// An element; text of any origin is safe here, since it only ever becomes a text node.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "colour") node.style.setProperty("--colour", value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
