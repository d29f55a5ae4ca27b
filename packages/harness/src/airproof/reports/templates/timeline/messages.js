"use strict";
// The messages: an arrow from the node that asks to the one that is asked, a bar while it works, and the reply, dashed.
Airproof.timelineArrows = 400; // more of them are a tangle
Airproof.timelineMessages = (model, brush, frame) => {
  const { paint, colours, font, widthOf, protocolColour } = brush;
  const { view, from, to, x, middle, selected, hovered, layout, width } = frame;
  const { messages } = model;
  const { gutter } = layout, most = Airproof.timelineArrows;

  const arrow = (number, strength) => {
    const source = messages.source(number), target = messages.target(number);
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
  // Of HTTP the method and the path say more than that it was a request.
  const said = (number) => {
    const values = Object.values(messages.fields(number)).filter((value) => typeof value === "string" && value);
    const text = [messages.event(number) === "request" && values.length ? "" : messages.event(number), ...values].filter(Boolean).join(" ");
    return text.length > 34 ? `${text.slice(0, 33)}…` : text;
  };
  const labels = (numbers) => { // beside the arrows, where there is room
    paint.font = font(10.5);
    const free = new Map();
    for (const number of numbers) {
      const target = messages.target(number), left = x(messages.at[number]) + 5, name = said(number);
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
  const draw = () => {
    const focus = [selected, hovered].find((one) => one && (one.kind === "operation" || one.kind === "message"));
    const [low, high] = messages.between(from, to);
    let drawn = [];
    if (focus && focus.kind === "operation") {
      const { inside, own } = model.of(focus);
      const seen = inside.filter((number) => number >= low && number < high);
      const strong = own.size ? seen.filter((number) => own.has(number)) : seen;
      if (own.size && seen.length <= most) for (const number of seen) if (!own.has(number)) arrow(number, 0.13);
      drawn = strong.slice(0, most);
    } else if (view.showMessages && high - low <= most) {
      drawn = Array.from({ length: high - low }, (_, offset) => low + offset);
    } else if (view.showMessages) { // of too many, those that went wrong, and of too many of these some from everywhere
      const wrong = Array.from({ length: high - low }, (_, offset) => low + offset).filter((number) => messages.bad(number) || !messages.answered(number));
      drawn = wrong.filter((_, index) => Math.floor((index * most) / wrong.length) !== Math.floor(((index - 1) * most) / wrong.length) || wrong.length <= most);
    }
    for (const number of drawn) arrow(number, 0.85);
    paint.globalAlpha = 1;
    for (const one of [hovered, selected]) if (one && one.kind === "message") { arrow(one.index, 1); drawn = [...drawn, one.index]; }
    paint.globalAlpha = 1;
    labels(drawn);
    Object.assign(view, { drawnMessages: drawn, messagesInView: high - low });
  };

  return draw;
};
