"use strict";
(() => {
  const root = document.documentElement;
  const { make, button, duration, facts, part } = Airproof;
  const remembered = { // a page opened from a file may have no storage
    get() { try { return localStorage.getItem("airproof-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("airproof-theme", value); } catch { /* the choice lasts until the page closes */ } },
  };
  const wanted = new URLSearchParams(location.search).get("theme") || remembered.get();
  if (wanted) root.dataset.theme = wanted;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered.set(root.dataset.theme);
  });

  // ---- the list
  const tests = [...document.querySelectorAll(".test")];
  const search = document.getElementById("search");
  let chosen = "";
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const test of tests) {
      const text = test.firstElementChild.textContent.toLowerCase();
      const match = (!chosen || test.dataset[chosen]) && words.every((word) => text.includes(word));
      test.hidden = !match;
      shown += match ? 1 : 0;
    }
    document.getElementById("nothing").hidden = shown > 0 || !tests.length;
  };
  search.addEventListener("input", filter);
  for (const choice of document.querySelectorAll("[data-filter]")) {
    choice.addEventListener("click", () => {
      document.querySelectorAll("[data-filter]").forEach((other) => other.classList.toggle("on", other === choice));
      chosen = choice.dataset.filter;
      filter();
    });
  }

  // ---- one test
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const copyButton = (text) => {
    const copy = button("copy", "copy the command", async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "copied";
    });
    return copy;
  };

  const metadata = (data) => {
    const entry = (name, value) => make("span", "", `${name} `, make("b", "", value));
    const row = make("div", "meta");
    row.append(entry("outcome", data.outcome));
    for (const [phase, seconds] of Object.entries(data.phases)) row.append(entry(phase, duration(seconds)));
    if (data.before && data.before.median_s !== null) row.append(entry("usually", duration(data.before.median_s)));
    if (data.before) row.append(entry("before", data.before.outcomes.map((one) => ({ passed: "✓", skipped: "–" })[one] || "✗").join("")));
    for (const name of ["seed", "cell"]) if (data.properties[name]) row.append(entry(name, data.properties[name].at(-1)));
    if (data.worker) row.append(entry("worker", data.worker));
    for (const [name, path] of Object.entries(data.files)) {
      const link = make("a", "", `${name} file`);
      link.href = path;
      row.append(link);
    }
    return row;
  };

  const faultCards = (timeline) => make("div", "fault-facts", ...timeline.model.regions.map((region) => {
    const fault = region.record;
    const list = make("ul", "");
    const item = (mark, text, className) => list.append(make("li", className || "", `${mark} ${text}`));
    for (const one of fault.evidence) item("◆", `${one.at.toFixed(3)} s: ${one.what} ${facts(one.facts)}`);
    if (!fault.evidence.length) item("◇", fault.required ? "no evidence that it took effect" : "the moment was never reached", fault.required ? "bad" : "");
    if (fault.healed) item("●", fault.healed); else item("✗", "nobody saw it heal", "bad");
    for (const one of fault.explains) {
      const what = [one.exits ? "exits" : "", one.logger === null ? "" : `errors of ${one.logger}${one.message === "*" ? "" : `: ${one.message}`}`];
      item("≈", `explains ${what.filter(Boolean).join(" and ") || "nothing"} at ${one.node}${one.because ? ` (${one.because})` : ""}`);
    }
    const until = fault.ended_at === null ? "never ended" : `${fault.started_at.toFixed(3)} – ${fault.ended_at.toFixed(3)} s`;
    const place = button(until, "show on the timeline", () => timeline.select(region));
    return make("div", "fault-card", make("b", "", `${fault.kind} ${fault.target}`), " ", place, " ", make("span", "aside", facts(fault.facts)), list);
  }));

  const logView = (data) => {
    const levels = { debug: 0, info: 1, "": 1, warning: 2, error: 3, critical: 4 };
    const find = make("input", "");
    Object.assign(find, { type: "search", placeholder: "filter lines: correlation id, tenant, word…" });
    const level = make("select", "", ...["everything", "warnings and errors", "errors"].map((name, rank) => {
      const option = make("option", "", name);
      option.value = [0, 2, 3][rank];
      return option;
    }));
    const node = make("select", "", ...["all nodes", ...new Set(data.logs.map((line) => line[2]))].map((name) => make("option", "", name)));
    const list = make("div", "logs");
    const count = make("span", "aside", "");
    let range = null;
    const render = () => {
      const words = find.value.toLowerCase();
      const lines = data.logs.filter(([at, one, name, logger, text]) => (levels[one] ?? 1) >= Number(level.value)
        && (node.selectedIndex === 0 || node.value === name)
        && (!range || at === null || (at >= range[0] && at <= range[1]))
        && (!words || `${name} ${logger} ${text}`.toLowerCase().includes(words)));
      list.replaceChildren(...lines.map(([at, one, name, logger, text]) => make("div", `ll ${one}`,
        make("span", "at", at === null ? "–" : at.toFixed(3)), make("span", "lv", one || "·"), make("span", "who", name), make("span", "", make("i", "", logger ? `${logger} ` : ""), text))));
      const omitted = data.log_lines > data.logs.length ? `, ${data.log_lines - data.logs.length} quiet ones only in the logs file` : "";
      count.textContent = `${lines.length} of ${data.log_lines} lines${omitted}${range ? ", of the zoomed span" : ""}`;
    };
    for (const control of [find, level, node]) control.addEventListener("input", render);
    render();
    return { element: part("Logs", make("div", "log-tools", find, level, node), list, count), show(span) { range = span; render(); } };
  };

  const failure = (data) => {
    if (["skipped", "xfailed"].includes(data.outcome)) return [part("Why it was skipped", make("pre", "", data.failure))];
    const said = data.failure.split("\n").filter((line) => /^E( |$)/.test(line)).map((line) => line.slice(1));
    if (!said.length) return [part("What went wrong", make("pre", "failure", data.failure))];
    const indent = Math.min(...said.filter((line) => line.trim()).map((line) => line.search(/\S/)));
    const whole = make("details", "whole", make("summary", "", "where it happened"), make("pre", "", data.failure));
    return [part("What went wrong", make("pre", "failure", said.map((line) => line.slice(indent)).join("\n")), whole)];
  };

  const fill = (detail, data) => {
    const command = data.properties.reproduce && data.properties.reproduce.at(-1);
    const logs = data.logs.length ? logView(data) : null;
    const history = data.history;
    detail.append(metadata(data));
    if (data.failure) detail.append(...failure(data));
    if (command) detail.append(part("Reproduce", make("div", "command", make("pre", "", command), copyButton(command))));
    if (history && (history.operations.length || history.faults.length || history.notes.length || data.logs.length)) {
      const timeline = Airproof.timeline(data, (range) => {
        timeline.list.show(range);
        if (logs) logs.show(range);
      });
      detail.append(part("Timeline", timeline.element));
      if (history.faults.length) detail.append(part("Faults and their evidence", faultCards(timeline)));
    }
    if (logs) detail.append(logs.element);
    for (const [heading, text] of data.sections) detail.append(part(heading, make("pre", "", text)));
  };

  const open = async (test) => {
    const detail = test.querySelector(".detail"), packed = test.querySelector("script");
    if (!packed) return;
    packed.remove();
    try {
      fill(detail, await unpack(packed.textContent));
    } catch (error) {
      detail.append(make("pre", "failure", `This browser cannot unpack the details (${error}). The history and the logs are in the files beside this report.`));
    }
  };
  for (const test of tests) test.addEventListener("toggle", () => test.open && open(test));
  const linked = () => {
    const test = document.getElementById(location.hash.slice(1));
    if (test && test.matches(".test")) test.open = true;
  };
  addEventListener("hashchange", linked);
  linked();
})();
