// How much is asked of whom, and who is asked when nobody else answers.

import { get, me, nameOf, put, tagOf } from "./api.js";
import { colleagues } from "./alerts.js";
import { folded, formOf, make, tick } from "./page.js";

// Of oneself for a coach, of all coaches for a supervisor.
export const load = (role) => folded(role === "supervisor" ? "How much is asked of whom" : "How much is asked of me", async () => {
  const { items } = await get("/alerts/load");
  return Promise.all(items.map(async (one) => ({ ...one, name: await nameOf(one.coach_id, "A coach") })));
}, (found) => make("div", { class: "wide" }, make("table", {}, make("thead", {}, make("tr", {},
  ["Coach", "Open", "One day", "Seven days"].map((words) => make("th", { scope: "col" }, words)))),
make("tbody", {}, found.map((one) => make("tr", {},
  make("th", { scope: "row" }, one.coach_id === me().id ? "You" : one.name, one.on_duty && make("span", { class: "small" }, " on duty")),
  make("td", {}, one.open),
  make("td", {}, `${one.day} of ${one.budget}`, one.over && make("strong", {}, " too much for a day")),
  make("td", {}, one.week)))))));

export const onCall = () => folded("On call", async () => {
  const [kept, coaches] = [await get("/on-call"), await colleagues()];
  const others = kept.supervisors.filter((id) => id !== me().id);
  const supervisors = await Promise.all(others.map(async (id) => ({ id, name: `${await nameOf(id, "Somebody")}, supervisor` })));
  return { kept, known: [{ id: me().id, name: "You" }, ...supervisors, ...coaches] };
}, ({ kept, known }) => {
  const boxes = known.map(({ id, name }) => tick(name, { value: id, checked: kept.people.includes(id) }));
  let tag = tagOf(kept);
  return formOf([make("fieldset", {}, make("legend", {}, "Whoever is asked when nobody else answers, all together"), boxes)],
    "Save", async () => {
      try {
        const people = boxes.map((box) => box.control).filter((box) => box.checked).map((box) => box.value);
        tag = tagOf(await put("/on-call", { people }, tag));
        return people.length ? "Saved." : "Saved. Nobody is on call: an alert that nobody answers goes round and round.";
      } catch (error) {
        if (error.status !== 412) throw error;
        const now = await get("/on-call");
        tag = tagOf(now);
        for (const box of boxes) box.control.checked = now.people.includes(box.control.value);
        return "It was changed elsewhere, and is shown as it is now. Please look, then save.";
      }
    });
});
