// The intervals: what the model found and what was edited by hand; undo; events.csv.

const COLUMNS = ["video_id", "onset", "apex", "offset", "emotion", "provenance"];
const LABEL_SET = "annotated"; // of rows that name none, for the reader

function makeStore(data, axis) {
  let nextId = 0, past = [], future = [], threshold = data.threshold, others = [], columns = COLUMNS;
  const listeners = [];
  const fromModel = (found) => ({ ...found, id: nextId++, source: "model", thumbnail: found.apex, further: {} });
  let items = data.detections.map(fromModel);
  const original = items;
  let saved = items;
  const tell = () => listeners.forEach((listener) => listener());

  function put(changed) {
    past.push(items);
    future = [];
    items = changed;
    tell();
  }
  function step(take, give) {
    if (!take.length) return false;
    give.push(items);
    items = take.pop();
    tell();
    return true;
  }
  const isShown = (item) => item.source !== "model" || item.loaded || item.confidence >= threshold;
  const order = (a, b) => a.onset - b.onset || a.offset - b.offset || a.id - b.id;
  // A model that only spots has no classes: its one lane is that of intervals without a label.
  const classes = data.classes.length ? data.classes : [""];
  const labels = () => [...new Set([...classes, ...items.map((item) => item.emotion)])];

  return {
    onChange: (listener) => listeners.push(listener),
    shown: () => items.filter(isShown).sort(order),
    get: (id) => items.find((item) => item.id === id),
    labels,
    get threshold() { return threshold; },
    set threshold(value) { threshold = value; tell(); },
    get dirty() { return items !== saved; },
    get canUndo() { return past.length > 0; },
    get canRedo() { return future.length > 0; },
    counts() {
      const shown = items.filter(isShown);
      return { shown: shown.length, all: items.length, byHand: shown.filter((i) => i.source !== "model").length };
    },
    // The label as it may stand in events.csv: one spelling per word, nothing that the reader refuses.
    label(text) {
      const name = text.normalize("NFC").trim();
      if (!name && !labels().includes("")) throw new Error("a label needs a name");
      if (name.startsWith("=")) throw new Error("a label must not begin with =");
      if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(name)) throw new Error("a label must not hold control characters");
      return labels().find((known) => known.toLowerCase() === name.toLowerCase()) ?? name;
    },
    add(onset, offset, emotion) {
      const added = { id: nextId++, onset, offset, emotion, apex: null, confidence: null, scores: null,
                      source: "added", thumbnail: null, further: {} };
      put([...items, added]);
      return added.id;
    },
    change(id, patch) {
      put(items.map((item) => {
        if (item.id !== id) return item;
        const next = { ...item, ...patch, source: item.source === "added" ? "added" : "edited" };
        if (next.apex !== null && (next.apex < next.onset || next.apex > next.offset)) next.apex = null;
        return next;
      }));
    },
    remove: (id) => put(items.filter((item) => item.id !== id)),
    undo: () => step(past, future),
    redo: () => step(future, past),

    // events.csv of the shown intervals, with the rows of other videos that were loaded with it; marks them as saved.
    save() {
      const seen = new Set();
      const rows = items.filter(isShown).sort(order).filter((item) => {
        const { expression_type: type = "", label_set: labelSet = "" } = item.further;
        const key = JSON.stringify([item.onset, item.offset, item.emotion, type, labelSet.trim() || LABEL_SET]);
        return !seen.has(key) && seen.add(key); // the reader refuses a repeated row
      }).map((item) => ({
        ...item.further, video_id: data.video.id, onset: item.onset, apex: item.apex ?? "", offset: item.offset,
        emotion: item.emotion, provenance: provenance(item),
      }));
      saved = items;
      tell();
      return { n: rows.length, text: formatCsv(columns, [...rows, ...others]) };
    },
    // Replaces all intervals by those of an events.csv (an edit that undo takes back), unless it has none of this
    // video; says what was read.
    load(text) {
      const table = readTable(text);
      const { id, file } = data.video;
      const paths = [file, file.split("/").pop()]; // below the folder of the videos, and the name alone
      const names = new Set([id, ...paths, ...paths.map((path) => path.replace(/\.[^.]*$/, ""))]);
      const inSeconds = table.header.includes("onset_s");
      const mine = table.rows.filter(({ cells }) => names.has(cells.video_id));
      const rest = table.rows.filter(({ cells }) => !names.has(cells.video_id)).map(({ cells }) => cells);
      const read = mine.map((row) => ({ ...fromRow(row, axis, inSeconds), id: nextId++ })).map((item) => {
        const same = original.find((o) => o.onset === item.onset && o.offset === item.offset && o.apex === item.apex);
        const scores = same && { scores: same.scores, thumbnail: same.thumbnail };
        return { confidence: null, scores: null, thumbnail: item.apex, ...item, ...scores, loaded: true };
      });
      others = inSeconds ? [] : rest;
      columns = [...new Set([...COLUMNS, ...table.header])].filter((name) => name !== "onset_s" && name !== "offset_s");
      if (read.length) {
        put(read);
        saved = items;
        tell();
      }
      return { read: read.length, others: rest.length, kept: others.length };
    },
  };
}

