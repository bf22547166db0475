// Beside the video: the list of intervals, the editor of the selected one, and the card over an interval.

const MARKS = { edited: "edited by hand", added: "added by hand", other: "loaded" };

// actions: jump(item), hover(item or null, node), colour(label).
// The confidence is the model's, in its own interval and emotion: what somebody has edited has none to show.
const said = (item) => (item.source === "model" && item.confidence !== null ? item.confidence.toFixed(2) : "");

function makeList(axis, store, actions) {
  const rows = byId("rows");
  let selected = null;

  function row(item) {
    const byHand = item.source !== "model";
    return el("tr", { "data-id": item.id, tabindex: "-1", colour: actions.colour(item.emotion) },
      el("td", { class: "number" }, clock(axis.start(item.onset))),
      el("td", { class: "number" }, clock(axis.end(item.offset))),
      el("td", { class: "emotion label" }, el("span", { class: byHand ? "swatch by-hand" : "swatch" }),
        item.emotion || "no label", el("span", { class: "unseen" }, byHand ? `, ${MARKS[item.source]}` : "")),
      el("td", { class: "number" }, said(item)));
  }
  function mark() {
    const all = [...rows.children], chosen = all.find((node) => +node.dataset.id === selected);
    for (const node of all) {
      node.setAttribute("aria-current", node === chosen);
      node.tabIndex = node === (chosen ?? all[0]) ? 0 : -1; // one stop for Tab, arrows go on from there
    }
    return chosen;
  }
  function draw() {
    const focused = rows.contains(document.activeElement);
    rows.replaceChildren(...store.shown().map(row));
    const chosen = mark();
    if (focused) (chosen ?? rows.firstElementChild)?.focus();
    const { shown, all, byHand } = store.counts();
    const some = `${shown} of ${all} intervals shown${byHand ? `, ${byHand} of them by hand` : ""}`;
    const text = all ? some : "no intervals";
    if (byId("counts").textContent !== text) byId("counts").textContent = text;
    byId("empty").hidden = shown > 0;
  }

  const itemOf = (node) => store.get(+node.closest("tr").dataset.id);
  rows.addEventListener("click", (event) => actions.jump(itemOf(event.target)));
  rows.addEventListener("pointerover", (event) => actions.hover(itemOf(event.target), event.target.closest("tr")));
  rows.addEventListener("pointerleave", () => actions.hover(null));
  rows.addEventListener("keydown", (event) => {
    const node = event.target.closest("tr");
    const next = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling, Enter: node }[event.key];
    if (!next || (next === node && +node.dataset.id === selected)) return; // Enter once more plays it (page.js)
    event.preventDefault();
    event.stopPropagation();
    next.focus();
    actions.jump(itemOf(next));
  });
  return {
    draw,
    select(id) {
      selected = id;
      mark()?.scrollIntoView({ block: "nearest" });
    },
  };
}

