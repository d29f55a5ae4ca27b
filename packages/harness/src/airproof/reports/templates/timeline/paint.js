"use strict";
// Draws the timeline on a canvas: what is in view, and nothing else. Knows no events of the mouse or the keyboard.
Airproof.timelineLayout = (model, width) => {
  const gutter = width < 700 ? 96 : 168;
  const dense = model.lanes.length > 36;
  const row = dense ? 13 : 19;
  let top = 0;
  for (const lane of model.lanes) {
    lane.top = top;
    lane.height = (lane.kind === "client" ? Math.max(lane.rows.length, 1) : Math.max(lane.rows.length, 1)) * row + (dense ? 3 : 7);
    top += lane.height;
  }
  const overview = 38, axis = 22, faults = model.faultRows ? model.faultRows * 19 + 7 : 0;
  return { gutter, row, dense, overview, axis, faults, header: overview + axis + faults, body: top, bar: row - (dense ? 2 : 3) };
};

Airproof.timelinePainter = (canvas, model) => {
  const paint = canvas.getContext("2d");
  const ARROWS = 400; // more of them are a tangle
  let colours = {}, hatch = null, overviewCache = null, layout = null;
  const font = (size, weight = "") => `${weight} ${size}px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif`.trim();

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const names = ["bg", "card", "line", "text", "soft", "faint", "accent", "passed", "failed", "info", "fault", "row", "ok-bar", "fail-bar",
      "m-http", "m-postgres", "m-kafka", "m-redis", "m-smtp", "m-other"];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const brush = tile.getContext("2d");
    brush.fillStyle = colours.info;
    brush.fillRect(0, 0, 8, 8);
    brush.strokeStyle = "rgba(0,0,0,.28)";
    brush.lineWidth = 2.5;
    for (const shift of [-8, 0, 8]) { brush.beginPath(); brush.moveTo(shift - 1, 9); brush.lineTo(shift + 9, -1); brush.stroke(); }
    hatch = paint.createPattern(tile, "repeat");
    overviewCache = null;
  };
  const colourOf = (outcome) => ({ ok: colours["ok-bar"], fail: colours["fail-bar"], info: hatch })[outcome];
  const protocolColour = (protocol) => colours[`m-${protocol}`] || colours["m-other"];

  const widths = new Map();
  const widthOf = (text) => {
    const key = paint.font + text;
    if (!widths.has(key)) widths.set(key, paint.measureText(text).width);
    return widths.get(key);
  };
  const fitted = (text, room) => {
    if (widthOf(text) <= room) return text;
    const kept = Math.floor((text.length * (room - 8)) / widthOf(text));
    return kept < 2 ? "" : `${text.slice(0, kept)}…`;
  };

  const niceStep = (span, pixels) => {
    const rough = (span * 90) / pixels, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  };
  const timeLabel = (at, step) => {
    if (step < 0.0001) return `${(at * 1000).toFixed(Math.max(0, -Math.floor(Math.log10(step * 1000 + 1e-12))))} ms`;
    return `${at.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))} s`;
  };

  // ---- the whole history, small, above everything
  const drawOverview = (width, x0) => {
    const area = document.createElement("canvas"), ratio = devicePixelRatio || 1, { overview } = layout;
    area.width = Math.round(width * ratio);
    area.height = Math.round(overview * ratio);
    const brush = area.getContext("2d");
    brush.scale(ratio, ratio);
    const room = width - x0, columns = Math.max(1, Math.floor(room / 3)), bins = { ok: new Uint16Array(columns), fail: new Uint16Array(columns), info: new Uint16Array(columns) };
    for (const bar of model.bars) bins[bar.outcome][Math.min(columns - 1, Math.floor((bar.from / model.end) * columns))] += 1;
    const most = Math.max(1, ...bins.ok.map((number, column) => number + bins.fail[column] + bins.info[column]));
    brush.fillStyle = colours.fault;
    brush.globalAlpha = 0.22;
    for (const one of model.regions) brush.fillRect(x0 + (one.from / model.end) * room, 0, Math.max(2, ((one.to - one.from) / model.end) * room), overview);
    brush.globalAlpha = 1;
    for (let column = 0; column < columns; column += 1) {
      let y = overview - 2;
      for (const outcome of ["ok", "fail", "info"]) {
        if (!bins[outcome][column]) continue;
        const height = Math.max(outcome === "ok" ? 1 : 2.5, (bins[outcome][column] / most) * (overview - 8));
        brush.fillStyle = outcome === "info" ? colours.info : colourOf(outcome);
        brush.fillRect(x0 + (column * room) / columns, y - height, room / columns - 0.6, height);
        y -= height;
      }
    }
    return area;
  };

  // ---- one frame
  const draw = (view) => {
    const { width, height, from, to, scroll, selected, hovered, showMessages, cursor, drag } = view;
    const ratio = devicePixelRatio || 1;
    layout = view.layout;
    const { gutter, header, overview, axis } = layout;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      overviewCache = null;
    }
    if (!colours.card) readColours();
    const room = width - gutter, scale = room / (to - from);
    const x = (time) => gutter + (time - from) * scale;
    const clampX = (time) => Math.min(Math.max(x(time), gutter - 4), width + 4);
    const laneTop = (lane) => header + lane.top - scroll;
    const middle = (lane) => laneTop(lane) + lane.height / 2;
    const inView = (one) => one.to >= from && one.from <= to;
    const step = niceStep(to - from, room), ticks = [];
    for (let number = Math.ceil(from / step); number * step < to; number += 1) ticks.push(number * step);
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.textBaseline = "middle";
    paint.fillStyle = colours.card;
    paint.fillRect(0, 0, width, height);

    const lanes = model.lanes.filter((lane) => laneTop(lane) < height && laneTop(lane) + lane.height > header);
    const clip = (left, top, wide, high, inner) => {
      paint.save();
      paint.beginPath();
      paint.rect(left, top, wide, high);
      paint.clip();
      inner();
      paint.restore();
    };

    const drawBackground = () => {
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

    const drawRegions = () => {
      for (const one of model.regions) {
        if (!inView(one)) continue;
        const left = clampX(one.from), wide = Math.max(clampX(one.to) - left, 2), chosen = one === selected || one === hovered;
        paint.fillStyle = colours.fault;
        paint.globalAlpha = chosen ? 0.16 : one.lanes.length ? 0.055 : 0.12;
        paint.fillRect(left, header, wide, height - header);
        paint.globalAlpha = chosen ? 0.45 : 0.27;
        for (const lane of one.lanes) paint.fillRect(left, laneTop(lane) + 1, wide, lane.height - 1);
        paint.globalAlpha = 0.5;
        for (const edge of [one.from, one.to]) if (edge >= from && edge <= to) paint.fillRect(Math.round(x(edge)), header, 1, height - header);
        paint.globalAlpha = 1;
      }
    };

    const drawBar = (left, wide, top, bar) => {
      paint.fillStyle = colourOf(bar.outcome);
      if (wide < 5) paint.fillRect(left, top, wide, layout.bar);
      else {
        paint.beginPath();
        paint.roundRect(left, top, wide, layout.bar, bar.open ? [3, 0, 0, 3] : 3);
        paint.fill();
      }
      if (wide < 28 || layout.dense) return;
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
    const drawOperations = () => {
      paint.font = font(11);
      for (const lane of lanes) {
        lane.rows.forEach((row, number) => {
          const top = laneTop(lane) + (layout.dense ? 2 : 4) + number * layout.row;
          const [low, high] = model.rowRange(row, from, to);
          const loud = [];
          let drawnTo = -1;
          for (let index = low; index < high; index += 1) {
            const bar = row[index], left = clampX(bar.from), right = clampX(bar.to);
            const wide = Math.max(right - left - (right - left > 3 ? 0.8 : 0), 1.6);
            if (bar.outcome !== "ok") { loud.push([left, Math.max(wide, 2.4), top, bar]); continue; }
            if (left + wide <= drawnTo) continue; // hidden below the one before
            drawBar(left, wide, top, bar);
            drawnTo = left + wide;
          }
          for (const one of loud) drawBar(...one); // what went wrong is never hidden below what went well
        });
      }
      for (const one of new Set([hovered, selected])) if (one && one.kind === "operation") outline(one, one === selected ? colours.text : colours.soft);
    };

    // how much crossed to each node: one column of pixels after another, darker where there is more
    const drawTraffic = () => {
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

    const drawArrow = (number, strength) => {
      const { messages } = model, source = messages.source(number), target = messages.target(number);
      const asked = x(messages.at[number]), answered = messages.answered(number) ? x(messages.until[number]) : null;
      const top = middle(source), bottom = middle(target), down = bottom > top ? 1 : -1, bad = messages.bad(number) || answered === null;
      paint.globalAlpha = strength;
      paint.strokeStyle = paint.fillStyle = protocolColour(messages.protocol(number));
      paint.lineWidth = 1.2;
      paint.beginPath();
      paint.moveTo(asked, top);
      paint.lineTo(asked, bottom);
      paint.stroke();
      paint.beginPath();
      paint.moveTo(asked, bottom);
      paint.lineTo(asked - 3.5, bottom - 6 * down);
      paint.lineTo(asked + 3.5, bottom - 6 * down);
      paint.fill();
      paint.beginPath();
      paint.arc(asked, top, 2, 0, 7);
      paint.fill();
      if (bad) paint.strokeStyle = paint.fillStyle = colours.failed;
      if (answered === null) {
        paint.font = font(13, "bold");
        paint.fillText("✗", asked - 5, bottom + 8 * down);
        return;
      }
      paint.fillRect(asked, bottom - 1.5, Math.max(answered - asked, 1), 3);
      if (answered - asked < 5) return;
      paint.setLineDash([3, 3]);
      paint.beginPath();
      paint.moveTo(answered, bottom);
      paint.lineTo(answered, top);
      paint.stroke();
      paint.setLineDash([]);
      paint.beginPath();
      paint.moveTo(answered, top);
      paint.lineTo(answered - 3, top + 5 * down);
      paint.lineTo(answered + 3, top + 5 * down);
      paint.fill();
    };
    const drawNames = (numbers) => { // beside the arrows, where there is room
      paint.font = font(10.5);
      const free = new Map();
      for (const number of numbers) {
        const { messages } = model, target = messages.target(number), left = x(messages.at[number]) + 5, name = messages.event(number);
        if (left < gutter || left > width || (free.get(target) || 0) > left) continue;
        const wide = widthOf(name), top = middle(target) + (middle(target) > middle(messages.source(number)) ? -1 : 1) * -9;
        paint.globalAlpha = 0.85;
        paint.fillStyle = colours.card;
        paint.fillRect(left - 1, top - 6, wide + 3, 12);
        paint.globalAlpha = 1;
        paint.fillStyle = messages.bad(number) ? colours.failed : colours.text;
        paint.fillText(name, left, top);
        free.set(target, left + wide + 8);
      }
    };
    const drawMessages = () => {
      const focus = [selected, hovered].find((one) => one && (one.kind === "operation" || one.kind === "message"));
      const [low, high] = model.messages.between(from, to);
      let drawn = [];
      if (focus && focus.kind === "operation") {
        const { inside, own } = model.of(focus);
        const seen = inside.filter((number) => number >= low && number < high);
        const strong = own.size ? seen.filter((number) => own.has(number)) : seen;
        if (own.size && seen.length <= ARROWS) for (const number of seen) if (!own.has(number)) drawArrow(number, 0.13);
        drawn = strong.slice(0, ARROWS);
      } else if (showMessages && high - low <= ARROWS) {
        drawn = Array.from({ length: high - low }, (_, offset) => low + offset);
      } else if (showMessages) { // of too many, those that went wrong
        for (let number = low; number < high && drawn.length < ARROWS; number += 1) {
          if (model.messages.bad(number) || !model.messages.answered(number)) drawn.push(number);
        }
      }
      for (const number of drawn) drawArrow(number, 0.85);
      paint.globalAlpha = 1;
      for (const one of [hovered, selected]) if (one && one.kind === "message") { drawArrow(one.index, 1); drawn = [...drawn, one.index]; }
      paint.globalAlpha = 1;
      drawNames(drawn);
      view.drawnMessages = drawn;
      view.messagesInView = high - low;
    };

    const diamond = (left, top, size) => {
      paint.beginPath();
      paint.moveTo(left, top - size);
      paint.lineTo(left + size, top);
      paint.lineTo(left, top + size);
      paint.lineTo(left - size, top);
      paint.closePath();
    };
    const drawMarks = () => {
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
        for (const lane of one.lanes) {
          diamond(x(one.at), middle(lane), 5);
          paint.fillStyle = colours.card;
          paint.strokeStyle = one === selected ? colours.text : colours.fault;
          paint.lineWidth = 2;
          paint.fill();
          paint.stroke();
        }
      }
    };

    const drawGutter = () => {
      paint.fillStyle = colours.card;
      paint.fillRect(0, header, gutter, height - header);
      paint.fillStyle = colours.line;
      paint.fillRect(gutter - 1, 0, 1, height);
      lanes.forEach((lane) => {
        paint.fillRect(0, laneTop(lane), gutter, 1);
      });
      for (const lane of lanes) {
        const errors = lane.loud ? ` ${lane.loud} ✗` : "";
        paint.font = font(layout.dense ? 10 : 12, lane.kind === "node" ? "600" : "");
        const room = gutter - 20 - (errors ? 30 : 0);
        paint.fillStyle = lane.kind === "node" ? colours.text : colours.soft;
        paint.fillText(fitted(lane.name, room), 12, middle(lane) + 0.5);
        paint.fillStyle = colours.failed;
        paint.font = font(10.5, "600");
        if (errors) paint.fillText(errors, gutter - 12 - widthOf(errors), middle(lane) + 0.5);
      }
    };

    const drawHeader = () => {
      paint.fillStyle = colours.row;
      paint.fillRect(0, 0, width, header);
      overviewCache ||= drawOverview(width, gutter);
      paint.drawImage(overviewCache, 0, 0, width, overview);
      const left = gutter + (from / model.end) * room, right = gutter + (to / model.end) * room;
      paint.fillStyle = colours.bg;
      paint.globalAlpha = 0.72;
      paint.fillRect(gutter, 0, left - gutter, overview);
      paint.fillRect(right, 0, width - right, overview);
      paint.globalAlpha = 1;
      if (right - left < room - 2) {
        paint.strokeStyle = colours.accent;
        paint.lineWidth = 2;
        paint.strokeRect(left, 1, Math.max(right - left, 3), overview - 2);
      }
      paint.fillStyle = colours.line;
      paint.fillRect(0, overview, width, 1);
      paint.fillRect(0, header - 1, width, 1);
      paint.font = font(11);
      paint.fillStyle = colours.soft;
      paint.fillText("whole test", 12, overview / 2);
      for (const tick of ticks) {
        paint.fillRect(Math.round(x(tick)), overview + axis - 5, 1, 5);
        const label = timeLabel(tick, step);
        if (x(tick) + widthOf(label) < width) paint.fillText(label, x(tick) + 4, overview + axis / 2);
      }
      if (!layout.faults) return;
      paint.fillStyle = colours.line;
      paint.fillRect(0, overview + axis, width, 1);
      paint.font = font(12, "600");
      paint.fillStyle = colours.fault;
      paint.fillText(Airproof.count(model.regions.length, "fault"), 12, overview + axis + layout.faults / 2);
      clip(gutter, overview + axis, room, layout.faults, drawFaults);
    };
    const drawFaults = () => {
      paint.font = font(11);
      const placed = new Map();
      for (const one of model.regions) placed.set(one.row, [...(placed.get(one.row) || []), one]);
      for (const [row, ones] of placed) {
        const top = overview + axis + 4 + row * 19;
        ones.forEach((one, index) => {
          if (!inView(one)) return;
          const left = clampX(one.from), wide = Math.max(clampX(one.to) - left, 3), inside = widthOf(one.label) + 12 <= wide;
          paint.fillStyle = colours.fault;
          paint.beginPath();
          paint.roundRect(left, top, wide, 16, one.open ? [3, 0, 0, 3] : 3);
          paint.fill();
          if (one === selected || one === hovered) {
            paint.strokeStyle = colours.text;
            paint.lineWidth = 2;
            paint.stroke();
          }
          const next = ones[index + 1] ? x(ones[index + 1].from) : width;
          paint.fillStyle = inside ? colours.card : colours.text;
          const label = inside ? one.label : fitted(one.label, next - left - wide - 10);
          if (label) paint.fillText(label, inside ? Math.max(left, gutter) + 6 : left + wide + 5, top + 8.5);
        });
      }
      for (const one of model.evidence) {
        diamond(x(one.at), overview + axis + 12 + one.region.row * 19, 4);
        paint.fillStyle = colours.card;
        paint.fill();
        paint.strokeStyle = colours.fault;
        paint.lineWidth = 1.5;
        paint.stroke();
      }
    };

    const drawCursor = () => {
      if (drag) {
        paint.fillStyle = colours.accent;
        paint.globalAlpha = 0.2;
        paint.fillRect(x(drag[0]), overview, x(drag[1]) - x(drag[0]), height - overview);
        paint.globalAlpha = 1;
      }
      if (cursor === null || cursor < from || cursor > to) return;
      paint.strokeStyle = colours.soft;
      paint.setLineDash([3, 3]);
      paint.lineWidth = 1;
      paint.beginPath();
      paint.moveTo(x(cursor), overview);
      paint.lineTo(x(cursor), height);
      paint.stroke();
      paint.setLineDash([]);
      const text = drag ? Airproof.duration(Math.abs(drag[1] - drag[0])) : timeLabel(cursor, step / 100);
      paint.font = font(11);
      const wide = widthOf(text) + 10, left = Math.min(x(cursor) + 4, width - wide - 2);
      paint.fillStyle = colours.text;
      paint.fillRect(left, overview + 3, wide, 16);
      paint.fillStyle = colours.card;
      paint.fillText(text, left + 5, overview + 11.5);
    };

    clip(0, header, width, height - header, () => {
      drawBackground();
      clip(gutter, header, room, height - header, () => {
        drawRegions();
        drawTraffic();
        drawOperations();
        drawMarks();
        drawMessages();
      });
      drawGutter();
    });
    drawHeader();
    clip(gutter, 0, room, height, drawCursor);
  };

  return { draw, forgetColours() { colours = {}; }, arrows: ARROWS };
};
