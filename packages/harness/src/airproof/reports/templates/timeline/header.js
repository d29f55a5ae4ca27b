"use strict";
// What stays on top: the whole history in small, the axis, the faults; and the line below the pointer.
Airproof.timelineOverview = (model, { colours, colourOf }, { overview, gutter }, width) => {
  const area = document.createElement("canvas"), ratio = devicePixelRatio || 1;
  area.width = Math.round(width * ratio);
  area.height = Math.round(overview * ratio);
  const brush = area.getContext("2d");
  brush.scale(ratio, ratio);
  const room = width - gutter, columns = Math.max(1, Math.floor(room / 3)), bins = { ok: new Uint16Array(columns), fail: new Uint16Array(columns), info: new Uint16Array(columns) };
  for (const bar of model.bars) bins[bar.outcome][Math.min(columns - 1, Math.floor((bar.from / model.end) * columns))] += 1;
  const most = Math.max(1, ...bins.ok.map((number, column) => number + bins.fail[column] + bins.info[column]));
  brush.fillStyle = colours.fault;
  brush.globalAlpha = 0.22;
  for (const [from, to] of model.broken) brush.fillRect(gutter + (from / model.end) * room, 0, Math.max(2, ((to - from) / model.end) * room), overview);
  brush.globalAlpha = 1;
  for (let column = 0; column < columns; column += 1) {
    let y = overview - 2;
    for (const outcome of ["ok", "fail", "info"]) {
      if (!bins[outcome][column]) continue;
      const height = Math.max(outcome === "ok" ? 1 : 2.5, (bins[outcome][column] / most) * (overview - 8));
      brush.fillStyle = outcome === "info" ? colours.info : colourOf(outcome);
      brush.fillRect(gutter + (column * room) / columns, y - height, room / columns - 0.6, height);
      y -= height;
    }
  }
  return area;
  };

Airproof.timelineHeader = (model, brush, frame) => {
  const { paint, colours, font, widthOf, fitted, timeLabel, diamond, clip } = brush;
  const { layout, ticks, step, from, to, x, clampX, inView, selected, hovered, width, height, room, cursor, drag } = frame;
  const { gutter, header, overview, axis } = layout;

  const top = () => {
    paint.fillStyle = colours.row;
    paint.fillRect(0, 0, width, header);
    paint.drawImage(frame.small, 0, 0, width, overview);
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
    clip(gutter, overview + axis, room, layout.faults, faults);
  };
  const faults = () => {
    paint.font = font(11);
    const placed = new Map();
    for (const one of model.regions) placed.set(one.row, [...(placed.get(one.row) || []), one]);
    for (const [row, ones] of placed) {
      const y = overview + axis + 4 + row * 19;
      ones.forEach((one, index) => {
        if (!inView(one)) return;
        const left = clampX(one.from), wide = Math.max(clampX(one.to) - left, 3), inside = widthOf(one.label) + 12 <= wide;
        paint.fillStyle = colours.fault;
        paint.beginPath();
        paint.roundRect(left, y, wide, 16, one.open ? [3, 0, 0, 3] : 3);
        paint.fill();
        if (one === selected || one === hovered) {
          paint.strokeStyle = colours.text;
          paint.lineWidth = 2;
          paint.stroke();
        }
        const next = ones[index + 1] ? x(ones[index + 1].from) : width;
        paint.fillStyle = inside ? colours.card : colours.text;
        const label = inside ? one.label : fitted(one.label, next - left - wide - 10);
        if (label) paint.fillText(label, inside ? Math.max(left, gutter) + 6 : left + wide + 5, y + 8.5);
      });
    }
    for (const one of model.evidence) {
      diamond(x(one.at), overview + axis + 20 + one.region.row * 19, 3.5, colours.fault); // below the name
    }
    if (!model.regions.some(inView)) {
      paint.fillStyle = colours.faint;
      paint.fillText("none in this span", gutter + 10, overview + axis + layout.faults / 2);
    }
  };

  const pointer = () => {
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

  return { top, pointer };
};
