// The page: ties the video, the timeline and the panel together; keys, files, theme.

const data = JSON.parse(byId("data").textContent);
const axis = makeAxis(data);
const store = makeStore(data, axis);
let selected = null;

// One colour per label: those of the classes, and the palette's next ones for labels of the user's own.
const colours = new Map(Object.entries(data.page.colours));
function colour(label) {
  if (!colours.has(label)) {
    const used = new Set(colours.values()), { palette } = data.page;
    colours.set(label, palette.find((c) => !used.has(c)) ?? palette[colours.size % palette.length]);
  }
  return colours.get(label);
}

function say(text) {
  byId("status").textContent = text;
}
function select(id) {
  selected = id;
  for (const part of [timeline, list, editor]) part.select(id);
}
function jump(item) {
  select(item.id);
  player.seek(item.onset);
  timeline.reveal(axis.start(item.onset), axis.end(item.offset));
}
function remove() {
  if (selected === null) return;
  store.remove(selected);
  say("Deleted; z brings it back.");
}
function play() {
  const item = selected === null ? null : store.get(selected);
  if (item) player.playInterval(item);
  else player.toggle();
}

const video = byId("video"), boxes = data.person?.boxes;
const player = makePlayer(video, axis, boxes, onFrame);
const card = makeCard(data, axis, colour);
const timeline = makeTimeline(data, axis, store, { seek: player.seek, select, colour, hover: card });
const list = makeList(axis, store, { jump, hover: card, colour });
const editor = makeEditor(axis, store, { say, remove, play });

function onFrame(frame) {
  byId("scrub").value = frame;
  const time = clock(axis.start(frame));
  byId("scrub").setAttribute("aria-valuetext", `${time}, frame ${frame}`);
  byId("clock").textContent = `${time} / ${clock(axis.to)}`;
  byId("frame").textContent = `frame ${frame}`;
  timeline.playhead(frame);
  drawBox(frame);
}
function onChange() {
  say(""); // of the action before
  if (selected !== null && !store.shown().some((item) => item.id === selected)) select(null);
  list.draw();
  editor.draw();
  timeline.draw();
  byId("undo").disabled = !store.canUndo;
  byId("redo").disabled = !store.canRedo;
  byId("save").classList.toggle("dirty", store.dirty);
  byId("save").title = store.dirty ? "There are edits that are not saved yet" : "All edits are saved";
}
store.onChange(onChange);

// The box of the followed person, in the part of the canvas that the picture fills.
function drawBox(frame) {
  const canvas = byId("box"), ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(h * ratio);
  const box = boxes && byId("show-box").checked && player.ready ? player.box(frame) : null;
  if (!box) return;
  const scale = Math.min(w / data.video.width, h / data.video.height);
  const left = (w - scale * data.video.width) / 2, top = (h - scale * data.video.height) / 2;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const [ink, width] of [["rgba(0,0,0,.55)", 4], ["#fff", 2]]) { // visible on any picture
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.beginPath();
    pen.roundRect(left + scale * box[0], top + scale * box[1], scale * box[2], scale * box[3], 4);
    pen.stroke();
  }
}

