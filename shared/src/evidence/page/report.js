"use strict";
// The table of all accounts: search, filters, order, pages; the reader's own time; the theme. Whatever comes from the
// data becomes a text node, never markup.
(() => {
  const PAGE = 50;
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const count = data.names.length;
  const id = (row) => data.ids.slice(row * 12, row * 12 + 12);
  const verdict = (row) => data.verdict.charCodeAt(row) - 48;
  const notes = new Map(data.notes.map(([row, why, there]) => [row, { why: data.whys[why], there }]));
  const numbers = new Intl.NumberFormat("en");
  const accounts = (n) => `${numbers.format(n)} ${n === 1 ? "account" : "accounts"}`;

  // What needs a person first: failed, credentials present, unknown, not covered, stripped, clean.
  const URGENCY = [5, 4, 1, 0, 2, 3];
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  let ranks;
  const nameRank = (row) => {
    if (!ranks) {
      ranks = new Uint32Array(count);
      [...data.names.keys()].sort((a, b) => collator.compare(data.names[a], data.names[b])).forEach((row, rank) => { ranks[row] = rank; });
    }
    return ranks[row];
  };
  // An account of which it is not known since when sorts behind the others.
  const sinceKey = (row) => (data.since[row] === null ? -Infinity : data.since[row]);
  const KEYS = {
    name: nameRank,
    verdict: (row) => URGENCY[verdict(row)],
    since: (row) => -sinceKey(row),
    examined: (row) => data.examined[row],
  };

  let texts;
  const text = (row) => {
    texts ??= new Array(count);
    if (texts[row] === undefined) {
      const note = notes.get(row);
      texts[row] = `${data.names[row]}\n${id(row)}\n${note ? `${note.why}\n${note.there}` : ""}`.toLowerCase();
    }
    return texts[row];
  };

  const state = { terms: [], verdicts: new Set(), sort: "verdict", descending: false, page: 0, rows: [] };

  const select = () => {
    const { terms, verdicts, sort, descending } = state;
    const rows = [];
    for (let row = 0; row < count; row += 1) {
      if (verdicts.size && !verdicts.has(verdict(row))) continue;
      if (terms.every((term) => text(row).includes(term))) rows.push(row);
    }
    const key = KEYS[sort];
    const keys = new Map(rows.map((row) => [row, key(row)]));
    const sign = descending ? -1 : 1;
    rows.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : sign * (keys.get(a) < keys.get(b) ? -1 : 1)));
    state.rows = rows;
    state.page = 0;
  };

  const element = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const marked = (words) => {
    const term = state.terms[0];
    const at = term ? words.toLowerCase().indexOf(term) : -1;
    if (at < 0) return [words];
    return [words.slice(0, at), element("mark", {}, words.slice(at, at + term.length)), words.slice(at + term.length)];
  };
  const badge = (index) => {
    const { name, class: kind } = data.verdicts[index];
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", `symbol v-${kind}`);
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#s-${kind}`);
    svg.append(use);
    return element("span", { class: `badge v-${kind}` }, svg, name);
  };
  const two = (n) => String(n).padStart(2, "0");
  const utc = (seconds) => {
    const at = new Date(seconds * 1000);
    const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  };
  const moment = (label, seconds) => {
    const cell = element("td", { class: "moment", role: "cell", "data-label": label });
    if (seconds === null) cell.append("not known");
    else cell.append(element("time", { title: local(seconds), datetime: new Date(seconds * 1000).toISOString() }, utc(seconds)));
    return cell;
  };

  const line = (row) => {
    const name = data.names[row];
    const note = notes.get(row);
    const told = element("td", { class: "told", role: "cell" });
    if (note?.why) told.append(element("b", {}, ...marked(note.why)));
    if (note?.there) told.append(element("bdi", {}, ...marked(note.there)));
    return element("tr", { role: "row" },
      element("th", { scope: "row", role: "rowheader" },
        name ? element("bdi", {}, ...marked(name)) : element("i", {}, "no name "), element("span", { class: "id" }, ...marked(id(row)))),
      element("td", { role: "cell" }, badge(verdict(row))),
      moment("since", data.since[row] === null ? null : data.started - data.since[row] * 60),
      moment("examined", data.started + data.examined[row] * 60),
      told);
  };

  const show = () => {
    const { rows, page } = state;
    const from = page * PAGE;
    const to = Math.min(from + PAGE, rows.length);
    $("rows").replaceChildren(...rows.slice(from, to).map(line));
    const found = rows.length === count ? accounts(count) : `${numbers.format(rows.length)} of ${accounts(count)}`;
    $("found").textContent = rows.length || !count ? found : `${found}: nothing matches`;
    $("page").textContent = rows.length ? `${numbers.format(from + 1)} to ${numbers.format(to)} of ${numbers.format(rows.length)}` : "";
    $("before").disabled = page === 0;
    $("after").disabled = to === rows.length;
    $("pages").hidden = rows.length <= PAGE;
    for (const button of document.querySelectorAll("[data-sort]")) {
      const is = button.dataset.sort === state.sort;
      button.parentElement.setAttribute("aria-sort", is ? (state.descending ? "descending" : "ascending") : "none");
    }
  };
  const update = () => { select(); show(); };

  // Account ids are also written with hyphens, as in the AWS console and in report.csv.
  const term = (word) => (/^[\d-]+$/.test(word) ? word.replaceAll("-", "") : word);
  let timer;
  $("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      state.terms = $("search").value.toLowerCase().split(/\s+/).filter(Boolean).map(term).filter(Boolean);
      update();
    }, 60);
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("change", (event) => {
    if (event.target.name !== "verdict") return;
    state.verdicts = new Set([...document.querySelectorAll("[name=verdict]:checked")].map((box) => Number(box.value)));
    update();
  });
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      state.descending = state.sort === button.dataset.sort && !state.descending;
      state.sort = button.dataset.sort;
      update();
    });
  }
  const turn = (by) => { state.page += by; show(); $("found").scrollIntoView({ block: "nearest" }); };
  $("before").addEventListener("click", () => turn(-1));
  $("after").addEventListener("click", () => turn(1));

  const here = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const zone = here.resolvedOptions().timeZone;
  function local(seconds) { return `${here.format(new Date(seconds * 1000))} (${zone})`; }
  for (const time of document.querySelectorAll("time[datetime]")) time.title = local(Date.parse(time.dateTime) / 1000);
  if (zone !== "UTC") {
    const { from, to } = $("local").dataset;
    $("local").textContent = `, which is ${here.formatRange(new Date(from * 1000), new Date(to * 1000))} in ${zone}`;
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const label = () => { $("theme").textContent = isDark() ? "Light theme" : "Dark theme"; };
  $("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; label(); });
  dark.addEventListener("change", label);
  label();
  $("theme").hidden = false;

  update();
  $("explorer").hidden = false;
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