// actions: say(text), remove(), play().
function makeEditor(axis, store, actions) {
  const OWN = "\u0000"; // the choice `own label`; no label can be this
  const fields = { onset: byId("onset"), apex: byId("apex"), offset: byId("offset") };
  const choice = byId("emotion"), own = byId("own");
  let selected = null;

  function set(patch) {
    const item = store.get(selected), next = { ...item, ...patch };
    const inside = (k) => Number.isInteger(k) && k >= 0 && k <= axis.last;
    if (!inside(next.onset) || !inside(next.offset) || (next.apex !== null && !inside(next.apex))) {
      actions.say(`Frames go from 0 to ${axis.last}.`);
    } else if (next.onset > next.offset) {
      actions.say(`The onset (${next.onset}) must not lie after the offset (${next.offset}).`);
    } else if ("apex" in patch && next.apex !== null && (next.apex < next.onset || next.apex > next.offset)) {
      actions.say(`The apex must lie between onset (${next.onset}) and offset (${next.offset}).`);
    } else if (Object.keys(patch).some((name) => patch[name] !== item[name])) return store.change(selected, patch);
    draw();
  }
  function relabel(text) {
    try {
      set({ emotion: store.label(text) });
    } catch (error) {
      actions.say(`Not relabelled: ${error.message}.`);
      draw();
    }
  }
  function draw() {
    const item = selected === null ? null : store.get(selected);
    byId("editor").disabled = !item;
    byId("hint").hidden = !!item;
    byId("fields").hidden = !item;
    own.hidden = true;
    if (!item) return;
    for (const [name, field] of Object.entries(fields)) {
      field.value = item[name] ?? "";
      field.max = axis.last;
    }
    const options = store.labels().map((label) => el("option", { value: label }, label || "no label"));
    choice.replaceChildren(...options, el("option", { value: OWN }, "own label…"));
    choice.value = item.emotion;
  }

  for (const [name, field] of Object.entries(fields)) {
    field.addEventListener("change", () => {
      const empty = field.value.trim() === "";
      set({ [name]: empty && name === "apex" ? null : empty ? NaN : +field.value });
    });
  }
  choice.addEventListener("change", () => {
    if (choice.value !== OWN) return relabel(choice.value);
    own.hidden = false;
    own.value = "";
    own.focus();
  });
  own.addEventListener("change", () => relabel(own.value));
  own.addEventListener("blur", draw);
  byId("remove").addEventListener("click", actions.remove);
  byId("play-interval").addEventListener("click", actions.play);
  return { draw, set, relabel, select(id) { selected = id; draw(); } };
}

// The card over an interval or a row: the face at the apex, times, and the scores of all classes.
function makeCard(data, axis, colour) {
  const card = byId("card");
  return function show(item, node) {
    card.hidden = !item;
    if (!item) return;
    const picture = data.page.thumbnails[item.thumbnail];
    const facts = [`${clock(axis.start(item.onset))} to ${clock(axis.end(item.offset))}`,
                   `frames ${item.onset} to ${item.offset}`];
    if (item.apex !== null) facts.push(`apex ${item.apex}`);
    if (item.source !== "model") facts.push(MARKS[item.source]);
    const scores = Object.entries(item.scores ?? {}).sort((a, b) => b[1] - a[1]).map(([label, score]) => {
      const bar = el("span", { class: "bar", colour: colour(label) });
      bar.style.width = `${100 * Math.min(Math.max(score, 0), 1)}%`;
      return el("li", {}, el("span", { class: "label" }, label), el("span", { class: "track" }, bar),
        el("span", { class: "number" }, score.toFixed(2)));
    });
    card.replaceChildren(
      ...(picture ? [el("img", { src: `data:image/jpeg;base64,${picture}`, alt: "Face at the apex" })] : []),
      el("div", { class: "text" },
        el("p", { class: "emotion", colour: colour(item.emotion) }, el("span", { class: "swatch" }),
          el("strong", {}, item.emotion || "no label"),
          el("span", { class: "number" }, said(item))),
        ...facts.map((text) => el("p", { class: "soft" }, text)), ...(scores.length ? [el("ul", {}, ...scores)] : [])));
    place(card, node.getBoundingClientRect(), node.matches("tr"));
  };
}

// Beside a row, above an interval; below it where there is no room; always inside the window.
function place(card, anchor, beside) {
  card.style.left = card.style.top = "0px"; // where it can be as wide as it wants
  const { width, height } = card.getBoundingClientRect(), gap = 8;
  const inside = (value, size, room) => `${Math.max(Math.min(value, room - size - gap), gap)}px`;
  const left = anchor.left - width - gap, above = anchor.top - height - gap, { innerWidth: w, innerHeight: h } = window;
  if (beside && left >= gap) {
    card.style.left = `${left}px`;
    card.style.top = inside(anchor.top, height, h);
  } else {
    card.style.left = inside(anchor.left + anchor.width / 2 - width / 2, width, w);
    card.style.top = above >= gap ? `${above}px` : inside(anchor.bottom + gap, height, h);
  }
}
