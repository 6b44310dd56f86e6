(function () {
  "use strict";
  function id(name) { return document.getElementById(name); }
  var data = JSON.parse(id("data").textContent), values = JSON.parse(id("values").textContent);
  var search = neuropilSearch(data.search), accepted = data.facets, facets = Object.keys(accepted);
  var table = id("papers").tBodies[0], listed = Array.from(table.rows);
  var rows = [];
  listed.forEach(function (tr, place) { rows[Number(tr.dataset.n)] = { tr: tr, place: place, values: values[Number(tr.dataset.n)] }; });
  var boxes = Array.from(id("facets").querySelectorAll("input")), query = id("q"), sort = id("sort");
  var sorts = Array.from(sort.options, function (option) { return option.value; }).filter(function (value) { return value !== "match"; });
  var state = { q: "", sort: "", chosen: {} }, written = null;
  window.neuropil = { search: search };

  // The state as the address writes it, and back; what the address asks for and the page does not know is left out and said.
  function read(hash) {
    var found = { q: "", sort: "", chosen: {} }, unknown = [];
    new URLSearchParams(hash.replace(/^#/, "")).forEach(function (value, key) {
      if (key === "q") { found.q = value; return; }
      if (key === "sort") {
        if (sorts.includes(value)) { found.sort = value; } else { unknown.push("the order \u201c" + value + "\u201d (there are " + sorts.join(", ") + ")"); }
        return;
      }
      if (!facets.includes(key)) { unknown.push("a filter \u201c" + key + "\u201d (there are " + facets.join(", ") + ")"); return; }
      var asked = value.split(",").filter(Boolean), known = asked.filter(function (one) { return accepted[key].includes(one); });
      asked.filter(function (one) { return !known.includes(one); }).forEach(function (one) {
        unknown.push(key + " \u201c" + one + "\u201d (there are " + accepted[key].join(", ") + ")");
      });
      if (known.length) { found.chosen[key] = known; }
    });
    var note = id("note");
    note.hidden = !unknown.length;
    note.textContent = unknown.length ? "The address asks for what this page does not know, which was left out: " + unknown.join("; ") + "." : "";
    return found;
  }

  function write() {
    var parts = [];
    if (state.q.trim()) { parts.push("q=" + encodeURIComponent(state.q.trim())); }
    facets.forEach(function (name) { if (state.chosen[name]) { parts.push(name + "=" + state.chosen[name].map(encodeURIComponent).join(",")); } });
    if (state.sort) { parts.push("sort=" + state.sort); }
    written = parts.length ? "#" + parts.join("&") : "";
    if (written !== location.hash) { history.replaceState(null, "", written || location.pathname + location.search); }
  }

  function fits(row, but) {
    return facets.every(function (name) { return name === but || !state.chosen[name] || state.chosen[name].includes(row.values[name]); });
  }

  function compare(order) {
    return {
      tested: function (x, y) { return x.place - y.place; },
      newest: function (x, y) { return y.values.year - x.values.year || x.place - y.place; },
      title: function (x, y) { return x.values.title.localeCompare(y.values.title); },
      quick: function (x, y) { return (x.values.minutes ?? 1e9) - (y.values.minutes ?? 1e9) || x.place - y.place; }
    }[order];
  }

  function show() {
    var asked = state.q.trim(), hits = asked ? search(state.q, true) : null, pool, why = new Map();
    if (hits) {
      pool = hits.map(function (hit) { why.set(hit[0], hit[2]); return rows[hit[0]]; });
      if (state.sort) { pool.sort(compare(state.sort)); }
    } else {
      pool = rows.slice().sort(compare(state.sort || "tested"));
    }
    var shown = pool.filter(function (row) { return fits(row); }), visible = new Set(shown);
    rows.forEach(function (row, number) {
      row.tr.hidden = !visible.has(row);
      var said = row.tr.querySelector(".why");
      said.hidden = !why.has(number);
      said.textContent = why.has(number) ? "found by " + why.get(number).split(", ").slice(0, 3).join(", ") : "";
    });
    table.append.apply(table, shown.map(function (row) { return row.tr; }));
    boxes.forEach(function (box) {
      var n = pool.filter(function (row) { return row.values[box.name] === box.value && fits(row, box.name); }).length;
      box.nextElementSibling.nextElementSibling.textContent = n;
      box.parentElement.classList.toggle("zero", !n && !box.checked);
      box.checked = (state.chosen[box.name] || []).includes(box.value);
    });
    var active = Object.values(state.chosen).reduce(function (sum, list) { return sum + list.length; }, 0);
    id("active").textContent = active ? "(" + active + ")" : "";
    id("clear").disabled = !active && !asked;
    id("count").textContent = shown.length + " of " + rows.length + " papers" + (asked ? " for \u201c" + asked + "\u201d" : "");
    id("none").hidden = shown.length > 0;
    id("papers").hidden = shown.length === 0;
    sort.options[0].hidden = !asked;
    sort.value = state.sort || (asked ? "match" : "tested");
  }

  function changed() { write(); show(); }
  function clear() { state = { q: "", sort: state.sort, chosen: {} }; query.value = ""; id("note").hidden = true; changed(); query.focus(); }

  query.addEventListener("input", function () { state.q = query.value; changed(); });
  sort.addEventListener("change", function () { state.sort = sort.value === "match" || (sort.value === "tested" && !state.q.trim()) ? "" : sort.value; changed(); });
  boxes.forEach(function (box) {
    box.addEventListener("change", function () {
      var chosen = accepted[box.name].filter(function (value) {
        return boxes.some(function (other) { return other.name === box.name && other.value === value && other.checked; });
      });
      if (chosen.length) { state.chosen[box.name] = chosen; } else { delete state.chosen[box.name]; }
      changed();
    });
  });
  id("clear").addEventListener("click", clear);
  id("clear-too").addEventListener("click", clear);
  id("facets").addEventListener("submit", function (event) { event.preventDefault(); });
  window.addEventListener("hashchange", function () { if (location.hash !== written) { load(); } });

  function links() { return Array.from(table.querySelectorAll("tr:not([hidden]) th a")); }
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    var at = document.activeElement, typing = /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName) && at.type !== "checkbox";
    if (event.key === "/" && !typing) { event.preventDefault(); query.focus(); query.select(); return; }
    var all = links(), place = all.indexOf(at);
    if (event.key === "Escape" && (at === query || place >= 0)) {
      event.preventDefault();
      if (at === query && query.value) { query.value = state.q = ""; changed(); }
      query.focus();
    } else if (event.key === "Enter" && at === query) {
      if (all.length && state.q.trim()) { event.preventDefault(); all[0].click(); }
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (at === query || place >= 0)) {
      event.preventDefault();
      var next = event.key === "ArrowDown" ? place + 1 : place - 1;
      if (next < 0) { query.focus(); } else if (next < all.length) { all[next].focus(); }
    }
  });

  function load() {
    state = read(location.hash);
    query.value = state.q;
    show();
  }
  if (matchMedia("(max-width: 62rem)").matches) { id("filters").open = false; }
  load();
}());
