// The table of inputs: search, filters, order and pages. Text only ever becomes text, never markup.
"use strict";
(() => {
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  root.classList.add("script");

  const themes = ["system", "light", "dark"];
  at("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "system") + 1) % themes.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    at("theme").textContent = `Theme: ${next}`;
  });

  const { titles, words, columns } = JSON.parse(at("data").textContent);
  const total = columns.index.length;
  const PAGE = 100;
  const MARKS = { verified: "✓", falsified: "✗", unknown: "?", error: "!" };
  const LEAST = 5e-324; // a margin of which only the sign was proved
  const HEADS = [
    ["subject", "question", ""], ["index", "index", "n"], ["label", "label", "n"], ["predicted", "predicted", "n"],
    ["state", "state", ""], ["reason", "reason", "reason"], ["stage", "stage", ""], ["evidence", "evidence", ""],
    ["lower", "lower", "n"], ["upper", "upper", "n"], ["target", "target", "n"], ["seconds", "seconds", "n"],
    ["certificate", "certificate", ""], ["counterexample", "counterexample", ""],
  ].filter(([key]) => (key !== "subject" || titles.length > 1) && columns[key].some((cell) => cell !== null));
  const TEXT = ["state", "reason", "stage", "evidence"];

  const value = (key, row) => {
    const cell = columns[key][row];
    if (key === "subject") return titles[cell];
    return key in words ? words[key][cell] : cell;
  };
  const count = (number) => number.toLocaleString("en-US");
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const decimals = (number) => {
    if (number === LEAST) return "> 0";
    const text = number.toFixed(4);
    return number !== 0 && Number(text) === 0 ? number.toExponential(1) : text;
  };
  const digest = (text) => {
    const details = element("details");
    const summary = element("summary");
    summary.append(element("code", "", `${text.slice(0, 8)}…`));
    details.append(summary, element("code", "full", text));
    return details;
  };
  const SHOWN = {
    state: (word) => {
      const span = element("span", `state ${word}`);
      const mark = element("span", "", MARKS[word] || "?");
      mark.setAttribute("aria-hidden", "true");
      span.append(mark, ` ${word}`);
      return span;
    },
    lower: decimals,
    upper: decimals,
    seconds: (number) => number.toFixed(3),
    certificate: digest,
    counterexample: digest,
  };

  let found = [];
  let page = 0;
  let order = { key: "index", falling: false };
  const texts = new Array(total);
  const text = (row) => (texts[row] ??= [...TEXT, "subject", "certificate", "counterexample"]
    .map((key) => value(key, row) ?? "").join("\n").toLowerCase());

  const test = (term) => {
    const named = /^(index|label|predicted|target):(\d+)$/.exec(term) || (/^\d{1,9}$/.test(term) && ["", "index", term]);
    if (!named) return (row) => text(row).includes(term);
    const [, key, number] = named;
    return (row) => columns[key][row] === Number(number);
  };
  const FILTERS = ["subject", "state", "stage", "label"];
  const tests = () => [
    ...at("search").value.toLowerCase().split(/\s+/).filter(Boolean).map(test),
    ...FILTERS.filter((key) => at(`filter-${key}`).value !== "").map((key) => {
      const wanted = Number(at(`filter-${key}`).value);
      return (row) => columns[key][row] === wanted;
    }),
  ];
  const compare = (a, b) => {
    const [x, y] = [value(order.key, a), value(order.key, b)];
    if (x === y) return a - b;
    if (x === null || x === "") return 1; // what is not known comes last, in either order
    if (y === null || y === "") return -1;
    return (x < y ? -1 : 1) * (order.falling ? -1 : 1);
  };

  const look = () => {
    const all = tests();
    found = [];
    for (let row = 0; row < total; row += 1) if (all.every((one) => one(row))) found.push(row);
    found.sort(compare);
    page = 0;
    show();
  };

  const show = () => {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const rows = found.slice(page * PAGE, (page + 1) * PAGE);
    at("body").replaceChildren(...rows.map(line));
    const span = rows.length ? `${count(page * PAGE + 1)} to ${count(page * PAGE + rows.length)} of ` : "";
    at("status").textContent = `${span}${count(found.length)} inputs${found.length < total ? ` (${count(total)} in all)` : ""}`;
    at("page").textContent = `Page ${count(page + 1)} of ${count(last + 1)}`;
    for (const id of ["first", "previous"]) at(id).disabled = page === 0;
    for (const id of ["next", "last"]) at(id).disabled = page === last;
  };
  const line = (row) => {
    const made = element("tr");
    for (const [key, , className] of HEADS) {
      const cell = element(key === "index" ? "th" : "td", className);
      if (key === "index") cell.scope = "row";
      const known = value(key, row);
      if (known !== null && known !== "") cell.append(key in SHOWN ? SHOWN[key](known) : String(known));
      if (key === "lower" || key === "upper") cell.title = known ?? "";
      made.append(cell);
    }
    return made;
  };

  const sort = (key) => {
    order = { key, falling: order.key === key && !order.falling };
    for (const head of at("heads").children) {
      const here = head.dataset.key === key;
      head.setAttribute("aria-sort", here ? (order.falling ? "descending" : "ascending") : "none");
    }
    look();
  };
  for (const [key, name, className] of HEADS) {
    const head = element("th", className);
    head.scope = "col";
    head.dataset.key = key;
    head.setAttribute("aria-sort", key === "index" ? "ascending" : "none");
    const button = element("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => sort(key));
    head.append(button);
    at("heads").append(head);
  }

  const choices = {
    subject: titles.map((title, k) => [k, title]),
    state: words.state.map((word, k) => [k, word]),
    stage: words.stage.map((word, k) => [k, word || "not said"]),
    label: [...new Set(columns.label)].sort((a, b) => a - b).map((label) => [label, label]),
  };
  for (const key of FILTERS) {
    const select = at(`filter-${key}`);
    for (const [number, name] of [["", "all"], ...choices[key]]) {
      const option = element("option", "", name);
      option.value = number;
      select.append(option);
    }
    select.addEventListener("change", look);
    if (choices[key].length < 2) select.parentElement.hidden = true;
  }
  at("search").addEventListener("input", look);
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("controls").addEventListener("reset", () => setTimeout(look));
  for (const [id, move] of [["first", -Infinity], ["previous", -1], ["next", 1], ["last", Infinity]]) {
    at(id).addEventListener("click", () => {
      page = move === Infinity ? found.length : Math.max(0, page + move);
      show();
    });
  }
  for (const link of document.querySelectorAll("a.find")) {
    link.addEventListener("click", () => {
      at("controls").reset();
      at("search").value = `index:${link.dataset.index}`;
      at("filter-subject").value = link.dataset.subject;
      look();
    });
  }
  look();
})();
