// Words that were said, found again. What is searched for goes into a request's body, never into an address.

import { button, clock, make } from "./page.js";
import { me } from "./api.js";

export function search(chat, id, name) {
  const box = make("input", { type: "search", maxlength: 200, required: true, "aria-label": "Words to look for" });
  const found = make("ol", { class: "found", "aria-live": "polite" });
  const more = button("Look further back", () => look(), { class: "quiet" });
  const form = make("form", { class: "write", method: "post" }, box, make("button", { type: "submit" }, "Search"));
  let words = "";
  let before = null;

  async function look() {
    const page = await chat.search(id, words, before);
    found.append(...page.items.map((message) => make("li", {},
      make("p", {}, `${message.sender_id === me().id ? "You" : name}: ${message.text}`),
      make("span", { class: "state" }, clock(message.at)))));
    before = page.next;
    more.hidden = !before;
    if (!before && !found.children.length) found.append(make("li", {}, "Nothing was found."));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    [words, before] = [box.value.trim(), null];
    if (!words) return;
    found.replaceChildren();
    try {
      await look();
    } catch (error) {
      found.replaceChildren(make("li", {}, error.message));
    }
  });
  more.hidden = true;
  return make("details", { class: "looking" }, make("summary", {}, "Search"), form, found, more);
}
