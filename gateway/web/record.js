// What a client lets the desk see: how it goes, the plan if it is shared, check-ins, questionnaires, the aim.

import { get, Refused } from "./api.js";
import { aimWords } from "./aim.js";
import { history } from "./history.js";
import { clock, fill, folded, make } from "./page.js";
import { past } from "./questionnaires.js";
import { riskOf } from "./seen.js";
import { planOf } from "./steps.js";

// What one may not see is not there.
async function ifShown(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export function record(socket, clientId) {
  const place = make("div", {});
  const parts = make("div", { class: "panel", hidden: true }, plan(clientId),
    folded("Check-ins", async () => null, () => history(clientId)), past("Questionnaires", clientId), aim(clientId));
  const refresh = () => fill(place, () => ifShown(`/clients/${clientId}/risk`), (risk) => {
    parts.hidden = risk === null;
    return risk && riskOf(risk, false);
  });
  socket.addEventListener("alert", refresh);
  socket.addEventListener("ready", refresh);
  refresh();
  return {
    element: make("section", { class: "card" }, place, parts),
    close() {
      socket.removeEventListener("alert", refresh);
      socket.removeEventListener("ready", refresh);
    },
  };
}

const plan = (clientId) => folded("Safety plan", () => ifShown(`/clients/${clientId}/safety-plan`), (found) => (found
  ? [planOf(found), make("p", { class: "small" }, `Written at ${clock(found.written_at)}.`)]
  : make("p", { class: "small" }, "Not shared with you, or not written. That is the client's own choice.")));

const aim = (clientId) => folded("Aim", () => ifShown(`/sobriety?client_id=${clientId}`),
  (found) => make("p", {}, found ? aimWords(found) : "Not shown to you."));
