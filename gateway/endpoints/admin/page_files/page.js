"use strict";

// Everything that is shown comes from clients, back ends or settings, so it is only ever set as
// text (`textContent`), never as HTML.

const EVERY_MS = 2000;
const WINDOW_S = 60;
const CERTIFICATES_EVERY_MS = 60000;
const SOON_DAYS = 14;
const DIFFERENT_S = 60; // nodes that differ for longer are no rollout any more

const find = (id) => document.getElementById(id);
const number = (value, digits = 0) =>
  value === null || value === undefined || Number.isNaN(value) ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (value) => (value === null ? "–" : `${number(100 * value, value > 0 && value < 0.1 ? 2 : 0)} %`);
const time = (seconds) =>
  seconds === null ? "–" : seconds < 1 ? `${number(1000 * seconds, 1)} ms` : `${number(seconds, 2)} s`;
const age = (seconds) =>
  seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min`
    : seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;

// A column: its title, the value of a row, the text of a value, the class of a cell.
const column = (title, value, text = String, look = () => "") => ({ title, value, text, look });
const count = (title, value, text = number, look) => ({ ...column(title, value, text, look), isNumber: true });
const isBad = (value) => (value > 0 ? "bad" : "");
const rates = [
  count("requests/s", (row) => row.rate, (value) => number(value, 1)),
  count("failed", (row) => row.failed, percent, isBad),
  count("p50", (row) => row.p50, time),
  count("p95", (row) => row.p95, time),
  count("p99", (row) => row.p99, time),
];
const TABLES = {
  routes: {
    caption: "Routes",
    columns: [
      column("method", (row) => row.http_method),
      column("route", (row) => row.route || "(no route)"),
      ...rates,
      count("4xx", (row) => row.client_errors, percent),
      count("since start", (row) => row.requests),
    ],
    sort: [2, -1],
  },
  upstreams: {
    caption: "Upstreams",
    columns: [
      column("upstream", (row) => row.name),
      column("channel", (row) => row.channel),
      count("endpoints", (row) => row.endpoints),
      column("panic", (row) => (row.panics.length ? `in ${row.panics.length} workers` : "")),
      ...rates.map((one) => (one.title === "requests/s" ? { ...one, title: "calls/s" } : one)),
      count("since start", (row) => row.requests),
    ],
    sort: [0, 1],
  },
  endpoints: {
    caption: "Endpoints of upstreams, with the number of workers that see each state",
    columns: [
      column("upstream", (row) => row.upstream),
      column("address", (row) => row.address),
      column("state", (row) => row.state, String, (_, row) => row.look),
      count("in flight", (row) => row.in_flight),
      count("weight", (row) => row.weight),
      count("priority", (row) => row.priority),
      column("zone", (row) => row.zone ?? ""),
      column("why it takes no calls", (row) => row.reason),
    ],
    sort: [0, 1],
  },
  limits: {
    caption: "Limits hit",
    columns: [
      column("kind", (row) => row.kind),
      column("name", (row) => row.name),
      count("refused/s", (row) => row.rate, (value) => number(value, 1), isBad),
      count("since start", (row) => row.refused),
    ],
    sort: [2, -1],
  },
  stores: {
    caption: "Stores",
    columns: [
      column("store of", (row) => row.name),
      column("state", (row) => (row.up ? "up" : "down"), String, (value) => (value === "up" ? "good" : "bad")),
      count("operations/s", (row) => row.rate, (value) => number(value, 1)),
      count("failed", (row) => row.failed, percent, isBad),
      count("since start", (row) => row.operations),
    ],
    sort: [0, 1],
  },
  failures: {
    caption: "Last failures",
    columns: [
      column("time", (row) => row.time, (value) => value.replace("T", " ").replace("+00:00", " UTC")),
      count("status", (row) => row.status, String),
      column("error", (row) => row.error_type),
      column("code", (row) => row.code),
      column("method", (row) => row.http_method),
      column("path", (row) => row.path),
      count("duration", (row) => row.duration_s, time),
      column("request id", (row) => row.request_id),
    ],
    sort: [0, -1],
  },
  workers: {
    caption: "Workers",
    columns: [
      count("number", (row) => row.number, String),
      column("state", (row) => row.state, String, (value) => (value === "serving" ? "good" : "bad")),
      column("process", (row) => row.pid, (value) => (value === null ? "–" : String(value))),
      count("running for", (row) => row.uptime_s, age),
      count("failures in a row", (row) => row.failures, number, isBad),
      count("connections", (row) => row.connections),
      count("requests in progress", (row) => row.requests_in_progress),
    ],
    sort: [0, 1],
  },
  nodes: {
    caption: "Nodes that share a Redis",
    columns: [
      column("name", (row) => row.name),
      column("state", (row) => row.state, String, (value) => (value === "ready" ? "good" : "bad")),
      column("version", (row) => row.version),
      count("generation", (row) => row.generation),
      column("settings", (row) => row.config),
      column("routes", (row) => row.routes),
      count("running for", (row) => row.uptime_s, age),
      count("last seen before", (row) => row.last_seen_s, age),
    ],
    sort: [0, 1],
  },
  certificates: {
    caption: "Certificates",
    columns: [
      column("setting", (row) => row.setting),
      column("subject", (row) => row.error ?? row.subject, String, (_, row) => (row.error ? "bad" : "")),
      count("valid until", (row) => row.not_after ?? "–", (value) => value.replace("T", " ").replace("Z", " UTC")),
      count("days left", (row) => row.days, number, (days) => (days < 0 ? "bad" : days < SOON_DAYS ? "warn" : "")),
      column("file", (row) => row.file),
    ],
    sort: [3, 1],
  },
};

function element(name, text, parent, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

function build(id, table) {
  const region = element("div", "", find("tables"), "table");
  const whole = element("table", "", region);
  element("caption", table.caption, whole).id = `${id}-caption`;
  whole.id = id;
  region.tabIndex = 0; // so that the keyboard scrolls it
  region.setAttribute("role", "region");
  region.setAttribute("aria-labelledby", `${id}-caption`);
  const row = element("tr", "", element("thead", "", whole));
  table.columns.forEach((one, index) => {
    const head = element("th", "", row, one.isNumber ? "number" : "");
    head.scope = "col";
    const button = element("button", one.title, head);
    button.type = "button";
    button.addEventListener("click", () => {
      const [at, direction] = table.sort;
      table.sort = [index, at === index ? -direction : one.isNumber ? -1 : 1];
      fill(id, table.rows);
    });
  });
  element("tbody", "", whole);
}

function compare(one, other) {
  if (typeof one === "number" || typeof other === "number") return (one ?? -Infinity) - (other ?? -Infinity);
  const [first, second] = [String(one ?? ""), String(other ?? "")];
  return first < second ? -1 : first > second ? 1 : 0;
}

function fill(id, rows) {
  const table = TABLES[id];
  const [at, direction] = table.sort;
  const { columns } = table;
  table.rows = rows;
  const heads = find(id).tHead.rows[0].cells;
  columns.forEach((_, index) => {
    if (index === at) heads[index].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else heads[index].removeAttribute("aria-sort");
  });
  const body = document.createElement("tbody");
  const sorted = [...rows].sort((a, b) => direction * compare(columns[at].value(a), columns[at].value(b)));
  for (const row of sorted) {
    const line = element("tr", "", body);
    for (const one of columns) {
      const value = one.value(row);
      const look = `${one.isNumber ? "number " : ""}${one.look(value, row)}`.trim();
      element("td", one.text(value ?? null), line, look);
    }
  }
  if (rows.length === 0) {
    const cell = element("td", "none", element("tr", "", body), "none");
    cell.colSpan = columns.length;
  }
  find(id).tBodies[0].replaceWith(body);
}

// The upper bound of the share of the quickest requests, as Prometheus' histogram_quantile has it.
function quantile(share, buckets, bounds) {
  const total = buckets.reduce((sum, one) => sum + one, 0);
  if (total === 0) return null;
  let rest = share * total;
  for (let index = 0; index < bounds.length; index += 1) {
    if (rest <= buckets[index]) {
      const from = index === 0 ? 0 : bounds[index - 1];
      return from + (bounds[index] - from) * (rest / buckets[index]);
    }
    rest -= buckets[index];
  }
  return bounds[bounds.length - 1];
}

const NOTHING = { requests: 0, failures: 0, client_errors: 0 };

function rated(row, before, seconds, bounds) {
  const then = before ?? NOTHING;
  const requests = row.requests - then.requests;
  const buckets = row.buckets.map((one, index) => one - (before ? before.buckets[index] : 0));
  const share = (some) => (requests > 0 ? some / requests : null);
  return {
    ...row,
    rate: seconds > 0 ? requests / seconds : null,
    failed: share(row.failures - then.failures),
    client_errors: share(row.client_errors - then.client_errors),
    p50: quantile(0.5, buckets, bounds),
    p95: quantile(0.95, buckets, bounds),
    p99: quantile(0.99, buckets, bounds),
  };
}

function showLimitsAndStores(traffic, before, seconds) {
  const than = (rows, row) => rows.find((one) => one.name === row.name && one.kind === row.kind);
  const per = (some) => (seconds > 0 ? some / seconds : null);
  fill("limits", traffic.limits.map((row) => {
    const old = than(before.limits, row)?.refused ?? 0;
    return { ...row, rate: row.refused === null ? null : per(row.refused - old) };
  }));
  fill("stores", traffic.stores.map((row) => {
    const old = than(before.stores, row) ?? { operations: 0, failures: 0 };
    const some = row.operations - old.operations;
    return { ...row, rate: per(some), failed: some > 0 ? (row.failures - old.failures) / some : null };
  }));
}

const keyOf = (row) => `${row.http_method ?? ""} ${row.route ?? ""} ${row.name ?? ""}`;
let samples = [];

// The sums of a minute ago, to compare those of now with; all older ones are forgotten.
function sampleBefore(traffic) {
  const restarted = samples.length > 0 && samples.at(-1).total.requests > traffic.total.requests;
  if (restarted) samples = [];
  samples.push(traffic);
  while (samples.length > 2 && samples[1].at_s <= traffic.at_s - WINDOW_S) samples.shift();
  return samples[0];
}

function showTraffic(status, traffic, upstreams) {
  const known = traffic.is_known;
  const before = known ? sampleBefore(traffic) : null;
  const seconds = known ? traffic.at_s - before.at_s : 0;
  const old = new Map(known ? [...before.routes, ...before.upstreams].map((row) => [keyOf(row), row]) : []);
  const bounds = known ? traffic.bounds_s : [];
  const rate = (row) => rated(row, seconds > 0 ? old.get(keyOf(row)) : row, seconds, bounds);
  const total = known ? rated(traffic.total, before.total, seconds, bounds) : {};
  const figures = [
    ["requests/s", number(total.rate, 1)],
    ["failed", percent(total.failed ?? null)],
    ["p50", time(total.p50 ?? null)],
    ["p95", time(total.p95 ?? null)],
    ["p99", time(total.p99 ?? null)],
    ["4xx", percent(total.client_errors ?? null)],
    ["in progress", number(status.requests_in_progress)],
    ["connections", number(status.connections)],
  ];
  const list = document.createElement("dl");
  list.id = "figures";
  for (const [name, value] of figures) {
    const box = element("div", "", list);
    element("dt", name, box);
    element("dd", value, box);
  }
  find("figures").replaceWith(list);
  const left = known && traffic.routes_left_out ? ` ${traffic.routes_left_out} more routes are not shown.` : "";
  find("window").textContent = known
    ? `Rates and percentiles are those of the last ${Math.round(seconds)} s.${left}`
    : "Rates need metrics.enabled.";
  fill("routes", known ? traffic.routes.map(rate) : []);
  const called = new Map((known ? traffic.upstreams : []).map((row) => [row.name, rate(row)]));
  showLimitsAndStores(known ? traffic : { limits: [], stores: [] }, before, seconds);
  fill("upstreams", upstreams.map((one) => ({ ...called.get(one.name), ...one, endpoints: one.endpoints.length })));
}

function endpointRow(upstream, one) {
  const states = Object.entries(one.states);
  const isOut = states.some(([state]) => ["failing", "ejected", "unhealthy"].includes(state));
  const reasons = new Set(one.reasons.map((each) => each.reason));
  return {
    ...one,
    upstream,
    state: states.map(([state, workers]) => `${state} ×${workers}`).join(", "),
    look: isOut ? "bad" : one.states.ready ? "good" : "",
    reason: [...reasons].join("; "),
  };
}

let token = "";

class Unauthorized extends Error {}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (answer.status === 401) throw new Unauthorized();
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

function showState(status) {
  const state = find("state");
  const text = status.ready ? "ready" : `not ready: ${status.reason}`;
  if (state.textContent !== text) state.textContent = text; // it is read aloud only if it changes
  state.className = status.ready ? "good" : "bad";
  document.title = `Gateway: ${text}`;
  const { serving, configured } = status.workers;
  find("about").textContent =
    `version ${status.version}, ${status.listen ?? "not listening"}, up for ${age(status.uptime_s)}, ` +
    `${serving} of ${configured} workers serve ${status.routes} routes, ` +
    `generation ${status.generation} of the settings, log level ${status.log_level}`;
}

async function showNodes() {
  let found;
  try {
    found = await ask("nodes");
  } catch (error) {
    if (error instanceof Unauthorized) throw error;
    find("warning").textContent = "the nodes that share the store are not known: it does not answer";
    return;
  }
  fill("nodes", found.nodes);
  const names = Object.keys(found.differences ?? {});
  const isLong = (found.differ_for_s ?? 0) > DIFFERENT_S;
  const text = isLong ? `the nodes differ in ${names.join(", ")} for ${age(found.differ_for_s)}` : "";
  if (find("warning").textContent !== text) find("warning").textContent = text;
}

let certificatesDue = 0;

async function showCertificates() {
  if (Date.now() < certificatesDue) return;
  const { certificates } = await ask("certificates");
  const days = (one) => (one.not_after ? Math.floor((Date.parse(one.not_after) - Date.now()) / 86400000) : null);
  fill("certificates", certificates.map((one) => ({ ...one, days: days(one) })));
  certificatesDue = Date.now() + CERTIFICATES_EVERY_MS;
}

async function refresh() {
  const [status, workers, upstreams, failures, traffic] = await Promise.all(
    ["status", "workers", "upstreams", "failures", "traffic"].map(ask));
  showState(status);
  showTraffic(status, traffic, upstreams.upstreams);
  fill("endpoints", upstreams.upstreams.flatMap((each) => each.endpoints.map((one) => endpointRow(each.name, one))));
  fill("failures", failures.failures);
  fill("workers", workers.workers);
  await showNodes();
  await showCertificates();
  find("token-form").hidden = true;
  document.body.dataset.ready = "true";
}

let isPaused = false;
let timer = 0;

async function poll() {
  clearTimeout(timer);
  try {
    if (!isPaused && !document.hidden) await refresh();
  } catch (error) {
    const needsToken = error instanceof Unauthorized;
    find("state").textContent = needsToken ? "needs a token" : `no answer: ${error.message}`;
    find("state").className = "bad";
    if (needsToken) {
      find("token-fault").textContent = token ? "this token is not accepted" : "";
      find("token-form").hidden = false;
      return;
    }
  }
  clearTimeout(timer);
  timer = setTimeout(poll, EVERY_MS);
}

find("pause").addEventListener("click", ({ currentTarget }) => {
  isPaused = !isPaused;
  currentTarget.setAttribute("aria-pressed", String(isPaused));
  poll();
});
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim(); // kept in this page alone
  poll();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
for (const [id, table] of Object.entries(TABLES)) build(id, table);
poll();
