"use strict";
// What is said of one thing on the timeline: a few lines beside the pointer, all of it in the panel below.
(() => {
  const { make, duration, facts, shown, count, button } = Airproof;
  const ROWS = 60;
  const seconds = (at) => `${at.toFixed(3)} s`;
  const outcomes = { ok: "ok", fail: "failed, certainly without effect", info: "outcome unknown: it may have taken effect" };
  const short = (text, most = 160) => (text.length > most ? `${text.slice(0, most)}…` : text);
  const span = (one) => (one.open ? `from ${seconds(one.from)}, never returned` : `${seconds(one.from)} – ${seconds(one.to)}, ${duration(one.to - one.from)}`);
  const answer = (one) => (one.answered ? `${one.outcome || "answered"} after ${duration(one.to - one.at)}` : "no reply");

  const lines = {
    operation: (one) => [`${one.record.process}: ${one.label}`, span(one), outcomes[one.outcome], short(facts(one.record.args))],
    fault: (one) => [one.label, `${seconds(one.from)} – ${one.open ? "never ended" : seconds(one.to)}, ${duration(one.to - one.from)}`,
      one.record.evidence.length ? `evidence: ${short(one.record.evidence[0].what)}` : "no evidence", one.record.healed ? `healed: ${short(one.record.healed)}` : "nobody saw it heal"],
    evidence: (one) => [`evidence of ${one.region.label}`, seconds(one.at), short(one.label), short(facts(one.record.facts))],
    note: (one) => [`note of ${one.record.process}`, seconds(one.at), short(one.label)],
    message: (one) => [`${one.source} → ${one.target}`, `${one.protocol} ${one.event}`, short(facts(one.fields)), `${seconds(one.at)}, ${answer(one)}`],
  };
  Airproof.timelineLines = (one) => lines[one.kind](one).filter(Boolean);
  Airproof.timelineTip = (model, one) => {
    const [heading, ...rest] = Airproof.timelineLines(one);
    if (one.kind === "operation" && model.messages.size) {
      const { inside, own } = model.of(one);
      rest.push(`${count(inside.length, "message")} meanwhile${own.size ? `, ${own.size.toLocaleString("en")} its own` : ""}`);
    }
    return [make("b", "", heading), ...rest.map((line) => make("div", "", line))];
  };

  const table = (rows, headings) => make("table", "tl-table", make("thead", "", make("tr", "", ...headings.map((heading) => make("th", ["after", "took"].includes(heading) ? "n" : "", heading)))), make("tbody", "", ...rows));
  const messageRow = (model, number, since, strong, choose) => {
    const one = model.messages.message(number), row = make("tr", `${strong ? "" : "faint"}${model.messages.bad(number) || !one.answered ? " bad" : ""}`);
    row.append(make("td", "n", button(`+${duration(one.at - since)}`, "show this message", () => choose(one))), make("td", "", `${one.source} → ${one.target}`),
      make("td", "", make("b", "", one.event), ` ${short(facts(one.fields), 110)}`), make("td", "", one.outcome || (one.answered ? "" : "no reply")), make("td", "n", one.answered ? duration(one.to - one.at) : ""));
    return row;
  };
  const messagesOf = (model, bar, choose) => {
    const { inside, own } = model.of(bar);
    if (!inside.length) return [];
    const chosen = own.size ? inside.filter((number) => own.has(number)) : inside;
    const why = own.size ? `Its messages: sent by its client, or naming what it names (${chosen.length.toLocaleString("en")} of ${inside.length.toLocaleString("en")} meanwhile)` : `Messages meanwhile (${inside.length.toLocaleString("en")})`;
    const rows = chosen.slice(0, ROWS).map((number) => messageRow(model, number, bar.from, true, choose));
    const more = chosen.length > ROWS ? make("p", "aside", `and ${(chosen.length - ROWS).toLocaleString("en")} more, in the list below`) : null;
    return [make("h4", "", why), table(rows, ["after", "link", "message", "outcome", "took"]), more];
  };
  const value = (name, content) => {
    if (content === null || content === undefined || content === "" || (typeof content === "object" && !Object.keys(content).length)) return null;
    return make("div", "tl-value", make("b", "", name), make("pre", "", typeof content === "string" ? content : JSON.stringify(content, null, 2)));
  };
  const more = {
    operation: (model, one, choose) => [value("arguments", one.record.args), value(one.outcome === "ok" ? "result" : "reason", one.record.result), ...messagesOf(model, one, choose)],
    fault: (model, one) => [value("facts", one.record.facts), ...one.record.evidence.map((seen) => value(`evidence at ${seconds(seen.at)}`, `${seen.what} ${facts(seen.facts)}`)), value("healed", one.record.healed)],
    evidence: (model, one) => {
      const applied = one.record.applied;
      if (!applied) return [value("facts", one.record.facts)];
      const matched = applied.event;
      return [value("rule", `${applied.rule}: ${applied.action}, ${applied.moment}`), value("matched", `${matched.source} → ${matched.target}, ${matched.protocol} ${matched.event} ${facts(matched.fields)}, connection ${matched.connection}, number ${matched.number}`), value("bytes", applied.excerpt)];
    },
    note: (model, one) => [value("facts", one.record.facts)],
    message: (model, one) => [value("fields", one.fields), value("where", `connection ${one.connection}, number ${one.number}${one.transaction === null ? "" : `, transaction ${one.transaction}`}`)],
  };
  Airproof.timelineDetails = (model, one, choose) => {
    const [heading, ...rest] = Airproof.timelineLines(one);
    const close = button("close", "let go (Escape)", () => choose(null));
    const said = one.kind === "operation" ? rest.slice(0, 2) : one.kind === "message" ? [`${one.protocol} ${one.event}`, rest.at(-1)] : rest.slice(0, 1);
    return [make("div", "tl-head", make("b", "", heading), ...said.map((line) => make("span", "", line)), close), ...more[one.kind](model, one, choose).filter(Boolean)];
  };
  Airproof.timelineFacts = { seconds, short, answer, shown };
})();
