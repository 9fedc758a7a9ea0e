// Check-ins that were made: how each was found, what was said, and what the client says against it.

import { get, post, Refused } from "./api.js";
import { AT_THE_DESK, bandWord, because, TO_CLIENT } from "./bands.js";
import { announce, bullets, button, clock, field, fill, formOf, make } from "./page.js";
import { saidWords } from "./questions.js";

const PAGE = 10;

// Of a client, for the desk; or one's own, with `correct` to say how it was instead.
export function history(clientId = null, correct = null) {
  const list = make("ol", { class: "history" });
  const more = make("div", {});
  const element = make("div", { class: "panel" }, list, more);

  async function next(after) {
    const found = await get(`/check-ins?limit=${PAGE}${clientId ? `&client_id=${clientId}` : ""}${after}`);
    list.append(...found.items.map((kept) => entry(kept, correct, refresh)));
    if (!list.children.length) list.append(make("li", { class: "small" }, "No check-in yet."));
    more.replaceChildren(...(found.next
      ? [button("Show earlier ones", () => next(`&after=${encodeURIComponent(found.next)}`), { class: "quiet" })] : []));
  }
  function refresh() {
    return fill(element, async () => {
      list.replaceChildren();
      await next("");
      return clientId ? [] : (await get("/check-ins/aside?limit=50")).items;
    }, (aside) => [aside.length > 0 && setAside(aside), list, more]);
  }
  refresh();
  return element;
}

function entry(kept, correct, changed) {
  const words = correct ? TO_CLIENT[kept.band][0] : AT_THE_DESK[kept.band];
  return make("li", { class: kept.corrected_by ? "entry corrected" : "entry" },
    make("h3", {}, `${clock(kept.at)} `, bandWord(kept.band, words)),
    kept.corrected_by && make("p", { class: "small" }, "Corrected: it stays here as it was said, and no longer counts."),
    kept.corrects && make("p", { class: "small" }, "A correction: it counts in the place of an earlier one."),
    because(kept),
    make("details", {}, make("summary", {}, "What was said"), bullets(saidWords(kept))),
    contested(kept, Boolean(correct)),
    correct && !kept.corrected_by && objections(kept, correct, changed));
}

function setAside(found) {
  return make("ul", { class: "history" }, found.map((one) => make("li", { class: "entry" },
    make("h3", {}, `Your check-in of ${clock(one.at)}`),
    make("p", { class: "small" }, one.taken_at ? `It could be read after all, at ${clock(one.taken_at)}.`
      : "We could not read it. It is kept; a person will look at it."))));
}

export function contested(kept, own) {
  return kept.contested && make("p", { class: "contested", tabindex: "-1" },
    make("strong", {}, own ? "You said that this is not how it is: " : "The client says that this is not how it is: "),
    `“${kept.contested}”`);
}

// For the client: to say that it is not so, or how it was instead.
export function objections(kept, correct, changed) {
  const box = make("textarea", { rows: 2, maxlength: 4000, required: true });
  const against = make("details", { class: "choice" }, make("summary", {}, "That is not how it is"),
    formOf([field("How is it, in your own words?", box, "Your coach sees your words beside this.")], "Say so", async () => {
      const now = await withReason(post(`/check-ins/${kept.id}/contest`, { words: box.value.trim() }));
      announce("Your words stand beside the check-in.");
      await changed(now);
    }));
  return make("div", { class: "row" }, against, button("Correct it", async () => correct(kept), { class: "quiet" }));
}

// The server's own words say most about a check-in that is too old, or was corrected elsewhere.
export async function withReason(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Refused && error.status === 409 && error.problem?.detail) error.message = error.problem.detail;
    throw error;
  }
}
