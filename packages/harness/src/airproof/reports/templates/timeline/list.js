"use strict";
// The timeline as a list, for those who read rather than look: filled when somebody opens it, and at first not wholly.
Airproof.timelineList = (model, choose) => {
  const { make, button, duration, facts, count } = Airproof;
  const { seconds, short, answer } = Airproof.timelineFacts;
  const AT_FIRST = 500, AT_ONCE = 1000;
  const rowOf = {
    operation: (one) => [one.from, one.open ? "" : duration(one.to - one.from), one.record.process, `${one.label} ${short(facts(one.record.args), 140)}`, { ok: "ok", fail: "failed", info: "unknown" }[one.outcome], one.outcome],
    fault: (one) => [one.from, one.open ? "" : duration(one.to - one.from), one.record.target, `fault: ${one.record.kind}`, one.record.healed ? "healed" : "not healed", "fault"],
    evidence: (one) => [one.at, "", one.region.record.target, `evidence: ${one.label} ${short(facts(one.record.facts), 140)}`, "", "fault"],
    note: (one) => [one.at, "", one.record.process, short(one.label), "", "note"],
    message: (one) => [one.at, one.answered ? duration(one.to - one.at) : "", `${one.source} → ${one.target}`, `${one.event} ${short(facts(one.fields), 140)}`, one.answered ? one.outcome || "" : answer(one), "message"],
  };
  const find = make("input", ""), withMessages = make("input", ""), body = make("tbody", ""), told = make("span", "aside"), below = make("div", "tl-more");
  Object.assign(find, { type: "search", placeholder: "filter: client, operation, outcome, identifier…" });
  find.setAttribute("aria-label", "filter the list");
  withMessages.type = "checkbox";
  const headings = ["at", "took", "who", "what", "outcome"].map((name) => { const cell = make("th", "", name); cell.scope = "col"; if (name === "at" || name === "took") cell.className = "n"; return cell; });
  const table = make("table", "tl-table tl-list", make("thead", "", make("tr", "", ...headings)), body);
  const summary = make("summary", "", `As a list: ${count(model.bars.length, "operation")}, ${count(model.regions.length, "fault")}${model.messages.size ? `, ${count(model.messages.size, "message")}` : ""}`);
  const choice = model.messages.size ? make("label", "tl-choice", withMessages, "messages too") : null;
  const element = make("details", "tl-as-list", summary, make("div", "log-tools", find, choice), told, make("div", "tl-scroll", table), below);
  let range = null, rows = [];

  const when = (one) => (one.from === undefined ? one.at : one.from);
  const gather = () => {
    const messages = withMessages.checked ? Array.from({ length: model.messages.size }, (_, number) => model.messages.message(number)) : [];
    const everything = [...model.bars, ...model.regions, ...model.evidence, ...model.notes, ...messages];
    const inRange = (one) => !range || ((Number.isFinite(one.to) ? one.to : when(one)) >= range[0] && when(one) <= range[1]);
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    return everything.filter(inRange).sort((a, b) => when(a) - when(b)).map((one) => [one, rowOf[one.kind](one)])
      .filter(([, row]) => !words.length || words.every((word) => row.join(" ").toLowerCase().includes(word)));
  };
  const line = ([one, [at, took, who, what, outcome, className]]) => make("tr", `r-${className}`, make("td", "n", button(seconds(at), "show on the timeline", () => choose(one))),
    make("td", "n", took), make("td", "", who), make("td", "", what), make("td", "", outcome));
  const fill = (upTo, of = rows) => { // a thousand rows per frame, so that the page stays alive
    if (of !== rows) return; // somebody has filtered meanwhile
    const begun = body.childElementCount, until = Math.min(upTo, begun + AT_ONCE);
    body.append(...rows.slice(begun, until).map(line));
    if (until < Math.min(upTo, rows.length)) requestAnimationFrame(() => fill(upTo, of));
    const left = rows.length - body.childElementCount;
    below.replaceChildren(...(left > 0 ? [button(`show all ${rows.length.toLocaleString("en")}`, "show all rows", () => fill(rows.length))] : []));
    const omitted = model.messages.omitted ? `; ${count(model.messages.omitted, "message")} only in the history file` : "";
    told.textContent = `${body.childElementCount.toLocaleString("en")} of ${count(rows.length, "row")}${range ? ", of the zoomed span" : ""}${omitted}`;
  };
  const render = () => {
    if (!element.open) return;
    rows = gather();
    body.replaceChildren();
    fill(AT_FIRST);
  };
  for (const control of [find, withMessages]) control.addEventListener("input", render);
  element.addEventListener("toggle", render);
  return { element, show(span) { range = span; render(); } };
};
