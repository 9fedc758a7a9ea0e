// What a client lets the desk see: how it goes, the plan if it is shared, check-ins, questionnaires, the aim.

import { aimWords } from "./aim.js";
import { history } from "./history.js";
import { fill, folded, make } from "./page.js";
import { past, questionnaires } from "./questionnaires.js";
import { riskOf } from "./seen.js";
import { ifShown, planFor } from "./shared.js";

export function record(socket, clientId, name) {
  const place = make("div", {});
  const parts = make("div", { class: "panel", hidden: true }, planFor("Safety plan", clientId),
    folded("Check-ins", async () => null, () => history(clientId)), past("Questionnaires", clientId),
    folded("Take a questionnaire together", async () => null, () => questionnaires({ id: clientId, name })), aim(clientId));
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

const aim = (clientId) => folded("Aim", () => ifShown(`/sobriety?client_id=${clientId}`),
  (found) => make("p", {}, found ? aimWords(found) : "Not shown to you."));