// Where an interval comes from, for events.csv: `model 0.83`, `edited 0.83`, `added`, or what another tool wrote.
function provenance(item) {
  if (item.source === "other") return item.further.provenance ?? "";
  return item.confidence === null ? item.source : `${item.source} ${item.confidence}`;
}

// A row of events.csv as an interval of this video; Error with the row's number if it is none.
function fromRow({ cells, line }, axis, inSeconds) {
  const number = (name) => {
    const text = cells[name].trim();
    if (!text || !Number.isFinite(+text)) throw new Error(`row ${line}: ${name} "${text}" is no number`);
    return +text;
  };
  const [from, to] = (inSeconds ? ["onset_s", "offset_s"] : ["onset", "offset"]).map(number);
  const latest = 2 * axis.to - axis.middle(axis.last); // half a frame after the end, as the reader rounds
  if (inSeconds && !(from >= 0 && from < to && to <= latest)) {
    throw new Error(`row ${line}: ${from} to ${to} s is no interval of 0 to ${+axis.to.toFixed(3)} s`);
  }
  const [onset, offset] = inSeconds ? [axis.startNear(from), axis.endNear(to)] : [from, to];
  if (!Number.isInteger(onset) || !Number.isInteger(offset) || onset < 0 || offset < onset || offset > axis.last) {
    throw new Error(`row ${line}: frames ${onset} to ${offset} are no interval of frames 0 to ${axis.last}`);
  }
  const { video_id, onset_s, offset_s, ...further } = cells;
  const apex = /^\d+$/.test(cells.apex ?? "") && +cells.apex >= onset && +cells.apex <= offset ? +cells.apex : null;
  const [, source, confidence] = /^(model|edited|added)(?: (\d\S*))?$/.exec(cells.provenance ?? "") ?? [];
  return { onset, offset, apex, emotion: cells.emotion.trim(), source: source ?? "other",
           confidence: confidence ? +confidence : null, further };
}

// A table with the columns that events.csv must have: `{header, rows: [{cells: {column: text}, line}]}`; Error saying
// which is missing.
function readTable(text) {
  const [{ cells: header, line: first } = { cells: [], line: 1 }, ...rows] = parseCsv(text);
  const times = header.includes("onset_s") ? ["onset_s", "offset_s"] : ["onset", "offset"];
  const missing = ["video_id", ...times, "emotion"].filter((name) => !header.includes(name));
  if (missing.length) throw new Error(`row ${first}: no column ${missing.join(", ")}`);
  return { header, rows: rows.map(({ cells, line }) => {
    if (cells.length !== header.length) throw new Error(`row ${line}: ${cells.length} cells, not ${header.length}`);
    return { cells: Object.fromEntries(header.map((name, k) => [name, cells[k]])), line };
  }) };
}

// RFC 4180 both ways. Rows as `{cells, line}`: the line of the file on which one ends, as the reader counts them; blank
// lines are skipped.
function parseCsv(text) {
  const rows = [];
  let row = [], cell = "", quoted = false, line = 1;
  const source = text.replace(/^\ufeff/, "");
  for (let i = 0; i < source.length; i++) {
    const c = source[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (source[i + 1] === '"') cell += source[++i];
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === ",") row.push(cell), (cell = "");
    else if (c === "\n") row.push(cell), rows.push({ cells: row, line }), (row = []), (cell = "");
    else if (c !== "\r") cell += c;
    if (c === "\n") line += 1;
  }
  if (quoted) throw new Error("a quotation mark is not closed");
  if (cell || row.length) rows.push({ cells: [...row, cell], line });
  return rows.filter(({ cells }) => cells.some((text) => /[^ \t]/.test(text)));
}

function formatCsv(columns, rows) {
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = [columns, ...rows.map((row) => columns.map((name) => row[name] ?? ""))];
  return lines.map((cells) => cells.map((value) => cell(String(value))).join(",") + "\r\n").join("");
}
