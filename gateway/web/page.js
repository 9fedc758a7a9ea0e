// Making the page. Words of people go in as text and never as markup.

import { Away, Refused } from "./api.js";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const find = (id) => document.getElementById(id);

// For those who listen to the page instead of looking at it.
export function announce(words) {
  find("say").textContent = words;
}

export function show(...children) {
  find("main").replaceChildren(...children);
}

// A button whose act is under way cannot be pressed twice; a failure is said beside it.
export function button(words, act, attributes = {}) {
  const problem = make("span", { class: "problem", role: "alert" });
  const pressed = async () => {
    element.disabled = true;
    problem.textContent = "";
    try {
      await act();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      element.disabled = false;
    }
  };
  const element = make("button", { type: "button", ...attributes, onclick: pressed }, words);
  return make("span", { class: "act" }, element, problem);
}

// What an answer says is wrong, in words. Anything else is a fault of this page, and is not hidden.
export function why(error, places = {}) {
  if (!(error instanceof Away || error instanceof Refused)) throw error;
  return error.problem?.errors ? firstMistake(error.problem.errors, places) : error.message;
}

// "Friday, no. 2, start: Must be …" from the places that the answer names.
function firstMistake(errors, places) {
  const place = [];
  let at = errors;
  while (!Array.isArray(at)) {
    const [[name, inner]] = Object.entries(at);
    place.push(/^\d+$/.test(name) ? `no. ${Number(name) + 1}` : places[name] ?? name);
    at = inner;
  }
  const words = place.filter(Boolean).join(", ");
  return `${words[0].toUpperCase()}${words.slice(1)}: ${at[0]}`;
}

// A form whose act is under way cannot be sent twice. The act returns what to say when it is done; `places` are the
// words for fields that an answer may name.
export function formOf(parts, words, act, { places, ...attributes } = {}) {
  const problem = make("p", { class: "problem", role: "alert" });
  const done = make("p", { class: "small notice", role: "status" });
  const submit = make("button", { type: "submit", class: "main" }, words);
  const form = make("form", { class: "panel", method: "post", ...attributes }, parts,
    make("p", { class: "row" }, submit), done, problem);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = done.textContent = "";
    try {
      done.textContent = (await act()) ?? "";
    } catch (error) {
      problem.textContent = why(error, places);
    } finally {
      submit.disabled = false;
    }
  });
  return form;
}

let fields = 0;

// A control with its words, and with a hint that is read out with it.
export function field(words, control, hint = "") {
  control.id ||= `field-${++fields}`;
  const label = make("label", { for: control.id }, words);
  if (!hint) return make("div", { class: "field" }, label, control);
  control.setAttribute("aria-describedby", `${control.id}-hint`);
  return make("div", { class: "field" }, label, make("p", { class: "small", id: `${control.id}-hint` }, hint), control);
}

export function select(choices, attributes = {}, chosen = "") {
  return make("select", attributes, Object.entries(choices).map(([value, words]) => make(
    "option", { value, selected: value === String(chosen ?? "") }, words)));
}

// A box to tick, or one of several to choose; `control` of what is returned is the box.
export function tick(words, attributes = {}) {
  return make("label", { class: "tick" }, make("input", { type: "checkbox", ...attributes }), make("span", {}, words));
}

export function badge(count) {
  return count ? [" ", make("span", { class: "badge" }, count, make("span", { class: "unseen" }, " new"))] : [];
}

export function bullets(lines) {
  return lines.length > 0 && make("ul", { class: "reasons" }, lines.map((line) => make("li", {}, line)));
}

// A place for what is asked for first; where that fails it is said, with a way to try again.
export async function fill(place, ask, draw) {
  try {
    place.replaceChildren(make("div", { class: "panel" }, draw(await ask())));
  } catch (error) {
    place.replaceChildren(make("p", { class: "problem", role: "alert" }, why(error)),
      button("Try again", () => fill(place, ask, draw), { class: "quiet" }));
  }
}

// Asked for anew whenever it is unfolded.
export function folded(words, ask, draw) {
  const place = make("div", {});
  const element = make("details", { class: "fold" }, make("summary", {}, words), place);
  element.addEventListener("toggle", () => element.open && fill(place, ask, draw));
  return element;
}

export function day(date) {
  return new Date(date).toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" });
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function clock(moment) {
  const at = new Date(moment);
  const today = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${at.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
