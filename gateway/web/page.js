// Making the page. Words of people go in as text and never as markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
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

// A card with what can be done now: numbers to call or to write to.
export function numbers(line) {
  const digits = (number) => number.replace(/[^0-9+]/g, "");
  return [
    line.call && make("a", { href: `tel:${digits(line.call)}` }, `Call ${line.call}`),
    line.text && make("a", { href: `sms:${digits(line.text)}` }, `Text ${line.text}`),
  ].filter(Boolean);
}
