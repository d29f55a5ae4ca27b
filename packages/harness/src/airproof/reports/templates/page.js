"use strict";
// What all parts of the page use: elements, and values as a reader wants them.
const Airproof = (() => {
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
  const button = (text, title, onClick) => {
    const element = make("button", "", text);
    element.type = "button";
    element.title = title;
    element.setAttribute("aria-label", title);
    element.addEventListener("click", onClick);
    return element;
  };
  const duration = (s) => {
    if (s < 0.0009995) return `${Math.round(s * 1e6)} µs`;
    if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
    return s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(s < 10 ? 2 : 1)} s`;
  };
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const facts = (data) => Object.entries(data || {}).map(([name, value]) => `${name}=${shown(value)}`).join(" ");
  const part = (title, ...content) => make("div", "", make("h3", "", title), ...content);
  const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  return { make, button, duration, shown, facts, part, count };
})();
