"use strict";
// What the timeline shows, arranged for drawing: lanes with bars, faults with their reach, and messages as columns.
// Everything is sorted by time, so that drawing and pointing search by halves and touch only what is in view.
Airproof.timelineModel = (data) => {
  const { operations, faults, notes, wire, duration_s: duration } = data.history;
  const end = Math.max(duration, ...data.logs.map((line) => line[0] || 0).slice(-1), 0.001) * 1.005;

  const firstWhere = (length, holds) => { // of a sequence where it is first false, then true
    let low = 0, high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(middle)) high = middle; else low = middle + 1;
    }
    return low;
  };

  // ---- lanes
  const byName = new Map();
  const lane = (name, kind) => {
    if (!byName.has(name)) byName.set(name, { name, kind, rows: [], marks: [], logs: [], asks: 0, answers: 0 });
    return byName.get(name);
  };
  const bars = operations.map((one) => ({
    kind: "operation", from: one.invoked_at, to: one.completed_at === null ? end : one.completed_at,
    open: one.completed_at === null, outcome: one.outcome, label: one.name, lane: lane(one.process, "client"), record: one,
  })).sort((a, b) => a.from - b.from);
  for (const bar of bars) { // the operations of one client should not overlap; where they do, they go below each other
    const rows = bar.lane.rows;
    let row = rows.findIndex((others) => others.at(-1).to <= bar.from + 1e-6);
    if (row < 0) row = rows.push([]) - 1;
    rows[row].push(bar);
    bar.row = row;
  }
  for (const one of notes) {
    lane(one.process, "client").marks.push({ kind: "note", at: one.at, lane: lane(one.process, "client"), label: one.text, record: one });
  }
  for (const [source, target] of wire.links) {
    lane(source, "node").asks += 1;
    lane(target, "node").answers += 1;
  }
  for (const [at, level, node] of data.logs) if (at !== null && at >= 0) lane(node, "node").logs.push({ at, level });

  // ---- faults: over the lanes that their target names; those of the network over everything
  const named = (target) => target.split(/[\s,;:→↔<>]+|->/).filter((word) => byName.has(word)).map((word) => byName.get(word));
  const everywhere = (one) => /network|partition/.test(`${one.kind} ${one.target}`) && !named(one.target).length;
  for (const one of faults) if (/^[\w-]+$/.test(one.target) && !everywhere(one)) lane(one.target, "node"); // with a dot it is a message
  const rowEnds = [], FEWEST = Math.min(3, faults.length), MOST = 8;
  const rowFor = (from) => { // beside each other rather than close behind, so that there is room for names
    const earliest = rowEnds.indexOf(Math.min(...rowEnds));
    return rowEnds.length < FEWEST || (rowEnds[earliest] > from && rowEnds.length < MOST) ? rowEnds.length : earliest;
  };
  const regions = [...faults].sort((a, b) => a.started_at - b.started_at).map((one) => {
    const to = one.ended_at === null ? end : one.ended_at, row = rowFor(one.started_at);
    rowEnds[row] = to;
    return {
      kind: "fault", from: one.started_at, to, open: one.ended_at === null, label: `${one.kind} ${one.target}`,
      lanes: named(one.target), everywhere: everywhere(one), row, record: one,
    };
  });
  const broken = []; // the spans in which anything was broken
  for (const { from, to } of regions) {
    if (broken.length && from <= broken.at(-1)[1]) broken.at(-1)[1] = Math.max(broken.at(-1)[1], to);
    else broken.push([from, to]);
  }
  const evidence = regions.flatMap((region) => region.record.evidence.map((one) => ({
    kind: "evidence", at: one.at, region, label: one.what, record: one,
    lanes: one.applied ? named(one.applied.event.target) : region.lanes,
  })));

  const all = [...byName.values()];
  const natural = new Intl.Collator("en", { numeric: true }).compare;
  const clients = all.filter((one) => one.kind === "client").sort((a, b) => (a.name === "test" ? -1 : b.name === "test" ? 1 : natural(a.name, b.name)));
  const backing = (one) => (one.answers && !one.asks ? 1 : 0);
  const nodes = all.filter((one) => one.kind === "node").sort((a, b) => backing(a) - backing(b) || natural(a.name, b.name));
  const lanes = [...clients, ...nodes];
  lanes.forEach((one, number) => {
    one.number = number;
    one.loud = one.logs.filter((line) => line.level === "error" || line.level === "critical").length;
  });

  // ---- messages
  const size = wire.at.length;
  const at = Float64Array.from(wire.at, (us) => us / 1e6);
  const until = Float64Array.from(wire.took, (us, number) => (us === null ? NaN : at[number] + us / 1e6));
  const latest = new Float64Array(size); // until when anything that began so far went on
  for (let number = 0, most = -Infinity; number < size; number += 1) {
    most = Math.max(most, Number.isNaN(until[number]) ? at[number] : until[number]);
    latest[number] = most;
  }
  const sourceOf = wire.links.map(([source]) => byName.get(source));
  const targetOf = wire.links.map(([, target]) => byName.get(target));
  const badWords = wire.words.map((word) => /^(ERROR|-|[45]\d\d\b)|error|fail|refused|reset/i.test(word || ""));
  const message = (number) => {
    const [source, target, protocol] = wire.links[wire.link[number]];
    return {
      kind: "message", index: number, at: at[number], to: until[number], answered: wire.took[number] !== null, source, target, protocol,
      event: wire.words[wire.event[number]], outcome: wire.words[wire.outcome[number]], fields: wire.fields[number],
      connection: wire.connection[number], number: wire.number[number], transaction: wire.transaction[number],
    };
  };
  const messages = {
    size, at, until, omitted: wire.omitted, message,
    source: (number) => sourceOf[wire.link[number]], target: (number) => targetOf[wire.link[number]],
    fields: (number) => wire.fields[number] || {},
    protocol: (number) => wire.links[wire.link[number]][2], event: (number) => wire.words[wire.event[number]],
    bad: (number) => badWords[wire.outcome[number]], answered: (number) => wire.took[number] !== null,
    between: (from, to) => [firstWhere(size, (one) => latest[one] >= from), firstWhere(size, (one) => at[one] > to)],
    begunWithin: (from, to) => [firstWhere(size, (one) => at[one] >= from), firstWhere(size, (one) => at[one] > to)],
  };

  // ---- the messages of an operation: those in its time; of these, its own are sent by its client or name what it names
  const identifiers = (value, found = new Set()) => {
    if (typeof value === "string" && value.length >= 8 && value.length <= 80 && /\d/.test(value)) found.add(value);
    else if (value && typeof value === "object") Object.values(value).forEach((inner) => identifiers(inner, found));
    return found;
  };
  const known = new Map();
  const of = (bar) => {
    if (!known.has(bar)) {
      const ids = [...identifiers([bar.record.args, bar.record.result])];
      const [low, high] = messages.begunWithin(bar.from, bar.to);
      const inside = Array.from({ length: high - low }, (_, offset) => low + offset);
      const own = inside.filter((number) => {
        if (messages.source(number) === bar.lane) return true;
        const text = JSON.stringify(wire.fields[number]);
        return ids.some((id) => text.includes(id));
      });
      known.set(bar, { inside, own: new Set(own) });
    }
    return known.get(bar);
  };

  const rowRange = (row, from, to) => [firstWhere(row.length, (one) => row[one].to >= from), firstWhere(row.length, (one) => row[one].from > to)];
  return { end, lanes, bars, regions, evidence, notes: clients.flatMap((one) => one.marks), messages, of, rowRange, broken, faultRows: rowEnds.length };
};
