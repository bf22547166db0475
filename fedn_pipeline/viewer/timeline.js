// The timeline: confidence curve, lanes of intervals by emotion, time axis, and the overview below them.
// The canvas and the intervals hold only what lies in the visible range [view.from, view.to] in seconds.

const CURVE = 58, LANE = 24, AXIS = 20; // heights in px; page.css says them too
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const TICK_PX = 75, DRAG_PX = 4, THIN_PX = 18, FEWEST_FRAMES = 12;

// actions: seek(frame), select(id or null), colour(label), hover(item or null, node).
function makeTimeline(data, axis, store, actions) {
  const body = byId("lanes"), canvas = byId("curve"), layer = byId("intervals"), head = byId("playhead");
  const names = byId("lane-names"), overview = byId("overview");
  const view = { from: axis.from, to: axis.to };
  const shortest = Math.min((FEWEST_FRAMES * (axis.to - axis.from)) / (axis.last + 1), axis.to - axis.from);
  let frame = 0, selected = null, drag = null, lanes = [], scheduled = false, inks = {};
  let width = body.clientWidth; // read once a drawing: each reading after a change costs a whole layout

  const x = (t) => ((t - view.from) / (view.to - view.from)) * width;
  const timeAt = (event) => {
    const box = body.getBoundingClientRect();
    return view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from);
  };

  function show(from, span) {
    const length = Math.min(Math.max(span, shortest), axis.to - axis.from);
    view.from = Math.min(Math.max(from, axis.from), axis.to - length);
    view.to = view.from + length;
    draw();
  }
  const zoom = (factor, t = visibleHead()) => show(t - (t - view.from) * factor, (view.to - view.from) * factor);
  const pan = (share) => show(view.from + share * (view.to - view.from), view.to - view.from);
  function visibleHead() {
    const t = axis.middle(frame);
    return t >= view.from && t <= view.to ? t : (view.from + view.to) / 2;
  }
  function reveal(from, to = from) {
    if (from >= view.from && to <= view.to) return;
    const span = Math.max(view.to - view.from, 1.2 * (to - from));
    show(from - 0.1 * span, span);
  }

  function draw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      lanes = store.labels();
      drawNames();
      width = body.clientWidth;
      drawCanvas();
      drawIntervals();
      drawOverview();
      drawHead();
      body.dataset.from = view.from;
      body.dataset.to = view.to;
    });
  }

  function drawNames() {
    const key = JSON.stringify(lanes);
    if (names.dataset.key === key) return;
    names.dataset.key = key;
    body.style.height = names.style.height = `${CURVE + lanes.length * LANE + AXIS}px`;
    names.replaceChildren(el("div", { class: "curve-name" }, "confidence"), ...lanes.map((label) =>
      el("div", { class: "lane-name", title: label, colour: actions.colour(label) },
        el("span", { class: "swatch" }), el("span", { class: "label" }, label || "no label"))));
  }

  function fitted(target) {
    const ratio = window.devicePixelRatio || 1, w = target.clientWidth, h = target.clientHeight;
    if (target.width !== Math.round(w * ratio) || target.height !== Math.round(h * ratio)) {
      target.width = Math.round(w * ratio);
      target.height = Math.round(h * ratio);
    }
    const pen = target.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    return [pen, w, h];
  }

  function drawCanvas() {
    const [pen, w, h] = fitted(canvas), bottom = h - AXIS;
    pen.fillStyle = inks.missing;
    for (const [first, last] of data.missing) {
      const from = axis.start(first), to = axis.end(last);
      if (to > view.from && from < view.to) pen.fillRect(x(from), 0, Math.max(x(to) - x(from), 1), bottom);
    }
    const step = TICKS_S.find((s) => (s / (view.to - view.from)) * w >= TICK_PX) ?? TICKS_S.at(-1);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let i = Math.ceil(view.from / step); i * step <= view.to; i++) {
      const left = Math.round(x(i * step)) + 0.5;
      line(pen, inks.line, left, 0, left, bottom + 4);
      pen.fillStyle = inks.soft;
      pen.textAlign = left < 16 ? "left" : left > w - 20 ? "right" : "center";
      pen.fillText(clock(i * step, step < 1 ? 1 : 0), left < 16 ? 2 : left > w - 20 ? w - 2 : left, bottom + 12);
    }
    for (let k = 0; k <= lanes.length; k++) {
      line(pen, inks.line, 0, CURVE + k * LANE - 0.5, w, CURVE + k * LANE - 0.5);
    }
    drawCurve(pen, w);
  }

  function line(pen, ink, ...[x0, y0, x1, y1]) {
    pen.strokeStyle = ink;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }

  function drawCurve(pen, w) {
    const { every_s: every, confidence } = data.curve;
    const y = (value) => CURVE - 3 - value * (CURVE - 10);
    const first = Math.max(Math.floor(view.from / every) - 1, 0);
    const last = Math.min(Math.ceil(view.to / every) + 1, confidence.length - 1);
    const stride = Math.max(Math.floor((last - first) / (2 * w)), 1); // several values on a pixel: the highest is drawn
    pen.beginPath();
    for (let i = first - (first % stride); i <= last; i += stride) {
      let value = 0;
      for (let k = i; k < Math.min(i + stride, confidence.length); k++) value = Math.max(value, confidence[k] ?? 0);
      pen.lineTo(x(i * every), y(value));
    }
    pen.strokeStyle = pen.fillStyle = inks.curve;
    pen.lineWidth = 1.25;
    pen.stroke();
    pen.lineTo(x(last * every), y(0));
    pen.lineTo(x(first * every), y(0));
    pen.globalAlpha = 0.2;
    pen.fill();
    pen.globalAlpha = 1;
    pen.setLineDash([5, 4]);
    const level = Math.round(y(store.threshold)) + 0.5;
    line(pen, inks.ink, 0, level, w, level);
    pen.setLineDash([]);
  }

  function drawIntervals() {
    const found = new Map([...layer.children].map((node) => [+node.dataset.id, node]));
    for (const item of store.shown()) {
      const { onset, offset } = drag?.id === item.id ? drag : item;
      const from = axis.start(onset), to = axis.end(offset);
      if (to < view.from || from > view.to) continue;
      const node = found.get(item.id) ?? layer.appendChild(el("div", { class: "interval", "data-id": item.id },
        el("i", { "data-end": "onset" }), el("i", { "data-end": "offset" })));
      found.delete(item.id);
      const left = x(from), wide = Math.max(x(to) - left, 3);
      node.style.cssText = `left:${left}px;width:${wide}px;top:${CURVE + lanes.indexOf(item.emotion) * LANE}px`;
      node.style.setProperty("--colour", actions.colour(item.emotion));
      node.classList.toggle("selected", item.id === selected);
      node.classList.toggle("thin", wide < THIN_PX);
      node.classList.toggle("by-hand", item.source !== "model");
    }
    for (const node of found.values()) node.remove();
    if (drag?.lane !== undefined) { // being drawn into an empty lane
      const left = x(axis.start(drag.onset)), right = x(axis.end(drag.offset));
      const node = el("div", { class: "interval selected", "data-id": "-1", colour: actions.colour(drag.lane) });
      node.style.cssText += `left:${left}px;width:${right - left}px;top:${CURVE + lanes.indexOf(drag.lane) * LANE}px`;
      layer.append(node);
    }
  }

  function drawOverview() {
    const [pen, w, h] = fitted(overview), total = axis.to - axis.from;
    const place = (t) => ((t - axis.from) / total) * w;
    pen.fillStyle = inks.missing;
    for (const [first, last] of data.missing) {
      pen.fillRect(place(axis.start(first)), 0, Math.max(place(axis.end(last)) - place(axis.start(first)), 1), h);
    }
    for (const item of store.shown()) {
      const left = place(axis.start(item.onset));
      pen.fillStyle = actions.colour(item.emotion);
      pen.fillRect(left, 5, Math.max(place(axis.end(item.offset)) - left, 2), h - 10);
    }
    const left = place(view.from), right = place(view.to);
    pen.globalAlpha = 0.5;
    pen.fillStyle = inks.paper;
    pen.fillRect(0, 0, left, h);
    pen.fillRect(right, 0, w - right, h);
    pen.globalAlpha = 1;
    pen.strokeStyle = inks.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.75, 0.75, Math.max(right - left - 1.5, 3), h - 1.5);
  }

  function drawHead() {
    const t = axis.middle(frame);
    head.hidden = t < view.from || t > view.to;
    head.style.transform = `translateX(${x(t)}px)`;
    byId("overview-head").style.left = `${((t - axis.from) / (axis.to - axis.from)) * 100}%`;
  }

  // One drag at a time: `move` while the pointer is down, `end` with whether it had left its place.
  function follow(event, target, move, end) {
    target.setPointerCapture(event.pointerId);
    const begun = event.clientX;
    let moved = false;
    const onMove = (e) => {
      moved ||= Math.abs(e.clientX - begun) >= DRAG_PX;
      if (moved) move(e);
    };
    const stop = (e) => {
      target.removeEventListener("pointermove", onMove);
      target.removeEventListener("pointerup", stop);
      target.removeEventListener("pointercancel", stop);
      end(moved && e.type === "pointerup", e);
    };
    target.addEventListener("pointermove", onMove);
    target.addEventListener("pointerup", stop);
    target.addEventListener("pointercancel", stop);
  }

  function dragInterval(event, node) {
    const item = store.get(+node.dataset.id), end = event.target.dataset.end, begun = timeAt(event);
    actions.select(item.id);
    actions.hover(null);
    follow(event, body, (e) => {
      let { onset, offset } = item;
      const t = timeAt(e);
      if (end === "onset") onset = Math.min(axis.startNear(t), offset);
      else if (end === "offset") offset = Math.max(axis.endNear(t), onset);
      else {
        const by = axis.startNear(axis.start(onset) + t - begun) - onset;
        const kept = Math.min(Math.max(by, -onset), axis.last - offset);
        [onset, offset] = [onset + kept, offset + kept];
      }
      drag = { id: item.id, onset, offset };
      actions.seek(end === "offset" ? offset : onset);
      draw();
    }, (moved) => {
      const { onset, offset } = drag ?? item;
      drag = null;
      if (moved && (onset !== item.onset || offset !== item.offset)) store.change(item.id, { onset, offset });
      else if (!moved) actions.seek(axis.at(begun));
      draw();
    });
  }

  function dragNew(event, lane) {
    const begun = timeAt(event);
    follow(event, body, (e) => {
      const t = timeAt(e), onset = axis.startNear(Math.min(begun, t)), offset = axis.endNear(Math.max(begun, t));
      drag = { lane, onset, offset: Math.max(offset, onset) };
      actions.seek(t < begun ? onset : drag.offset);
      draw();
    }, (moved) => {
      const made = drag;
      drag = null;
      if (moved && made) actions.select(store.add(made.onset, made.offset, lane));
      else if (!moved) actions.seek(axis.at(begun));
      draw();
    });
  }

  body.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const node = event.target.closest(".interval");
    const row = Math.floor((event.clientY - body.getBoundingClientRect().top - CURVE) / LANE);
    if (node) dragInterval(event, node);
    else if (event.shiftKey) {
      const { from, to } = view, begun = event.clientX;
      follow(event, body, (e) => show(from - ((e.clientX - begun) / width) * (to - from), to - from), () => {});
    } else if (row >= 0 && row < lanes.length) dragNew(event, lanes[row]);
    else {
      actions.seek(axis.at(timeAt(event)));
      follow(event, body, (e) => actions.seek(axis.at(timeAt(e))), () => {});
    }
  });
  body.addEventListener("wheel", (event) => {
    const { from, to } = view;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) pan(sideways / width);
    else zoom(1.0015 ** event.deltaY, timeAt(event));
    if (view.from !== from || view.to !== to) event.preventDefault(); // else the page scrolls
  }, { passive: false });
  layer.addEventListener("pointerover", (event) => {
    const node = event.target.closest(".interval");
    if (node && !drag && event.buttons === 0) actions.hover(store.get(+node.dataset.id), node);
  });
  layer.addEventListener("pointerout", () => actions.hover(null));
  overview.addEventListener("pointerdown", (event) => {
    const centre = (e) => {
      const box = overview.getBoundingClientRect(), span = view.to - view.from;
      show(axis.from + ((e.clientX - box.left) / box.width) * (axis.to - axis.from) - span / 2, span);
    };
    centre(event);
    follow(event, overview, centre, () => {});
  });
  new ResizeObserver(draw).observe(body);

  return {
    draw, zoom, pan, reveal,
    fit: () => show(axis.from, axis.to - axis.from),
    recolour(colours) { inks = colours; draw(); },
    select(id) { selected = id; draw(); },
    // While it plays, the view turns over like a page.
    playhead(k) {
      frame = k;
      if (!drag) reveal(axis.start(k));
      drawHead();
    },
  };
}
