"use strict";
// One frame of the timeline: what is in view, layer upon layer. Knows nothing of the mouse and the keyboard.
Airproof.timelineLayout = (model, width) => {
  const gutter = width < 700 ? 96 : 168, dense = model.lanes.length > 36, row = dense ? 13 : 19;
  let body = 0;
  for (const lane of model.lanes) {
    lane.top = body;
    lane.height = Math.max(lane.rows.length, 1) * row + (dense ? 3 : 7);
    body += lane.height;
  }
  const overview = 38, axis = 22, faults = model.faultRows ? model.faultRows * 19 + 7 : 0;
  return { gutter, row, dense, overview, axis, faults, header: overview + axis + faults, body, bar: row - (dense ? 2 : 3) };
};

Airproof.timelinePainter = (canvas, model) => {
  const brush = Airproof.timelineBrush(canvas), { paint, clip } = brush;
  let small = null; // the whole history, drawn once

  const resize = (width, height) => {
    const ratio = devicePixelRatio || 1, wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) {
      Object.assign(canvas, { width: wide, height: high });
      small = null;
    }
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.textBaseline = "middle";
  };
  const frameOf = (view) => {
    const { from, to, width, height, scroll, layout } = view, { gutter, header } = layout;
    const room = width - gutter, scale = room / (to - from), step = brush.niceStep(to - from, room), ticks = [];
    for (let number = Math.ceil(from / step); number * step < to; number += 1) ticks.push(number * step);
    const x = (time) => gutter + (time - from) * scale;
    const laneTop = (lane) => header + lane.top - scroll;
    return {
      ...view, view, room, scale, step, ticks, x, laneTop, small,
      clampX: (time) => Math.min(Math.max(x(time), gutter - 4), width + 4),
      middle: (lane) => laneTop(lane) + lane.height / 2,
      inView: (one) => one.to >= from && one.from <= to,
      lanes: model.lanes.filter((lane) => laneTop(lane) < height && laneTop(lane) + lane.height > header),
    };
  };
  const draw = (view) => {
    const { width, height, layout } = view, { gutter, header } = layout;
    resize(width, height);
    if (!brush.colours.card) brush.readColours();
    small ||= Airproof.timelineOverview(model, brush, layout, width);
    const frame = frameOf(view), lanes = Airproof.timelineLanes(model, brush, frame), above = Airproof.timelineHeader(model, brush, frame);
    paint.fillStyle = brush.colours.card;
    paint.fillRect(0, 0, width, height);
    clip(0, header, width, height - header, () => {
      lanes.background();
      clip(gutter, header, frame.room, height - header, () => {
        lanes.regions();
        lanes.traffic();
        lanes.operations();
        lanes.marks();
        Airproof.timelineMessages(model, brush, frame)();
      });
      lanes.names();
    });
    above.top();
    clip(gutter, 0, frame.room, height, above.pointer);
  };
  return { draw, forgetColours() { brush.colours = {}; small = null; } };
};
