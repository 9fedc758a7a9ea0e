// A client's goals: put into words by either of the two, and agreed by the other.

import { all, me, post } from "./api.js";
import { button, make, newId } from "./page.js";

export function goals(socket, clientId, clientName) {
  const own = clientId === me().id;
  const list = make("ul", { class: "goals" });
  const box = make("input", { maxlength: 400, required: true, "aria-label": "A goal", autocomplete: "off",
    placeholder: own ? "Something you want, in your words" : `Something ${clientName} wants` });
  const problem = make("p", { class: "problem", role: "alert" });
  const form = make("form", { class: "row", method: "post" }, box, make("button", { type: "submit" }, "Propose"));
  let id = newId();

  async function refresh() {
    try {
      draw(await all(own ? "/goals" : `/goals?client_id=${clientId}`));
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function draw(found) {
    const items = found.map((goal) => make("li", { class: goal.state }, make("p", {}, goal.text), acts(goal)));
    list.replaceChildren(...(items.length ? items : [make("li", { class: "small" }, "No goals yet. They can be small.")]));
  }

  function acts(goal) {
    const act = (name) => () => post(`/goals/${goal.id}/${name}`).finally(refresh);
    if (goal.state === "completed") return make("span", { class: "state" }, "Done. Well done.");
    if (goal.state === "agreed") {
      return own ? button("I did it", act("complete")) : make("span", { class: "state" }, "Agreed");
    }
    if (goal.proposed_by !== me().id) return button("Agree", act("agree"));
    return make("span", { class: "state" }, own ? "Waiting for your coach to agree" : `Waiting for ${clientName} to agree`);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await post("/goals", { id, text: box.value.trim(), ...(own ? {} : { client_id: clientId }) });
      id = newId();
      box.value = "";
    } catch (error) {
      problem.textContent = error.message;
      return;
    }
    refresh();
  });

  socket.addEventListener("goal", refresh);
  socket.addEventListener("ready", refresh);
  refresh();
  return {
    element: make("section", { class: "card" }, make("h2", {}, own ? "Your goals" : "Goals"), list, form, problem),
    close() {
      socket.removeEventListener("goal", refresh);
      socket.removeEventListener("ready", refresh);
    },
  };
}
