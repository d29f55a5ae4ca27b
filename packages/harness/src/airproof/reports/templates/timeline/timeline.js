"use strict";
// The timeline of one test: the canvas, what mouse and keyboard do to it, and the panel that says what was chosen.
Airproof.timeline = (data, onRange) => {
  const { make, button, duration, count } = Airproof;
  const model = Airproof.timelineModel(data);
  const canvas = make("canvas", "");
  const box = make("div", "tl-box", canvas);
  const frame = make("div", "tl", box);
  const tip = make("div", "tl-tip");
  const panel = make("div", "tl-panel");
  const status = make("span", "tl-status");
  const painter = Airproof.timelinePainter(canvas, model);
  const shortest = 20e-6;
  const view = { from: 0, to: model.end, scroll: 0, width: 0, height: 0, selected: null, hovered: null, showMessages: false, cursor: null, drag: null, drawnMessages: [], messagesInView: 0 };
  box.tabIndex = 0;
  box.setAttribute("role", "application");
  box.setAttribute("aria-label", `timeline: ${count(model.bars.length, "operation")}, ${count(model.regions.length, "fault")}, ${count(model.messages.size, "message")}. `
    + "Arrow keys move, plus and minus zoom, 0 shows all, n and p choose the next and the previous operation, f the next fault, m shows messages, Escape lets go. The same as a list is below.");
  panel.setAttribute("aria-live", "polite");

  // ---- frames: drawn when something changed, once per refresh of the screen
  let asked = 0;
  const redraw = () => { asked ||= requestAnimationFrame(() => { asked = 0; paint(); }); };
  const paint = () => {
    if (!view.width) return;
    painter.draw(view);
    const all = view.to - view.from >= model.end * 0.999;
    const tangle = view.showMessages && view.messagesInView > Airproof.timelineArrows;
    status.textContent = `${all ? "all" : `${view.from.toFixed(3)} – ${view.to.toFixed(3)} s`} (${duration(view.to - view.from)})`
      + (tangle ? ` · ${count(view.messagesInView, "message")} in view, ${view.drawnMessages.length} that went wrong are drawn; zoom in below ${Airproof.timelineArrows} for all` : "");
  };
  const measure = () => {
    if (!frame.clientWidth || (frame.clientWidth === view.width && view.screen === innerHeight)) return;
    Object.assign(view, { width: frame.clientWidth, screen: innerHeight });
    view.layout = Airproof.timelineLayout(model, view.width);
    const whole = view.layout.header + view.layout.body + 1;
    view.height = Math.min(whole, Math.max(320, Math.round(innerHeight * 0.8)));
    frame.style.height = `${view.height}px`;
    box.style.height = `${whole}px`;
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
    redraw();
  };
  new ResizeObserver(() => requestAnimationFrame(measure)).observe(frame);
  const recolour = () => { painter.forgetColours(); redraw(); };
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  frame.addEventListener("scroll", () => { view.scroll = frame.scrollTop; redraw(); });

  // ---- moving about
  let told = 0;
  const show = (from, to) => {
    const span = Math.min(Math.max(to - from, shortest), model.end);
    view.from = Math.min(Math.max(from + (to - from - span) / 2, 0), model.end - span);
    view.to = view.from + span;
    redraw();
    clearTimeout(told);
    told = setTimeout(() => onRange(span >= model.end * 0.999 ? null : [view.from, view.to]), 150);
  };
  const zoom = (factor, around = (view.from + view.to) / 2) => show(around - (around - view.from) * factor, around + (view.to - around) * factor);
  const pan = (share) => { const shift = (view.to - view.from) * share; show(view.from + shift, view.to + shift); };
  const all = () => show(0, model.end);
  const bring = (from, to) => { // into view, keeping the scale if it fits
    const span = view.to - view.from;
    if (from >= view.from && to <= view.to && span < (to - from) * 400) return;
    const wanted = Math.min(span, Math.max((to - from) * 8, model.end / 200));
    show((from + to - wanted) / 2, (from + to + wanted) / 2);
  };
  const laneOf = (one) => one.lane || (one.lanes && one.lanes[0]) || (one.kind === "message" && model.messages.target(one.index)) || null;
  const select = (one, { scroll = false } = {}) => {
    view.selected = one;
    panel.replaceChildren(...(one ? Airproof.timelineDetails(model, one, select) : []));
    if (one) bring(one.kind === "message" || one.from === undefined ? one.at : one.from, one.to === undefined || Number.isNaN(one.to) ? one.at : one.to);
    const lane = one && laneOf(one);
    if (lane) {
      const top = lane.top, room = view.height - (view.layout ? view.layout.header : 0);
      if (top < frame.scrollTop || top + lane.height > frame.scrollTop + room) frame.scrollTop = top - room / 2;
    }
    if (scroll) frame.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    redraw();
  };
  const nextIn = (things, step) => {
    const at = things.indexOf(view.selected);
    if (at >= 0) return things[at + step] || view.selected;
    return step > 0 ? things.find((one) => one.from >= view.from) : things.findLast((one) => one.to <= view.to);
  };
  const toggleMessages = (on) => { view.showMessages = on; box.dataset.messages = on; toggle.checked = on; redraw(); };

  // ---- what is below the pointer
  const timeAt = (x) => view.from + ((x - view.layout.gutter) / (view.width - view.layout.gutter)) * (view.to - view.from);
  const place = (event) => {
    const area = canvas.getBoundingClientRect();
    const x = event.clientX - area.left, y = event.clientY - area.top, { gutter, header, overview, axis } = view.layout;
    const zone = y < overview ? "overview" : y < overview + axis ? "axis" : y < header ? "faults" : "lanes";
    return { x, y, zone, inside: x >= gutter, time: timeAt(Math.max(x, gutter)), whole: (Math.max(0, x - gutter) / (view.width - gutter)) * model.end };
  };
  const secondsOf = (pixels) => (pixels * (view.to - view.from)) / (view.width - view.layout.gutter);
  const nearest = (things, time, slack) => things.filter((one) => Math.abs(one.at - time) <= slack).sort((a, b) => Math.abs(a.at - time) - Math.abs(b.at - time))[0];
  const messageAt = (here, lane, slack) => view.drawnMessages.map((number) => {
    const { messages } = model, source = messages.source(number), target = messages.target(number), middle = (one) => one.top + one.height / 2;
    const y = here.y - view.layout.header + view.scroll, [top, bottom] = [middle(source), middle(target)].sort((a, b) => a - b);
    const begun = Math.abs(messages.at[number] - here.time), ended = Math.abs(messages.until[number] - here.time);
    const within = y >= top - 4 && y <= bottom + 4 ? Math.min(begun, Number.isNaN(ended) ? begun : ended) : Infinity;
    const busy = target === lane && here.time >= messages.at[number] && here.time <= messages.until[number] ? slack / 2 : Infinity;
    return [Math.min(within, busy), number];
  }).filter(([distance]) => distance <= slack).sort((a, b) => a[0] - b[0])[0];
  const below = (here) => {
    if (!here.inside || here.zone === "overview" || here.zone === "axis") return null;
    const slack = secondsOf(5);
    const during = (one) => here.time >= one.from - slack / 2 && here.time <= one.to + slack / 2;
    if (here.zone === "faults") {
      const row = Math.floor((here.y - view.layout.overview - view.layout.axis - 3) / 19);
      return nearest(model.evidence.filter((one) => one.region.row === row), here.time, slack) || model.regions.find((one) => one.row === row && during(one)) || null;
    }
    const y = here.y - view.layout.header + view.scroll;
    const lane = model.lanes.find((one) => y >= one.top && y < one.top + one.height);
    if (!lane) return null;
    const seen = nearest(model.evidence.filter((one) => one.lanes.includes(lane)), here.time, slack) || nearest(lane.marks, here.time, slack);
    if (seen) return seen;
    const row = lane.rows[Math.min(lane.rows.length - 1, Math.max(0, Math.floor((y - lane.top - 3) / view.layout.row)))];
    if (row) {
      const [low, high] = model.rowRange(row, here.time - slack / 2, here.time + slack / 2);
      const hits = row.slice(low, high).sort((a, b) => (a.outcome === "ok") - (b.outcome === "ok"));
      if (hits.length) return hits.find((one) => here.time >= one.from && here.time <= one.to) || hits[0];
    }
    const message = messageAt(here, lane, slack);
    if (message) return { ...model.messages.message(message[1]) };
    return model.regions.find((one) => one.lanes.includes(lane) && during(one)) || null;
  };
  const same = (a, b) => a === b || (a && b && a.kind === "message" && b.kind === "message" && a.index === b.index);

  const tell = (event, here, one) => {
    if (!one) return tip.remove();
    tip.replaceChildren(...Airproof.timelineTip(model, one));
    if (!tip.isConnected) document.body.append(tip);
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY + 18 + tip.offsetHeight > innerHeight;
    Object.assign(tip.style, { left: `${Math.max(4, left)}px`, top: `${above ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px` });
  };
  let pressed = null;
  box.addEventListener("pointermove", (event) => {
    const here = place(event);
    view.cursor = here.inside && here.zone !== "overview" ? here.time : null;
    if (pressed && event.buttons) {
      if (pressed.pans) show(pressed.from - (pressed.whole ? pressed.at - here.whole : secondsOf(here.x - pressed.x)), pressed.to - (pressed.whole ? pressed.at - here.whole : secondsOf(here.x - pressed.x)));
      else if (Math.abs(here.x - pressed.x) > 4) view.drag = [pressed.time, here.time].sort((a, b) => a - b);
      tip.remove();
    } else {
      const one = below(here);
      if (!same(one, view.hovered)) view.hovered = one;
      tell(event, here, one);
      box.style.cursor = here.zone === "overview" ? "grab" : one ? "pointer" : here.inside ? "crosshair" : "default";
    }
    redraw();
  });
  box.addEventListener("pointerleave", () => { view.cursor = view.hovered = null; tip.remove(); redraw(); });
  box.addEventListener("pointerdown", (event) => {
    const here = place(event);
    if (event.button > 1 || !here.inside) return;
    if (event.button === 1) event.preventDefault();
    const whole = here.zone === "overview";
    if (whole && (here.whole < view.from || here.whole > view.to)) {
      const half = (view.to - view.from) / 2;
      show(here.whole - half, here.whole + half);
    }
    pressed = { x: here.x, time: here.time, at: here.whole, whole, pans: whole || event.shiftKey || event.button === 1, from: view.from, to: view.to };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointerup", (event) => {
    const here = place(event), drag = view.drag, began = pressed;
    pressed = view.drag = null;
    if (drag) show(...drag);
    else if (began && !began.pans) select(below(here));
    redraw();
  });
  box.addEventListener("pointercancel", () => { pressed = view.drag = null; redraw(); });
  box.addEventListener("dblclick", all);
  box.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey || event.altKey) zoom(Math.exp(Math.max(-200, Math.min(200, event.deltaY)) * 0.004), place(event).time);
    else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) pan(sideways / 1200);
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });
  const keys = {
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: all, Home: all,
    ArrowUp: () => { frame.scrollTop -= 60; }, ArrowDown: () => { frame.scrollTop += 60; },
    n: () => select(nextIn(model.bars, 1) || null), p: () => select(nextIn(model.bars, -1) || null), f: () => select(nextFault()), m: () => toggleMessages(!view.showMessages),
    Escape: () => select(null),
  };
  const nextFault = () => model.regions[(model.regions.indexOf(view.selected) + 1) % model.regions.length] || null;
  box.addEventListener("keydown", (event) => {
    if (event.target !== box || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });

  // ---- what stands around it
  const toggle = make("input", "");
  toggle.type = "checkbox";
  toggle.addEventListener("change", () => toggleMessages(toggle.checked));
  const messagesChoice = model.messages.size ? make("label", "tl-choice", toggle, `messages (${model.messages.size.toLocaleString("en")})`) : null;
  const tools = make("div", "tl-tools",
    button("−", "zoom out (-)", () => zoom(1 / 0.6)), button("+", "zoom in (+)", () => zoom(0.6)), button("◀", "earlier (left)", () => pan(-0.4)), button("▶", "later (right)", () => pan(0.4)),
    button("all", "the whole test (0)", all), model.regions.length ? button("next fault", "choose the next fault (f)", () => select(nextFault())) : null, messagesChoice, status);
  const swatch = (style, text) => { const one = make("span", "", make("i", ""), text); one.firstChild.style.background = style; return one; };
  const protocols = [...new Set(data.history.wire.links.map((link) => link[2]))];
  const legend = make("div", "tl-legend",
    swatch("var(--ok-bar)", "ok"), swatch("var(--fail-bar)", "failed, without effect"), swatch("repeating-linear-gradient(135deg,var(--info) 0 4px,color-mix(in srgb,var(--info) 66%,#fff) 4px 7px)", "outcome unknown"),
    model.regions.length ? swatch("var(--fault)", "fault") : null, model.evidence.length ? make("span", "", make("i", "diamond"), "evidence") : null,
    model.notes.length ? make("span", "", make("i", "ring"), "note") : null,
    ...protocols.map((name) => swatch(`var(--m-${["http", "postgres", "kafka", "redis", "smtp"].includes(name) ? name : "other"})`, `to ${name}`)),
    protocols.length ? swatch("var(--failed)", "message that failed") : null,
    make("span", "hint", "drag: zoom to a span · Ctrl + wheel: zoom · Shift + drag: move · click: details · double-click: all"));
  const list = Airproof.timelineList(model, (one) => select(one, { scroll: true }));
  const element = make("div", "", tools, frame, legend, panel, list.element);
  return { element, select: (one) => select(one, { scroll: true }), model, list, view, show };
};
