"use strict";
(() => {
  const root = document.documentElement;
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
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
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      document.querySelectorAll("[data-filter]").forEach((other) => other.classList.toggle("on", other === button));
      chosen = button.dataset.filter;
      filter();
    });
  }

  // ---- one test
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const duration = (s) => (s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(s < 10 ? 2 : 1)} s`);
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const facts = (data) => Object.entries(data || {}).map(([name, value]) => `${name}=${shown(value)}`).join(" ");
  const part = (title, ...content) => make("div", "", make("h3", "", title), ...content);
  const copyButton = (text) => {
    const button = make("button", "", "copy");
    button.type = "button";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    });
    return button;
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

  const faultCards = (faults) => make("div", "fault-facts", ...faults.map((fault) => {
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
    return make("div", "fault-card", make("b", "", `${fault.kind} ${fault.target}`), ` ${until} `, make("span", "aside", facts(fault.facts)), list);
  }));

  // ---- the timeline
  const lanesOf = (data) => {
    const lanes = new Map();
    const lane = (name, kind) => {
      if (!lanes.has(`${kind} ${name}`)) lanes.set(`${kind} ${name}`, { name, kind, bars: [], marks: [], logs: [] });
      return lanes.get(`${kind} ${name}`);
    };
    const { operations, faults, notes, duration_s: end } = data.history;
    for (const one of operations) {
      const argument = facts(one.args);
      lane(one.process, "client").bars.push({
        from: one.invoked_at, to: one.completed_at === null ? end : one.completed_at, open: one.completed_at === null,
        label: one.name, className: one.outcome, title: `${one.name} ${argument}`, record: one,
      });
    }
    for (const one of notes) lane(one.process, "client").marks.push({ at: one.at, className: "note", title: one.text, record: one });
    for (const one of faults) {
      const target = lane(one.target, "node");
      const bar = { from: one.started_at, to: one.ended_at === null ? end : one.ended_at, open: one.ended_at === null,
        label: one.kind, className: "fault", title: `${one.kind} ${one.target}`, record: one };
      target.bars.push(bar);
      for (const seen of one.evidence) target.marks.push({ at: seen.at, bar, className: "", title: `${seen.what} ${facts(seen.facts)}`, record: seen });
    }
    for (const [at, level, node, , text] of data.logs) {
      if (at !== null && at >= 0) lane(node, "node").logs.push({ at, level, text });
    }
    const all = [...lanes.values()];
    const first = (one) => Math.min(...one.bars.map((bar) => bar.from), ...one.marks.map((mark) => mark.at), Infinity);
    const broken = (one) => (one.bars.length ? 0 : 1);
    const clients = all.filter((one) => one.kind === "client").sort((a, b) => first(a) - first(b));
    const nodes = all.filter((one) => one.kind === "node").sort((a, b) => broken(a) - broken(b) || a.name.localeCompare(b.name));
    return [...clients, ...nodes];
  };

  const stack = (bars) => { // bars that overlap go below each other
    const ends = [];
    for (const bar of [...bars].sort((a, b) => a.from - b.from)) {
      let row = ends.findIndex((end) => end <= bar.from + 1e-6);
      if (row < 0) row = ends.length;
      ends[row] = bar.to;
      bar.row = row;
    }
    return Math.max(ends.length, 1);
  };

  const niceStep = (span) => {
    const rough = span / 8, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  };

  const timeline = (data, onRange) => {
    const box = make("div", "timeline");
    const inspect = make("div", "inspect");
    const whole = [0, Math.max(data.history.duration_s, ...data.logs.map((line) => line[0] || 0), 0.001) * 1.01];
    let range = whole;
    const lanes = lanesOf(data);
    const place = (at) => (100 * (at - range[0])) / (range[1] - range[0]);
    const inspectRecord = (element, record) => {
      box.querySelectorAll(".on").forEach((other) => other.classList.remove("on"));
      element.classList.add("on");
      inspect.replaceChildren(make("pre", "", JSON.stringify(record, null, 2)));
    };
    const track = (lane, ticks, bands) => {
      const element = make("div", "tl-track");
      for (const at of ticks) {
        const tick = make("div", "tick");
        tick.style.left = `${place(at)}%`;
        element.append(tick);
      }
      for (const [from, to] of bands) {
        const band = make("div", "band");
        band.style.left = `${place(from)}%`;
        band.style.width = `${place(to) - place(from)}%`;
        element.append(band);
      }
      const rows = stack(lane.bars);
      element.style.height = `${rows * 22 + (lane.kind === "node" ? (lane.bars.length ? 20 : 6) : 8)}px`;
      for (const bar of lane.bars) {
        if (bar.to < range[0] || bar.from > range[1]) continue;
        const from = Math.max(place(bar.from), -1), to = Math.min(place(bar.to), 101);
        const room = ((to - from) / 100) * Math.max(box.clientWidth - 176, 300);
        const fits = room > bar.label.length * 6.2 + 12;
        const piece = make("div", `op ${bar.className}${fits ? "" : " thin"}${bar.open ? " open" : ""}`, fits ? bar.label : "");
        piece.title = `${bar.title}\n${duration(bar.to - bar.from)}${bar.open ? ", never returned" : ""}`;
        Object.assign(piece.style, { left: `${from}%`, width: `${to - from}%`, top: `${4 + bar.row * 22}px` });
        piece.addEventListener("click", () => inspectRecord(piece, bar.record));
        element.append(piece);
        const next = Math.min(...lane.bars.filter((other) => other.row === bar.row && other.from >= bar.to).map((other) => place(other.from)), 100);
        if (!fits && ((next - to) / 100) * Math.max(box.clientWidth - 176, 300) > bar.label.length * 6.2 + 10) {
          const label = make("div", "beside", bar.label);
          Object.assign(label.style, { left: `calc(${Math.max(to, from)}% + 2px)`, top: `${4 + bar.row * 22}px` });
          element.append(label);
        }
      }
      for (const line of lane.logs) {
        if (line.at < range[0] || line.at > range[1]) continue;
        const stroke = make("div", `log ${line.level}`);
        stroke.style.left = `${place(line.at)}%`;
        element.append(stroke);
      }
      for (const mark of lane.marks) {
        if (mark.at < range[0] || mark.at > range[1]) continue;
        const piece = make("div", `mark ${mark.className}`);
        piece.title = `${mark.title}\nat ${mark.at.toFixed(3)} s`;
        Object.assign(piece.style, { left: `${place(mark.at)}%`, top: mark.bar ? `${17 + mark.bar.row * 22}px` : "8px" });
        piece.addEventListener("click", () => inspectRecord(piece, mark.record));
        element.append(piece);
      }
      return element;
    };
    const render = () => {
      const step = niceStep(range[1] - range[0]);
      const ticks = [];
      for (let at = Math.ceil(range[0] / step) * step; at < range[1]; at += step) ticks.push(at);
      const digits = Math.max(0, -Math.floor(Math.log10(step)));
      const axis = make("div", "tl-track");
      for (const at of ticks) {
        const tick = make("div", "tick", `${at.toFixed(digits)} s`);
        tick.style.left = `${place(at)}%`;
        axis.append(tick);
      }
      const bands = data.history.faults.map((one) => [one.started_at, one.ended_at === null ? whole[1] : one.ended_at]);
      const rows = lanes.map((lane) => {
        const loud = lane.logs.filter((line) => ["error", "critical"].includes(line.level)).length;
        const name = make("div", "tl-name", lane.name, loud ? make("small", "c-failed", `${loud} error${loud > 1 ? "s" : ""}`) : null);
        name.title = lane.name;
        return make("div", "tl-lane", name, track(lane, ticks, bands));
      });
      const corner = make("div", "tl-name", range === whole ? "" : "double-click: all");
      box.replaceChildren(make("div", "tl-lane axis", corner, axis), ...rows);
    };
    const at = (event) => {
      const area = box.querySelector(".tl-track").getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - area.left) / area.width, 0), 1);
      return { x: area.left + share * area.width - box.getBoundingClientRect().left, share, time: range[0] + share * (range[1] - range[0]), inside: event.clientX >= area.left };
    };
    const cursor = make("div", "cursor", make("span", ""));
    const zoom = make("div", "zoom");
    let pressed = null;
    box.addEventListener("mousemove", (event) => {
      const here = at(event);
      if (!here.inside) return cursor.remove();
      cursor.style.left = `${here.x}px`;
      cursor.classList.toggle("left", here.share > 0.9);
      cursor.firstChild.textContent = `${here.time.toFixed(3)} s`;
      if (!cursor.isConnected) box.append(cursor);
      if (pressed && event.buttons) {
        Object.assign(zoom.style, { left: `${Math.min(pressed.x, here.x)}px`, width: `${Math.abs(pressed.x - here.x)}px` });
        if (!zoom.isConnected) box.append(zoom);
      }
    });
    box.addEventListener("mouseleave", () => cursor.remove());
    box.addEventListener("mousedown", (event) => { pressed = at(event).inside ? at(event) : null; });
    box.addEventListener("mouseup", (event) => {
      const here = at(event), began = pressed;
      pressed = null;
      zoom.remove();
      if (began && Math.abs(began.x - here.x) > 8) {
        range = [Math.min(began.time, here.time), Math.max(began.time, here.time)];
        render();
        onRange(range);
      }
    });
    box.addEventListener("dblclick", () => { range = whole; render(); onRange(null); });
    new ResizeObserver(() => requestAnimationFrame(render)).observe(box);
    const key = (className, text) => make("span", "", make("i", className), text);
    const swatch = (style, text) => { const one = key("", text); one.firstChild.style.background = style; return one; };
    const legend = make("div", "legend", swatch("var(--ok-bar)", "ok"), swatch("var(--fail-bar)", "failed, without effect"), swatch("var(--info)", "outcome unknown"),
      swatch("var(--fault)", "fault"), make("span", "", make("i", "mark"), "evidence"), make("span", "", make("i", "mark note"), "note"), make("span", "hint", "drag to zoom, click for the record"));
    return make("div", "", box, legend, inspect);
  };

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
      detail.append(part("Timeline", timeline(data, (range) => logs && logs.show(range))));
    }
    if (history && history.faults.length) detail.append(part("Faults and their evidence", faultCards(history.faults)));
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
