"use strict";
// Whatever labels, cells and names hold is shown by textContent: it is text, and never markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const { format: FORMAT, version: VERSION, choices: CHOICES, page } = JSON.parse($("data").textContent);
  $("data").remove(); // up to 40 MB, which a phone wants back
  const { source, classes, items, strata } = page;
  const hasImages = items.some((item) => item.image), hasDrawn = items.some((item) => item.group === "random");
  const SCREEN = hasImages ? 24 : 20; // cards
  const LABEL = 60, NAME = 120, CELL = 200, TEXT = 800; // characters that are shown at first
  const N_CELLS = 12, LONG = 60; // cells at first; characters from which on one has a line of its own
  // All pages opened from disk may share one storage. A file may be audited for another of its columns, too.
  const KEY = `${FORMAT} ${source.fingerprint} ${source.label}`;

  const itemOf = new Map(items.map((item) => [item.row, item]));
  const decided = new Map(); // decisions by row, in the order in which they were made
  const undos = []; // steps: lists of rows with the decision that each had before
  let view = []; // positions of the items that pass the filters
  let at = 0; // place of the current one in the view
  let cards = new Map(); // on this screen, by row
  let isStored = true, isByHand = false; // the last input was by mouse or finger

  // ---------------------------------------------------------------- what an item says
  const labelOf = (k) => (k === null ? null : classes[k]);
  const spelled = (label) => (label === null ? "(no label)" : label.trim() ? label : `(blank: “${label}”)`);

  // What may be right instead. A row whose own label is the likeliest has one, too: else it would be known as drawn at
  // random before it is decided.
  const rival = (item) =>
    item.suggested !== item.given ? item.suggested : item.likeliest.find((k) => k !== item.given) ?? null;

  const isHidden = (item) => !decided.has(item.row) && !$("open-chances").checked;

  // Probability by which an item is found: that of the suspect before it, as long as its own would tell what it is.
  const places = [];
  let place = items.find((item) => item.group === "suspect")?.probability ?? 0;
  for (const item of items) places.push((place = item.group === "suspect" ? item.probability : place));
  const chance = (i) => (isHidden(items[i]) ? places[i] : items[i].probability);

  function percent(p) {
    if (p < 1 && p >= 0.995) return "over 99\u00a0%";
    return p > 0 && p < 0.005 ? "under 1\u00a0%" : `${Math.round(100 * p)}\u00a0%`;
  }

  function judged(item) {
    const p = item.probability, what = item.given === null ? "suggestion probably" : "probably";
    return p < 0.5 ? `${what} right: ${percent(1 - p)}` : `${what} wrong: ${percent(p)}`;
  }

  // ---------------------------------------------------------------- text on the page
  const make = (tag, className = "", textContent = "", more = {}) =>
    Object.assign(document.createElement(tag), { className, textContent, ...more });
  const button = (text, onclick, className = "") => make("button", className, text, { type: "button", onclick });

  const many = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const isolated = (text) => `\u2068${text}\u2069`; // whichever way it runs, the sentence around it does not
  // By characters, which are one or two units of a string's length each.
  const isLong = (text, n) => text.length > n && [...text.slice(0, 2 * n + 1)].length > n;
  const cut = (text, n) => (isLong(text, n) ? `${[...text.slice(0, 2 * n)].slice(0, n).join("")}…` : text);
  // Of labels and files, the ends tell apart, too.
  const brief = (text, n) =>
    isLong(text, n) ? cut(text, Math.ceil(n / 2)) + [...text.slice(-n)].slice(-Math.floor(n / 2)).join("") : text;

  // A button that shows all of what was cut, and cuts it again.
  function more(isCut, words, draw) {
    if (!isCut) return [];
    const toggle = button("", () => set(toggle.getAttribute("aria-expanded") !== "true"), "more");
    const set = (isOpen) => {
      toggle.setAttribute("aria-expanded", isOpen);
      toggle.textContent = isOpen ? "show less" : `show all ${words}`;
      draw(isOpen);
    };
    set(false);
    return [toggle];
  }

  function longText(node, text, n) {
    [node.dir, node.textContent] = ["auto", cut(text, n)];
    const draw = (isOpen) => (node.textContent = isOpen ? text : cut(text, n));
    return [node, ...more(isLong(text, n), many([...text].length, "character"), draw)];
  }

  function pieces(item) {
    const node = make("p", "text", "", { dir: "auto" });
    const whole = item.text.map(([piece]) => piece).join(""), n = [...whole].length;
    const draw = (isOpen) => {
      let left = isOpen ? Infinity : TEXT;
      node.replaceChildren();
      for (const [piece, side] of item.text) {
        const shown = left === Infinity ? piece : cut(piece, left);
        node.append(side ? make("mark", side > 0 ? "for" : "against", shown) : shown);
        left -= [...shown].length;
        if (left <= 0) break;
      }
    };
    draw(false);
    return [node, ...more(n > TEXT, many(n, "character"), draw)];
  }

  function cells(item) {
    const list = make("dl", "cells");
    const draw = (isOpen) => {
      list.replaceChildren();
      for (const [column, value, departs] of isOpen ? item.cells : item.cells.slice(0, N_CELLS)) {
        const entry = make("div", `${departs ? "departs" : ""} ${isLong(value, LONG) ? "long" : ""}`);
        const name = make("dt", "", cut(column, LABEL), { dir: "auto" }), cell = make("dd");
        cell.append(...longText(make("span"), value, CELL));
        if (departs) cell.append(make("span", "unseen", " (unusual for the label now)"));
        entry.append(name, cell);
        list.append(entry);
      }
    };
    draw(false);
    return [list, ...more(item.cells.length > N_CELLS, `${item.cells.length} columns`, draw)];
  }

  function thumbnail(item) {
    const open = button("", () => (select(item), acts.open()), "thumbnail");
    const image = make("img", "", "", { alt: `picture of ${brief(item.name, NAME)}, enlarge`, src: item.image });
    image.onload = () => open.classList.toggle("tiny", image.naturalWidth < 48);
    open.append(image);
    return open;
  }

  // ---------------------------------------------------------------- cards
  function card(item) {
    const node = $("card").content.firstElementChild.cloneNode(true);
    const find = (selector) => node.querySelector(selector);
    find(".name").replaceWith(...longText(find(".name"), item.name, NAME));
    if (item.image) find(".body").append(thumbnail(item));
    if (item.text.length) find(".body").append(...pieces(item));
    if (item.cells.length) find(".body").append(...cells(item));
    const [given, other] = [labelOf(item.given), labelOf(rival(item))];
    for (const [name, label, act] of [["keep", given, acts.keep], ["take", other, acts.take]]) {
      const tile = find(`.tile.${name}`);
      tile.querySelector("b").textContent = cut(spelled(label), LABEL);
      tile.addEventListener("click", () => (select(item), act()));
      tile.disabled = name === "take" && label === null;
      if (label?.length > LABEL) find(".choice").after(...longText(make("p", "whole"), label, LABEL));
    }
    node.addEventListener("click", (event) => event.target.closest("button") || select(item));
    node.addEventListener("focusin", () => item === current() || select(item, false));
    return node;
  }

  const worded = ({ decision, label }) =>
    ({ keep: "Kept", drop: "Dropped", unsure: "Unsure" })[decision] ??
    `Changed to ${isolated(cut(spelled(label), LABEL))}`;

  function refresh(item) {
    const node = cards.get(item.row), d = decided.get(item.row);
    if (!node) return;
    node.dataset.decision = d?.decision ?? "";
    node.querySelector(".tile.keep").setAttribute("aria-pressed", d?.decision === "keep");
    const isTaken = d?.decision === "relabel" && d.label === labelOf(rival(item));
    node.querySelector(".tile.take").setAttribute("aria-pressed", isTaken);
    const [what, why] = node.querySelector(".verdict").children;
    what.textContent = d ? worded(d) : "";
    const notes = isHidden(item) ? [] : [judged(item)];
    if (d && item.group === "random") notes.push("drawn at random");
    why.textContent = notes.join(" · ");
    const [now, other] = [item.given, rival(item)].map((k) => cut(spelled(labelOf(k)), LABEL));
    const told = [brief(item.name, LABEL), `label now: ${now}`, `suggested: ${other}`, what.textContent, ...notes];
    node.setAttribute("aria-label", told.filter(Boolean).map(isolated).join(", ")); // what a screen reader says
  }

  const current = () => items[view[at]];
  const screenOf = (i) => Math.floor(i / SCREEN);
  const onScreen = () => view.slice(screenOf(at) * SCREEN, (screenOf(at) + 1) * SCREEN);
  function drawScreen() {
    cards = new Map(onScreen().map((i) => [items[i].row, card(items[i])]));
    $("cards").replaceChildren(...cards.values());
    onScreen().forEach((i) => refresh(items[i]));
    const n = Math.ceil(view.length / SCREEN);
    $("screen").textContent = `Screen ${screenOf(at) + 1} of ${n}`;
    document.querySelector("[data-do=before]").disabled = screenOf(at) === 0;
    document.querySelector("[data-do=after]").disabled = screenOf(at) === n - 1;
    $("empty").hidden = view.length > 0;
    $("pager").hidden = view.length === 0;
    const low = Math.min(...onScreen().map((i) => places[i]));
    $("range").textContent = view.length
      ? `Labels on this screen are wrong with a probability of at least ${Math.floor(100 * low)}\u00a0%` +
        (hasDrawn ? ", except some rows drawn at random, as a check." : ".") : "";
  }

  function select(item, isFocused = true) {
    const before = current(), to = view.indexOf(items.indexOf(item));
    if (to < 0) return;
    const isNew = screenOf(to) !== screenOf(at) || !cards.has(item.row);
    at = to;
    if (isNew) drawScreen();
    if (before) cards.get(before.row)?.removeAttribute("aria-current");
    const node = cards.get(item.row);
    node.setAttribute("aria-current", "true");
    drawDock();
    if (!isFocused) return;
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
  }

  function drawDock() {
    const item = current();
    document.querySelectorAll("#acts button").forEach((node) => (node.disabled = !item));
    document.querySelector("[data-do=undo]").disabled = undos.length === 0;
    $("where").textContent = item ? `${at + 1} of ${view.length} · ${isolated(brief(item.name, LABEL))}` : "";
    $("labels").replaceChildren();
    if (!item) return;
    document.querySelector("#acts [data-do=take]").disabled = rival(item) === null;
    const d = decided.get(item.row), label = d?.decision === "keep" ? d.given : d?.label;
    item.likeliest.slice(0, 9).forEach((k, i) => {
      const node = button("", () => relabel(classes[k]));
      node.append(make("kbd", "", i + 1), make("span", "", brief(spelled(classes[k]), 24), { dir: "auto" }));
      node.title = cut(classes[k], 200);
      node.setAttribute("aria-pressed", label === classes[k]);
      $("labels").append(node);
    });
  }

  // ---------------------------------------------------------------- decisions
  const record = ({ row, id, digest, given, group, stratum }, decision, label = null) =>
    ({ row, id, digest, given: labelOf(given), decision, label, group, stratum });

  // Put decisions in their places; one that is undefined is taken away.
  function put(changes, isNew = true) {
    for (const [row, decision] of changes) {
      decided.delete(row); // so that it comes last
      if (decision) decided.set(row, decision);
      if (itemOf.has(row)) refresh(itemOf.get(row));
    }
    if (isNew) store();
    drawProgress();
    drawDock();
  }

  function change(changes) {
    undos.push(changes.map(([row]) => [row, decided.get(row)]));
    put(changes);
  }

  function decide(decision, label = null) {
    const item = current();
    if (!item) return;
    change([[item.row, record(item, decision, label)]]);
    say(`${worded(decided.get(item.row))}: ${isolated(brief(item.name, 30))}`);
    advance();
  }

  const relabel = (label) => (label === labelOf(current()?.given) ? decide("keep") : decide("relabel", label));

  // On to the next row of the view that is not decided; after the last one, to the first that was passed over.
  function advance(from = at + 1) {
    const isOpen = (k) => !decided.has(items[k].row);
    const k = view.slice(from).find(isOpen) ?? view.find(isOpen);
    if (k === undefined) say("All rows that are shown are decided. Save your decisions.");
    select(items[k ?? view[Math.min(from, view.length - 1)]]);
  }

  // Suggestions alone, no rivals of labels that are probably right. A row drawn at random wants a look of its own: else
  // what is estimated from it would be no more than the suggestion.
  function takeAll() {
    const open = onScreen().map((i) => items[i]).filter((item) => !decided.has(item.row));
    const taken = open.filter((item) => item.group !== "random" && item.suggested !== item.given);
    const rest = open.length - taken.length, left = rest ? `; ${many(rest, "row")} left, to be decided one by one` : "";
    if (taken.length) change(taken.map((item) => [item.row, record(item, "relabel", labelOf(item.suggested))]));
    say(`Took ${many(taken.length, "suggestion")}${left}.`);
    if (taken.length) advance(screenOf(at) * SCREEN);
  }

  function drawProgress() {
    const made = [...decided.values()], here = made.filter((d) => itemOf.has(d.row));
    $("progress").max = Math.max(1, items.length);
    $("progress").value = here.length;
    $("count").textContent = `${here.length} of ${items.length} decided`;
    const words = [["relabel", "changed"], ["keep", "kept"], ["drop", "dropped"], ["unsure", "unsure"]]
      .map(([decision, word]) => [here.filter((d) => d.decision === decision).length, word]);
    words.push([made.length - here.length, "of rows that are not on this page"]);
    $("detail").textContent = words.filter(([n]) => n).map((each) => each.join(" ")).join(", ");

    const sure = here.filter((d) => d.decision !== "unsure");
    const last = sure.filter((d) => itemOf.get(d.row).group === "suspect").slice(-30);
    const right = last.filter((d) => d.decision === "keep").length;
    $("stop").hidden = last.length < 30;
    const were = right === 1 ? "label was" : "labels were";
    $("stop").textContent = `Of the last 30 suspects that you decided, ${right} ${were} right.` +
      (right >= 24 ? " You may stop here: among those that follow, wrong labels are likely to be rarer still." : "");
    $("stop").classList.toggle("reached", right >= 24);
    const drawn = sure.filter((d) => itemOf.get(d.row).group === "random");
    const wrong = drawn.filter((d) => d.decision !== "keep").length;
    $("checked").hidden = drawn.length === 0;
    $("checked").textContent =
      `Of ${many(drawn.length, "row")} drawn at random that you decided, ${wrong} had a wrong label.`;
  }

  // ---------------------------------------------------------------- keep, save, load
  function content() {
    const decisions = [...decided.values()];
    const labels = decisions.filter((d) => d.decision === "relabel").map((d) => d.label);
    return { format: FORMAT, version: VERSION, source, classes: [...new Set([...classes, ...labels])],
      decisions, strata };
  }

  function store(key = KEY, text = JSON.stringify(content())) {
    const wasStored = isStored;
    try {
      localStorage.setItem(key, text);
      isStored = true;
    } catch (error) {
      isStored = false;
      const what = `This browser does not keep your decisions (${error.name}).`;
      if (wasStored) warn(`${what} Save them before you close the page.`);
    }
  }

  // Decisions that were made before this page count for rows that it does not show, whatever the browser kept of them.
  // Nothing is stored here: two pages of one source, open at once, would answer each other without end.
  function restore() {
    let kept = null;
    const before = page.decided.map((d) => [d.row, d]);
    try {
      for (const [row, d] of before) decided.set(row, d);
      kept = localStorage.getItem(KEY);
      if (!kept) return;
      const found = read(JSON.parse(kept));
      decided.clear();
      put([...found, ...before], false);
      cards.forEach((_, row) => refresh(itemOf.get(row)));
    } catch (error) {
      warn(`What this browser kept of earlier decisions cannot be used. ${error.message}`);
      if (kept) store(`${KEY} (not readable)`, kept); // the next decision takes its place
    }
  }

  // Decisions by row of what a file holds. Of a row on this page, what the page knows counts. A row that was drawn at
  // random from other strata is a fact, and no part of this draw.
  function read(kept) {
    const refuse = (what) => { throw new Error(what); };
    if (kept?.format !== FORMAT) refuse("It is no file of decisions. Choose one that was saved by such a page.");
    if (kept.version !== VERSION) refuse(`It has version ${kept.version} of the format, this page reads ${VERSION}.`);
    const of = kept.source ?? {};
    if (of.fingerprint !== source.fingerprint || of.label !== source.label) {
      const told = (s) => `${isolated(s.name)}, labels “${isolated(s.label)}”, ${cut(String(s.fingerprint), 15)}`;
      refuse(`It is about other data: ${told(of)}. This page is about ${told(source)}.`);
    }
    if (!Array.isArray(kept.decisions)) refuse("It holds no list of decisions.");
    const isSame = JSON.stringify(kept.strata) === JSON.stringify(strata);
    const found = new Map();
    kept.decisions.forEach((d, i) => {
      const { row, id = null, digest, given = null, decision, label = null } = d ?? {}, n = source.n_rows;
      if (!Number.isInteger(row) || row < 0 || row >= n || found.has(row))
        refuse(`Decision ${i + 1} is about row ${row}, expected each row once, 0 to ${n - 1}.`);
      const isLabel = decision === "relabel" ? typeof label === "string" : label === null;
      if (!CHOICES.includes(decision) || !isLabel || typeof digest !== "string")
        refuse(`Decision ${i + 1}, of row ${row}, is none that can be made.`);
      const [group, stratum] = isSame ? [d.group, d.stratum] : ["suspect", null];
      const other = { row, id, digest, given, decision, label, group, stratum };
      found.set(row, itemOf.has(row) ? record(itemOf.get(row), decision, label) : other);
    });
    return [...found];
  }

  function save() {
    const text = `${JSON.stringify(content(), null, 1)}\n`;
    const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    make("a", "", "", { href, download: "decisions.json" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
    say(`Saved ${many(decided.size, "decision")} to decisions.json.`);
  }

  async function load(file) {
    try {
      const found = read(JSON.parse((await file.text()).replace(/^\uFEFF/, "")));
      if (found.length) change(found);
      const n = found.filter(([row]) => !itemOf.has(row)).length;
      say(`Loaded ${many(found.length, "decision")}${n ? `, ${n} of rows that are not on this page` : ""}.`);
      filter();
    } catch (error) {
      const why = error instanceof SyntaxError ? "It is no file of decisions." : error.message;
      warn(`${isolated(file.name)} was not loaded. ${why}`);
    }
  }

  // ---------------------------------------------------------------- filters and confusions
  const CHANCES = [[0.95, 1], [0.8, 0.95], [0.5, 0.8], [0, 0.5]];
  const pairOf = (item) => `${item.given},${rival(item)}`;
  const arrow = (pair, n) =>
    pair.split(",").map((k) => isolated(brief(spelled(classes[k] ?? null), n))).join(" → ");

  function choice(id, options) {
    $(id).replaceChildren(new Option("any", ""), ...options.map(([value, text]) => new Option(text, value)));
    $(id).addEventListener("change", () => filter(isByHand));
  }

  function drawFilters() {
    const pairs = new Map();
    for (const item of items) pairs.set(pairOf(item), (pairs.get(pairOf(item)) ?? 0) + 1);
    const sorted = [...pairs].sort((a, b) => b[1] - a[1]);
    choice("pair", sorted.map(([pair, n]) => [pair, `${arrow(pair, 30)} (${n})`]));
    const used = [...new Set(items.flatMap((item) => [item.given, rival(item)]))].filter((k) => k !== null);
    choice("class", used.sort((a, b) => a - b).map((k) => [k, brief(spelled(classes[k]), 40)]));
    choice("chance", [[0, "95 % and more"], [1, "80 to 95 %"], [2, "50 to 80 %"], [3, "under 50 %"]]);
    choice("status", [["open", "undecided"], ["made", "decided"], ["keep", "kept"], ["relabel", "changed"],
      ["drop", "dropped"], ["unsure", "unsure"]]);
    drawMatrix(pairs);
  }

  // Rows stay in the view when they are decided, so that nothing moves under a reviewer's hands.
  function filter(isFocused = false) {
    const [pair, k, band, status] = ["pair", "class", "chance", "status"].map((id) => $(id).value);
    const [low, high] = CHANCES[band] ?? [0, 1];
    view = items.map((_, i) => i).filter((i) => {
      const item = items[i], p = chance(i), decision = decided.get(item.row)?.decision;
      return (!pair || pairOf(item) === pair) && (!k || item.given === +k || rival(item) === +k) &&
        p >= low && (p < high || high === 1) &&
        (!status || status === decision || status === (decision ? "made" : "open"));
    });
    at = Math.max(0, view.findIndex((i) => !decided.has(items[i].row)));
    drawScreen();
    if (view.length) select(current(), isFocused);
    else drawDock();
    document.querySelectorAll("#matrix button").forEach((node) =>
      node.setAttribute("aria-pressed", node.dataset.pair === pair));
  }

  function drawMatrix(pairs) {
    const counts = new Map(page.confusions.map(([given, suggested, n]) => [`${given},${suggested}`, n]));
    const sums = new Map();
    for (const [a, b, n] of page.confusions) for (const k of [a, b]) sums.set(k, (sums.get(k) ?? 0) + n);
    const ranked = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
    const shown = ranked.slice(0, 10).sort((a, b) => a - b), most = Math.max(...counts.values());
    $("confusions").hidden = shown.length === 0;
    const head = (k, scope) => {
      const node = make("th", "", "", { scope, title: cut(classes[k], 200) });
      node.append(make("span", "", brief(spelled(classes[k]), 9), { dir: "auto" }));
      return node;
    };
    const top = make("tr");
    top.append(make("td"), ...shown.map((k) => head(k, "col")));
    $("matrix").replaceChildren(top, ...shown.map((given) => {
      const line = make("tr");
      line.append(head(given, "row"), ...shown.map((suggested) => {
        const cell = make("td", given === suggested ? "same" : "");
        const pair = `${given},${suggested}`, n = counts.get(pair);
        if (!n) return cell;
        const node = button(n, () => { $("pair").value = $("pair").value === pair ? "" : pair; filter(); });
        node.dataset.pair = pair;
        node.disabled = !pairs.has(pair);
        node.style.setProperty("--heat", `${Math.round(12 + 30 * n / most)}%`);
        node.title = `${arrow(pair, LABEL)}: ${n}${node.disabled ? ", none of them on this page" : ""}`;
        node.setAttribute("aria-label", node.title);
        cell.append(node);
        return cell;
      }));
      return line;
    }));
    $("confusions-note").textContent = "From the label now (left) to the suggested one (above), of all suspects. " +
      (shown.length < ranked.length ? "The ten classes with most. " : "") + "Press a number to see its rows.";
  }

  // ---------------------------------------------------------------- another label
  let marked = 0;
  function listLabels() {
    const typed = $("typed").value.trim(), low = typed.toLowerCase(), item = current();
    const all = new Set([...item.likeliest.map(labelOf), ...content().classes]);
    const starts = (label) => Number(label.toLowerCase().startsWith(low));
    const found = [...all].filter((label) => label.toLowerCase().includes(low));
    found.sort((a, b) => starts(b) - starts(a));
    const options = found.slice(0, 50).map((label) => [label, cut(spelled(label), NAME)]);
    if (typed && !all.has(typed)) options.push([typed, `New label: ${cut(typed, NAME)}`]);
    $("options").replaceChildren(...options.map(([label, text], i) => {
      const node = make("li", "", text, { id: `option-${i}`, dir: "auto", onclick: () => choose(label) });
      node.setAttribute("role", "option");
      return node;
    }));
    mark(0);
    $("typed").onkeydown = (event) => {
      if (event.isComposing) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) mark((marked + step + options.length) % options.length);
      else if (event.key === "Enter" && options.length) choose(options[marked][0]);
      else return;
      event.preventDefault();
    };
  }

  function mark(i) {
    marked = i;
    [...$("options").children].forEach((node, k) => node.setAttribute("aria-selected", k === i));
    $("typed").setAttribute("aria-activedescendant", `option-${i}`);
    $("options").children[i]?.scrollIntoView({ block: "nearest" });
  }

  const choose = (label) => ($("other").close(), relabel(label));

  // ---------------------------------------------------------------- what buttons and keys do
  const say = (text) => ($("said").textContent = text);
  const warn = (text) => ([$("notice").hidden, $("notice").firstElementChild.textContent] = [false, text]);

  function turn(step) {
    const to = (screenOf(at) + step) * SCREEN;
    if (to < 0 || to >= view.length) return;
    select(items[view[to]]);
    $("cards").firstElementChild.scrollIntoView({ block: "start" });
  }

  const acts = {
    keep: () => decide("keep"),
    take: () => current() && rival(current()) !== null && relabel(labelOf(rival(current()))),
    drop: () => decide("drop"),
    unsure: () => decide("unsure"),
    back: () => at > 0 && select(items[view[at - 1]]),
    next: () => at < view.length - 1 && select(items[view[at + 1]]),
    before: () => turn(-1),
    after: () => turn(1),
    takeAll, save,
    load: () => $("file").click(),
    help: () => ($("help").showModal(), $("help").firstElementChild.focus()), // from its beginning on
    dismiss: () => ($("notice").hidden = true),
    close: () => document.querySelector("dialog[open]")?.close(),
    undo() {
      const step = undos.pop() ?? [];
      put(step);
      say(step.length ? `Undone: ${many(step.length, "decision")}.` : "Nothing to undo.");
      const k = view.find((i) => step.some(([row]) => row === items[i].row));
      if (k !== undefined) select(items[k]);
    },
    other() {
      if (!current()) return;
      $("typed").value = "";
      $("other").showModal();
      listLabels();
    },
    open() {
      const item = current();
      if (!item?.image) return;
      const [image, name] = $("picture").children;
      [image.src, image.alt, name.textContent] = [item.large || item.image, item.name, cut(item.name, 500)];
      $("picture").showModal();
    },
    clear() {
      for (const id of ["pair", "class", "chance", "status"]) $(id).value = "";
      filter(true);
    },
  };

  const KEYS = { k: "keep", t: "take", l: "other", "/": "other", d: "drop", u: "unsure", b: "back", n: "next",
    z: "undo", a: "takeAll", s: "save", o: "open", "?": "help", arrowleft: "back", arrowright: "next" };

  function press(event) {
    const key = event.key.toLowerCase(), isUndo = (event.ctrlKey || event.metaKey) && key === "z" && !event.shiftKey;
    if (document.querySelector("dialog[open]") || event.target.closest("input:not([type=checkbox]), select")) return;
    if (!$("use-keys").checked || event.altKey || ((event.ctrlKey || event.metaKey) && !isUndo)) return;
    // Where a keyboard has other letters, or digits behind shift, the key's place counts.
    const placed = /^(?:Key([A-Z])|Digit([1-9]))$/.exec(event.code);
    const code = placed ? (placed[1] ?? placed[2]).toLowerCase() : "";
    const isDigit = /^[1-9]$/.test(key) || (!KEYS[key] && /^[1-9]$/.test(code));
    const act = KEYS[key] ?? (/^[a-z]$/.test(key) ? undefined : KEYS[code]);
    if (event.repeat && act !== "back" && act !== "next") return; // a key held down decides once
    if (isDigit) $("labels").children[(/^[1-9]$/.test(key) ? key : code) - 1]?.click();
    else if (act) acts[act]();
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", press);
  for (const kind of ["keydown", "pointerdown"])
    document.addEventListener(kind, () => (isByHand = kind === "pointerdown"), true);
  document.addEventListener("click", (event) => {
    acts[event.target.closest("[data-do]")?.dataset.do]?.();
    if (event.target.tagName === "DIALOG") event.target.close(); // beside what it holds
  });
  $("typed").addEventListener("input", listLabels);
  $("open-chances").addEventListener("change", () => filter());
  $("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) load(file).then(() => (event.target.value = "")); // the same file may be chosen again
  });
  window.addEventListener("storage", (event) => event.key === KEY && restore()); // decided in another tab
  window.addEventListener("beforeunload", (event) => isStored || !decided.size || event.preventDefault());

  for (const id of ["bar", "dock"]) {
    const measure = () => document.documentElement.style.setProperty(`--${id}`, `${$(id).offsetHeight}px`);
    new ResizeObserver(measure).observe($(id));
  }

  document.title = `Review labels: ${source.name}`;
  $("title").textContent = cut(source.name, NAME);
  $("summary").append(...page.summary.flatMap((sentence) => longText(make("p"), sentence, TEXT)));
  document.body.classList.toggle("pictures", hasImages);
  const [forIt, against] = [make("mark", "for", "the suggestion"), make("mark", "against", "the label now")];
  if (items.some((item) => item.text.some(([, side]) => side)))
    $("legend").append("Marked words speak for ", forIt, " or for ", against, ". ");
  if (items.some((item) => item.cells.some(([, , departs]) => departs)))
    $("legend").append(make("mark", "departs", "Marked values"), " are unusual for the label that the row has now.");
  $("find").open = window.innerWidth >= 1000;
  drawFilters();
  restore();
  drawProgress();
  filter();
})();
