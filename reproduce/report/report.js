const SHOWN_AT_ONCE = 100, OPEN_AT_ONCE = 10, CURVES_AT_ONCE = 200;
const byId = (name) => document.getElementById(name);
let data, runs, filtered, limit = SHOWN_AT_ONCE, order = { key: "state", down: false };

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const named = (fields, values) => Object.fromEntries(fields.map((field, k) => [field, values[k]]));
const lines = (numbers) => numbers.map((number) => data.texts[number]);

function readRuns() {
  runs = data.runs.map((values) => {
    const run = named(data.run_fields, values);
    for (const field of ["name", "table", "row", "column"]) run[field] = data.texts[run[field]];
    run.records = run.records.map((record) => named(data.record_fields, record));
    run.words = [run.name, run.table, run.row, run.column, run.state, run.sample].join(" ").toLowerCase();
    return run;
  });
}

const metricsOf = (chosen) => [...new Set(chosen.flatMap((run) => run.records.flatMap((record) => Object.keys(record.curves))))];

// ---- sorting of a table that stands in the page ----
function sortTable(table, column, button) {
  const head = button.closest("th"), down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[column], value = cell.dataset.value;
    return value === undefined ? (column ? null : cell.textContent.toLowerCase()) : Number(value);
  };
  body.append(...[...body.rows].map((row) => [key(row), row]).sort(([a], [b]) => compare(a, b, down)).map(([, row]) => row));
}

// What is not known stands last, whichever way the others go.
function compare(a, b, down) {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  const before = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  return down ? -before : before;
}

// ---- search ----
function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (text) => words.every((word) => text.includes(word));
  for (const table of document.querySelectorAll(".table")) {
    const title = table.querySelector("h3").textContent.toLowerCase();
    let any = false;
    for (const row of table.querySelectorAll("tbody tr")) {
      row.hidden = !has(`${title} ${row.textContent.toLowerCase()}`);
      any ||= !row.hidden;
    }
    table.hidden = !any;
  }
  filtered = runs.filter((run) => has(run.words));
  limit = SHOWN_AT_ONCE;
  showRuns();
}

// ---- runs ----
const RUN_COLUMNS = { name: "run", table: "table", row: "row", column: "column", seed: "seed", state: "state", value: "value", seconds: "hours" };

function runHeads() {
  const heads = Object.entries(RUN_COLUMNS).map(([key, text]) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      order = { key, down: order.key === key && !order.down };
      showRuns();
    });
    return make("th", { "data-key": key }, button);
  });
  byId("run-table").tHead.append(make("tr", {}, ...heads));
}

function showRuns() {
  for (const head of byId("run-table").tHead.querySelectorAll("th")) {
    if (head.dataset.key === order.key) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  filtered.sort((a, b) => compare(a[order.key], b[order.key], order.down));
  const rows = filtered.slice(0, limit).map((run) => {
    const text = (key) => (key === "seconds" ? (run.seconds === null ? "" : (run.seconds / 3600).toPrecision(3)) : String(run[key] ?? ""));
    const opener = make("button", { type: "button", class: "number" }, run.name);
    const row = make("tr", {}, ...Object.keys(RUN_COLUMNS).map((key) => make("td", {}, key === "name" ? opener : text(key))));
    row.addEventListener("click", () => openRuns(run.name, [run]));
    return row;
  });
  byId("run-table").tBodies[0].replaceChildren(...rows);
  byId("run-count").textContent = `${filtered.length} of ${runs.length} runs${filtered.length > limit ? `, the first ${limit} shown` : ""}`;
  byId("more").hidden = filtered.length <= limit;
}

// ---- provenance ----
function openCell(id) {
  const cell = document.querySelector(`[data-cell="${CSS.escape(id)}"]`);
  const row = cell.closest("tr").cells[0].textContent, title = cell.closest(".table").querySelector("h3").firstChild.textContent;
  const column = cell.closest("table").tHead.rows[0].cells[cell.closest("td").cellIndex].textContent;
  openRuns(`${title.trim()} · ${row} · ${column}: ${cell.textContent}`, (data.cells[id] || []).map((number) => runs[number]));
}

function openRuns(title, chosen) {
  byId("provenance-title").textContent = title;
  const body = byId("provenance-body");
  body.replaceChildren();
  const metrics = metricsOf(chosen);
  byId("provenance").showModal();
  if (metrics.length) {
    const select = make("select", { "aria-label": "Metric" }, ...metrics.map((name) => make("option", {}, name)));
    const chart = make("div");
    const draw = () => drawChart(chart, curvesOf(chosen, select.value, (run) => `seed ${run.seed}${run.sample ? ` ${run.sample}` : ""}`), { up: select.value });
    select.addEventListener("change", draw);
    body.append(make("p", {}, select), chart);
    draw();
  }
  const few = chosen.length <= OPEN_AT_ONCE;
  for (const run of chosen) body.append(...details(run, few));
  byId("provenance").scrollTop = 0;
}

function details(run, open) {
  if (!run.records.length) return [make("p", {}, `${run.name}: ${run.state}${run.why ? `: ${run.why}` : ""}`)];
  return run.records.map((record) => {
    const parts = [make("summary", {}, `${run.name}${record.stage ? `, ${record.stage}` : ""}: ${run.state}${run.value === null ? "" : `, ${run.value}`}`)];
    if (run.why) parts.push(make("p", {}, run.why));
    const facts = make("dl", {}, make("dt", {}, "folder"), make("dd", {}, data.texts[record.folder]));
    for (const line of lines(record.facts)) {
      const place = line.indexOf(": ");
      facts.append(make("dt", {}, line.slice(0, place)), make("dd", {}, line.slice(place + 2)));
    }
    parts.push(facts);
    const texts = { command: lines(record.command).join(" "), "config.yml": lines(record.config).join("\n"), "end of the log": lines(record.log).join("\n") };
    for (const [name, text] of Object.entries(texts)) {
      parts.push(make("h4", {}, name), text ? make("pre", { class: name.split(" ")[0] }, text) : make("p", { class: "hint" }, "none was kept"));
    }
    return make("details", open ? { open: "" } : {}, ...parts);
  });
}

// ---- curves ----
function curvesOf(chosen, metric, label, group = label) {
  const groups = [...new Set(chosen.map(group))];
  return chosen.flatMap((run) => run.records.filter((record) => record.curves[metric]).map((record) => {
    const [steps, values] = record.curves[metric], number = groups.indexOf(group(run));
    return {
      label: label(run), group: group(run), steps: data.steps[steps], values,
      colour: COLOURS[number % COLOURS.length], dash: DASHES[Math.floor(number / COLOURS.length) % DASHES.length],
    };
  }));
}

function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}

