"use strict";
// What every layer of the timeline draws with: the page's colours, texts that fit, times as labels.
Airproof.timelineBrush = (canvas) => {
  const paint = canvas.getContext("2d");
  const NAMES = ["bg", "card", "line", "text", "soft", "faint", "accent", "passed", "failed", "info", "fault", "row", "ok-bar", "fail-bar",
    "m-http", "m-postgres", "m-kafka", "m-redis", "m-smtp", "m-other"];
  const brush = { paint, colours: {}, hatch: null };
  brush.font = (size, weight = "") => `${weight} ${size}px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif`.trim();

  brush.readColours = () => {
    const style = getComputedStyle(document.documentElement);
    brush.colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const stroke = tile.getContext("2d");
    stroke.fillStyle = brush.colours.info;
    stroke.fillRect(0, 0, 8, 8);
    stroke.strokeStyle = "rgba(255,255,255,.34)";
    stroke.lineWidth = 2.5;
    for (const shift of [-8, 0, 8]) { stroke.beginPath(); stroke.moveTo(shift - 1, 9); stroke.lineTo(shift + 9, -1); stroke.stroke(); }
    brush.hatch = paint.createPattern(tile, "repeat");
  };
  brush.colourOf = (outcome) => ({ ok: brush.colours["ok-bar"], fail: brush.colours["fail-bar"], info: brush.hatch })[outcome];
  brush.protocolColour = (protocol) => brush.colours[`m-${protocol}`] || brush.colours["m-other"];

  const widths = new Map();
  brush.widthOf = (text) => {
    const key = paint.font + text;
    if (!widths.has(key)) widths.set(key, paint.measureText(text).width);
    return widths.get(key);
  };
  brush.fitted = (text, room) => {
    if (brush.widthOf(text) <= room) return text;
    const kept = Math.floor((text.length * (room - 8)) / brush.widthOf(text));
    return kept < 2 ? "" : `${text.slice(0, kept)}…`;
  };

  brush.niceStep = (span, pixels) => {
    const rough = (span * 90) / pixels, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  };
  brush.timeLabel = (at, step) => {
    if (step < 0.0001) return `${(at * 1000).toFixed(Math.max(0, -Math.floor(Math.log10(step * 1000 + 1e-12))))} ms`;
    return `${at.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))} s`;
  };

  brush.diamond = (left, top, size, colour) => {
    paint.beginPath();
    paint.moveTo(left, top - size);
    paint.lineTo(left + size, top);
    paint.lineTo(left, top + size);
    paint.lineTo(left - size, top);
    paint.closePath();
    paint.fillStyle = brush.colours.card;
    paint.fill();
    paint.strokeStyle = colour;
    paint.lineWidth = size / 2.6;
    paint.stroke();
  };
  brush.clip = (left, top, wide, high, inner) => {
    paint.save();
    paint.beginPath();
    paint.rect(left, top, wide, high);
    paint.clip();
    inner();
    paint.restore();
  };
  return brush;
};
