"use strict";
// The lanes: the regions of faults, the operations of clients, the traffic to nodes and what their logs say.
Airproof.timelineLanes = (model, brush, frame) => {
  const { paint, colours, font, widthOf, fitted, colourOf, protocolColour, diamond } = brush;
  const { layout, lanes, ticks, from, to, x, clampX, laneTop, middle, inView, selected, hovered, width, height, room, scale } = frame;
  const { gutter, header } = layout;

  const background = () => {
    for (const lane of lanes) {
      if (lane.kind === "node") {
        paint.fillStyle = colours.row;
        paint.globalAlpha = 0.55;
        paint.fillRect(0, laneTop(lane), width, lane.height);
        paint.globalAlpha = 1;
      }
      paint.fillStyle = colours.line;
      paint.fillRect(0, laneTop(lane), width, 1);
    }
    paint.globalAlpha = 0.7;
    for (const tick of ticks) paint.fillRect(Math.round(x(tick)), header, 1, height - header);
    paint.globalAlpha = 1;
  };

  const regions = () => {
    const seen = model.regions.filter(inView), few = seen.length <= 16;
    const fill = (left, top, right, bottom, alpha) => {
      paint.globalAlpha = alpha;
      paint.fillRect(left, top, Math.max(right - left, 2), bottom - top);
    };
    paint.fillStyle = colours.fault;
    for (const [begun, ended] of model.broken) if (ended >= from && begun <= to) fill(clampX(begun), header, clampX(ended), height, 0.055);
    for (const one of seen) {
      const left = clampX(one.from), right = clampX(one.to), chosen = one === selected || one === hovered;
      if (chosen || one.everywhere) fill(left, header, right, height, chosen ? 0.12 : 0.08);
      for (const lane of one.lanes) fill(left, laneTop(lane) + 1, right, laneTop(lane) + lane.height, chosen ? 0.45 : 0.27);
      if (!few && !chosen) continue;
      for (const edge of [one.from, one.to]) if (edge >= from && edge <= to) fill(Math.round(x(edge)), header, Math.round(x(edge)), height, chosen ? 0.4 : 0.22);
    }
    paint.globalAlpha = 1;
  };

  const drawBar = (left, wide, top, bar, next) => {
    paint.fillStyle = colourOf(bar.outcome);
    if (wide < 5) paint.fillRect(left, top, wide, layout.bar);
    else {
      paint.beginPath();
      paint.roundRect(left, top, wide, layout.bar, bar.open ? [3, 0, 0, 3] : 3);
      paint.fill();
    }
    if (layout.dense) return;
    paint.fillStyle = colours.soft;
    if (widthOf(bar.label) + 10 > wide && widthOf(bar.label) + 12 < next - left - wide) return paint.fillText(bar.label, left + wide + 5, top + layout.bar / 2 + 0.5);
    if (wide < 28) return;
    const label = fitted(bar.label, Math.min(wide, width - left) - 8 - Math.max(0, gutter - left));
    paint.fillStyle = bar.outcome === "info" ? "#1a1300" : "#fff";
    if (label) paint.fillText(label, Math.max(left, gutter) + 5, top + layout.bar / 2 + 0.5);
  };

  const outline = (bar, colour) => {
    const top = laneTop(bar.lane) + (layout.dense ? 2 : 4) + bar.row * layout.row, left = clampX(bar.from);
    paint.strokeStyle = colour;
    paint.lineWidth = 2;
    paint.strokeRect(left - 1, top - 1, Math.max(clampX(bar.to) - left, 2) + 2, layout.bar + 2);
  };

  const operations = () => {
    paint.font = font(11);
    for (const lane of lanes) {
      lane.rows.forEach((row, number) => {
        const top = laneTop(lane) + (layout.dense ? 2 : 4) + number * layout.row;
        const [low, high] = model.rowRange(row, from, to);
        const loud = [];
        let drawnTo = -1;
        for (let index = low; index < high; index += 1) {
          const bar = row[index], next = row[index + 1] ? x(row[index + 1].from) : width, left = clampX(bar.from), right = clampX(bar.to);
          const wide = Math.max(right - left - (right - left > 3 ? 0.8 : 0), 1.6);
          if (bar.outcome !== "ok") { loud.push([left, Math.max(wide, 2.4), top, bar, next]); continue; }
          if (left + wide <= drawnTo) continue; // hidden below the one before
          drawBar(left, wide, top, bar, next);
          drawnTo = left + wide;
        }
        for (const one of loud) drawBar(...one); // what went wrong is never hidden below what went well
      });
    }
    for (const one of new Set([hovered, selected])) if (one && one.kind === "operation") outline(one, one === selected ? colours.text : colours.soft);
  };

  // how much crossed to each node: one column of pixels after another, higher where there is more
  const traffic = () => {
    const [low, high] = model.messages.between(from, to), columns = Math.ceil(room / 2), bins = new Map();
    for (let number = low; number < high; number += 1) {
      const column = Math.floor(((model.messages.at[number] - from) * scale) / 2);
      if (column < 0 || column >= columns) continue;
      const key = model.messages.target(number);
      if (!bins.has(key)) bins.set(key, { protocol: model.messages.protocol(number), counts: new Uint16Array(columns), bad: new Uint8Array(columns) });
      const bin = bins.get(key);
      bin.counts[column] += 1;
      if (model.messages.bad(number) || !model.messages.answered(number)) bin.bad[column] = 1;
    }
    for (const lane of lanes) {
      const bin = bins.get(lane);
      if (!bin || lane.kind !== "node") continue;
      const bottom = laneTop(lane) + lane.height, tall = lane.height - 5;
      paint.fillStyle = protocolColour(bin.protocol);
      paint.globalAlpha = 0.75;
      for (let column = 0; column < columns; column += 1) {
        const share = Math.min(1, 0.3 + 0.14 * bin.counts[column]);
        if (bin.counts[column]) paint.fillRect(gutter + column * 2, bottom - tall * share, 1.5, tall * share);
      }
      paint.globalAlpha = 1;
      paint.fillStyle = colours.failed;
      for (let column = 0; column < columns; column += 1) if (bin.bad[column]) paint.fillRect(gutter + column * 2, bottom - 5, 2, 5);
    }
  };

  const marks = () => {
    for (const lane of lanes) {
      let last = { level: "", column: -1 };
      for (const { at, level } of lane.logs) {
        if (at < from || at > to) continue;
        const column = Math.round(x(at)), loud = level === "error" || level === "critical";
        if (last.column === column && last.level === level) continue;
        last = { column, level };
        paint.fillStyle = loud ? colours.failed : level === "warning" ? colours.info : colours.faint;
        paint.globalAlpha = loud || level === "warning" ? 1 : 0.5;
        const tall = loud ? lane.height - 1 : level === "warning" ? 9 : 4;
        paint.fillRect(column, laneTop(lane) + lane.height - tall, loud ? 2 : 1, tall);
      }
      paint.globalAlpha = 1;
      for (const mark of lane.marks) {
        if (mark.at < from || mark.at > to) continue;
        paint.fillStyle = colours.card;
        paint.strokeStyle = mark === selected ? colours.text : colours.accent;
        paint.lineWidth = 2;
        paint.beginPath();
        paint.arc(x(mark.at), middle(lane), 4, 0, 7);
        paint.fill();
        paint.stroke();
      }
    }
    for (const one of model.evidence) {
      if (one.at < from || one.at > to) continue;
      for (const lane of one.lanes) diamond(x(one.at), middle(lane), 5, one === selected ? colours.text : colours.fault);
    }
  };

  const names = () => {
    paint.fillStyle = colours.card;
    paint.fillRect(0, header, gutter, height - header);
    paint.fillStyle = colours.line;
    paint.fillRect(gutter - 1, 0, 1, height);
    for (const lane of lanes) paint.fillRect(0, laneTop(lane), gutter, 1);
    for (const lane of lanes) {
      const errors = lane.loud ? ` ${lane.loud} ✗` : "";
      paint.font = font(layout.dense ? 10 : 12, lane.kind === "node" ? "600" : "");
      paint.fillStyle = lane.kind === "node" ? colours.text : colours.soft;
      paint.fillText(fitted(lane.name, gutter - 20 - (errors ? 30 : 0)), 12, middle(lane) + 0.5);
      paint.fillStyle = colours.failed;
      paint.font = font(10.5, "600");
      if (errors) paint.fillText(errors, gutter - 12 - widthOf(errors), middle(lane) + 0.5);
    }
  };

  return { background, regions, traffic, operations, marks, names };
};
