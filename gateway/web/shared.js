// Safety plans that others let one read, and the code by which they can.

import { all, get, me, nameOf, Refused } from "./api.js";
import { clock, folded, make } from "./page.js";
import { planOf } from "./steps.js";

// What one may not see is not there.
export async function ifShown(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export const planFor = (words, clientId) => folded(words, () => ifShown(`/clients/${clientId}/safety-plan`), (found) => (found
  ? [planOf(found), make("p", { class: "small" }, `Written at ${clock(found.written_at)}.`)]
  : make("p", { class: "small" }, "Not shared with you, or not written. That is the client's own choice.")));

export const codeEnd = (id) => `code ending in ${id.slice(-4)}`;

export const sharedWithMe = () => folded("Plans shared with me", async () => {
  const found = await all("/safety-plan/shared-with-me");
  return Promise.all(found.map(async (one) => ({ ...one, name: await nameOf(one.client_id, `somebody, ${codeEnd(one.client_id)}`) })));
}, (found) => make("section", { class: "card" },
  make("p", { class: "small" }, "Somebody who lets you read their safety plan trusts you with it. Reading it is enough: it says what"
    + " helps on a bad night, and whom to call."),
  found.length ? make("ul", { class: "history" }, found.map((one) => make("li", {}, planFor(`The plan of ${one.name}`, one.client_id))))
    : make("p", {}, "Nobody has done so yet."),
  make("p", { class: "small" }, "My code: ", make("strong", { class: "code" }, me().id)),
  make("p", { class: "small" }, "Give it to whoever wants to share a plan with you. It opens nothing of yours.")));