function showCurves(changed) {
  const withCurves = runs.filter((run) => run.records.some((record) => Object.keys(record.curves).length));
  const [table, column, metric] = ["curve-table", "curve-column", "curve-metric"].map(byId);
  if (!changed) fill(table, data.tables.filter(([name]) => withCurves.some((run) => run.table === name)));
  const own = withCurves.filter((run) => run.table === table.value);
  if (changed !== column && changed !== metric) fill(column, [["", "all"], ...[...new Set(own.map((run) => run.column))].map((name) => [name, name])]);
  const chosen = own.filter((run) => !column.value || run.column === column.value);
  if (changed !== metric) fill(metric, metricsOf(chosen).map((name) => [name, name]));
  const group = (run) => (column.value ? run.row : `${run.row} · ${run.column}`);
  const drawn = firstOfEach(chosen, group, CURVES_AT_ONCE);
  drawChart(byId("chart"), curvesOf(drawn, metric.value, (run) => run.name, group), { up: metric.value });
  byId("curve-count").textContent = drawn.length < chosen.length ? `${drawn.length} of ${chosen.length} runs drawn, the first of each cell; a number in a table opens all of its runs.` : "";
}

// As many of the first runs of every group as fit into a picture.
function firstOfEach(chosen, group, most) {
  const groups = new Map();
  for (const run of chosen) groups.set(group(run), [...(groups.get(group(run)) || []), run]);
  const each = Math.max(1, Math.floor(most / groups.size));
  return chosen.length <= most ? chosen : [...groups.values()].flatMap((own) => own.slice(0, each));
}

// ---- the page ----
function theme(next) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  document.documentElement.dataset.theme = next ? (now === "dark" ? "light" : "dark") : now;
}

async function start() {
  for (const table of document.querySelectorAll("table.sorted")) {
    table.querySelectorAll("thead button").forEach((button, column) => button.addEventListener("click", () => sortTable(table, column, button)));
  }
  byId("theme").addEventListener("click", () => theme(true));
  byId("close").addEventListener("click", () => byId("provenance").close());
  byId("provenance").addEventListener("click", (event) => { if (event.target === byId("provenance")) byId("provenance").close(); });
  data = await unpack(byId("data").textContent);
  readRuns();
  filtered = [...runs];
  runHeads();
  showRuns();
  byId("more").addEventListener("click", () => { limit *= 4; showRuns(); });
  byId("search").addEventListener("input", search);
  document.addEventListener("click", (event) => { const cell = event.target.closest("[data-cell]"); if (cell) openCell(cell.dataset.cell); });
  for (const select of byId("choice").elements) select.addEventListener("change", () => showCurves(select));
  showCurves();
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showCurves(byId("curve-metric")); } });
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => { byId("overview").append(make("p", { class: "hint" }, `This browser cannot show the runs: ${error.message}`)); throw error; });
