// Cards: words for a hard moment, each with what can be done now.

import { make } from "./page.js";

const digits = (number) => number.replace(/[^0-9+*#]/g, "");

// Numbers to call or to write to.
export function numbers({ call, text }) {
  return [
    call && make("a", { href: `tel:${digits(call)}` }, `Call ${call}`),
    text && make("a", { href: `sms:${digits(text)}` }, `Text ${text}`),
  ].filter(Boolean);
}

// In the order in which they came; `more` has what else belongs on a card, by its kind. The crisis lines are one card: a
// list of numbers is read faster than four letters.
export function cards(found, more = {}) {
  const lines = found.filter((card) => card.kind === "crisis");
  return found.filter((card) => card.kind !== "crisis" || card === lines[0]).map((card) => make(
    "section", { class: `card ${card.kind}` },
    make("h2", {}, card.kind === "crisis" ? "Somebody is there now" : card.title), make("p", {}, card.body),
    card.kind === "crisis" ? lineList(lines.map((line) => ({ ...line, name: line.title })))
      : make("p", { class: "numbers" }, numbers(card)),
    more[card.kind],
  ));
}

export function lineList(lines) {
  return make("ul", { class: "lines" },
    lines.map((line) => make("li", {}, make("span", {}, line.name), ...numbers(line))));
}