function add() {
  const emotion = (selected !== null && store.get(selected)?.emotion) || store.labels()[0];
  const { frame } = player;
  select(store.add(frame, axis.at(Math.min(axis.start(frame) + 1, axis.to)), emotion)); // a second, to be adjusted
  say(`Added ${emotion || "an interval"} at frame ${frame}.`);
}
function neighbour(direction) {
  const shown = store.shown(), { frame } = player;
  const at = shown.findIndex((item) => item.id === selected && item.onset === frame);
  const item = at >= 0 ? shown[at + direction]
    : direction > 0 ? shown.find((one) => one.onset > frame) : shown.findLast((one) => one.onset < frame);
  if (item) jump(item);
}
function setEnd(name) {
  if (selected === null) say("Select an interval first.");
  else editor.set({ [name]: player.frame });
}
const count = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;
function save() {
  const { n, text } = store.save();
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "events.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved ${count(n, "interval")} as events.csv.`);
}
async function load(file) {
  try {
    const { read, others, kept } = store.load(await file.text());
    const rest = `; ${count(others, "row")} of other videos ${kept ? "will be saved with them" : "left out"}`;
    const own = read ? `Loaded ${count(read, "interval")} of this video`
      : `${file.name}: no rows of this video; its intervals stay`;
    say(`${own}${others ? rest : ""}.`);
  } catch (error) {
    say(`${file.name} was not loaded: ${error.message}.`);
  }
}
function setThreshold(value) {
  store.threshold = byId("threshold").value = value;
  byId("threshold-value").textContent = value.toFixed(3);
}
function resetThreshold() {
  setThreshold(data.threshold);
}
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  readColours();
}
function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
function readColours() { // a canvas takes colours only as they come out
  const probe = document.body.appendChild(el("span", { hidden: true })), inks = {};
  for (const name of ["ink", "soft", "line", "paper", "missing", "curve"]) {
    probe.style.color = `var(--${name})`;
    inks[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  timeline.recolour(inks);
}

const KEYS = {
  " ": player.toggle, Enter: play,
  ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1),
  "shift+ArrowLeft": () => player.skip(-1), "shift+ArrowRight": () => player.skip(1),
  Home: () => player.seek(0), End: () => player.seek(axis.last),
  n: () => neighbour(1), p: () => neighbour(-1), i: () => setEnd("onset"), o: () => setEnd("offset"),
  a: add, Delete: remove, Backspace: remove, z: store.undo, "shift+z": store.redo, y: store.redo, s: save,
  t: resetThreshold,
  "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), 0: timeline.fit,
  PageUp: () => timeline.pan(-0.8), PageDown: () => timeline.pan(0.8),
  "?": () => byId("help").showModal(), Escape: () => select(null),
};
for (const [k, label] of store.labels().slice(0, 9).entries()) {
  KEYS[k + 1] = () => selected !== null && editor.relabel(label);
}
// With Ctrl or Command only what every editor has; all else stays the browser's.
const WITH_CONTROL = { z: store.undo, y: store.redo, "shift+z": store.redo, s: save };

document.addEventListener("keydown", (event) => {
  const { target } = event, typed = target.matches("input[type=number], input[type=text], select");
  if (typed && (event.key === "Escape" || event.key === "Enter")) target.blur(); // the keys below work again
  const own = typed || (target.matches("button, summary, input[type=checkbox]") && [" ", "Enter"].includes(event.key))
    || (target.matches("input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key) && !event.shiftKey);
  if (own || event.altKey || byId("help").open) return;
  const letter = /^[a-z]$/i.test(event.key), key = letter ? event.key.toLowerCase() : event.key;
  const name = event.shiftKey && (letter || key.length > 1) ? `shift+${key}` : key;
  const action = (event.ctrlKey || event.metaKey ? WITH_CONTROL : KEYS)[name];
  if (!action) return;
  event.preventDefault();
  action();
});

const onClick = { toggle: player.toggle, back: () => player.step(-1), forward: () => player.step(1), add, save,
  undo: store.undo, redo: store.redo, "zoom-in": () => timeline.zoom(0.5), "zoom-out": () => timeline.zoom(2),
  fit: timeline.fit, load: () => byId("file").click(), theme: () => setTheme(isDark() ? "light" : "dark"),
  keys: () => byId("help").showModal(), open: () => byId("own-video").click() };
for (const [id, action] of Object.entries(onClick)) {
  byId(id).addEventListener("click", (event) => {
    if (event.detail) event.currentTarget.blur(); // clicked, not pressed: the space bar plays again
    action();
  });
}

byId("scrub").addEventListener("input", (event) => player.seek(+event.target.value));
byId("speed").addEventListener("change", (event) => { video.playbackRate = +event.target.value; });
byId("show-box").addEventListener("change", () => drawBox(player.frame));
byId("threshold").addEventListener("input", (event) => setThreshold(+event.target.value));
byId("threshold").addEventListener("dblclick", resetThreshold);
byId("file").addEventListener("change", async ({ target }) => {
  if (target.files[0]) await load(target.files[0]);
  target.value = ""; // the same file can be chosen again
});
byId("own-video").addEventListener("change", ({ target }) => target.files[0] && player.source(target.files[0]));
video.addEventListener("click", player.toggle);
for (const name of ["play", "pause"]) {
  video.addEventListener(name, () => {
    byId("toggle").classList.toggle("playing", !video.paused);
    byId("toggle").setAttribute("aria-label", video.paused ? "Play" : "Pause");
  });
}
video.addEventListener("loadedmetadata", () => {
  document.body.classList.add("has-video");
  byId("absent").hidden = true;
  for (const id of ["toggle", "speed"]) byId(id).disabled = false;
});
video.addEventListener("error", () => say("This browser cannot play the video; the timeline works without it."));
new ResizeObserver(() => drawBox(player.frame)).observe(byId("stage"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
window.addEventListener("beforeunload", (event) => store.dirty && event.preventDefault());
window.addEventListener("scroll", () => card(null), { passive: true, capture: true });

// What the page says of the video, the person and the model.
function describe() {
  const { video: source, model, person, missing } = data;
  const rate = `${+source.fps.toFixed(2)} fps${source.variable_rate ? " on average, variable" : ""}`;
  const parts = [clock(source.duration_s, source.duration_s < 60 ? 2 : 0), `${source.n_frames} frames`, rate];
  parts.push(`${source.width} × ${source.height}`);
  if (person?.n_people > 1) parts.push(`${person.n_people} people, followed: ${person.chosen}`);
  byId("title").textContent = source.file;
  byId("facts").textContent = parts.join("  ·  ");
  const faceless = missing.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const noFace = source.n_frames > 0 && faceless >= source.n_frames;
  const warnings = data.warnings.map((text) => el("p", { class: noFace ? "" : "notice" }, text));
  byId("notices").replaceChildren(...(!noFace ? warnings : [el("div", { class: "notice strong" },
    "No face was found in this video, so there is nothing to detect. You can still add intervals by hand.",
    ...warnings)]));
  byId("empty").textContent = noFace ? "No face was found." : "No expression above the threshold.";
  byId("no-face-key").hidden = !faceless;
  byId("model").replaceChildren(
    el("dt", {}, "Model"), el("dd", {}, `${model.name} (${model.backbone})`), el("dt", {}, "Trained on"),
    el("dd", {}, model.trained_on), el("dt", {}, "What to expect"), el("dd", {}, model.expected),
    el("dt", {}, "Made by"), el("dd", {}, `fedn-pipeline ${data.version}`));
  byId("show-box").checked = person?.n_people > 1;
  byId("box-choice").hidden = !boxes;
  byId("scrub").max = axis.last;
  byId("absent-name").textContent = source.file;
}

async function begin() {
  describe();
  readColours();
  resetThreshold(); // draws the rest
  onFrame(0);
  const pieces = [...document.querySelectorAll("script.proxy")];
  byId("absent").hidden = pieces.length > 0;
  const blob = await embeddedVideo(pieces);
  if (blob) player.source(blob);
}
begin();
