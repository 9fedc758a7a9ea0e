// Who waits for whoever is on duty, the longest first. A coach sees how long; a supervisor also sees who.

import { all, nameOf, post } from "./api.js";
import { announce, button, make } from "./page.js";

const ASK_ANYWAY = 30_000;
const UNNAMED = "A client";

export function waiting(socket, openTaken) {
  const list = make("ul", { class: "waiting" });
  const problem = make("p", { class: "problem", role: "alert" });
  let asked = 0;

  async function refresh() {
    const mine = ++asked;
    try {
      const found = await all("/conversations/waiting");
      const names = await Promise.all(found.map((one) => (one.client_id ? nameOf(one.client_id, UNNAMED) : UNNAMED)));
      // An answer that was overtaken by a later question is old.
      if (mine === asked) draw(found, names);
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function draw(found, names) {
    const items = found.map((one, at) => make("li", { class: "row" },
      make("span", {}, `${names[at]}, for ${howLong(one.waited_seconds)}`),
      button("Take it", async () => {
        const taken = await post(`/conversations/${one.id}/take`).finally(refresh);
        await openTaken(taken);
      })));
    list.replaceChildren(...(items.length ? items : [make("li", { class: "small" }, "Nobody is waiting.")]));
  }

  socket.addEventListener("conversation", ({ detail }) => {
    if (detail.change === "waiting") announce("Somebody has been waiting for long.");
    refresh();
  });
  socket.addEventListener("ready", refresh);
  refresh();
  // Coaches are not told of everybody who begins to wait.
  const timer = setInterval(() => (list.isConnected ? refresh() : clearInterval(timer)), ASK_ANYWAY);
  return make("section", { "aria-labelledby": "waiting" },
    make("h2", { id: "waiting" }, "Waiting for somebody on duty"), list, problem);
}

function howLong(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return "less than a minute";
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}
