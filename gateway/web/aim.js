// What a client aims at: no use, or less. It is the client's own choice, and how a day is seen follows it.

import { get, put, tagOf } from "./api.js";
import { day, field, fill, formOf, make, tick } from "./page.js";

const AIMS = { abstinence: "Not to use", moderation: "To use less" };
const SUBSTANCES = {
  alcohol: "Alcohol", opioids: "Opioids", stimulants: "Stimulants", cannabis: "Cannabis", sedatives: "Sedatives",
  nicotine: "Nicotine", other: "Something else",
};

export function aim() {
  const element = make("section", { class: "card" });
  fill(element, () => get("/sobriety"), draw);

  function draw(kept) {
    const group = (name, type, words, chosen) => Object.entries(words).map(([value, shown]) => tick(shown, {
      type, name, value, checked: chosen.includes(value), required: type === "radio",
    }));
    const aims = group("aim", "radio", AIMS, [kept.aim]);
    const substances = group("substances", "checkbox", SUBSTANCES, kept.substances);
    const days = make("input", { type: "number", min: 0, max: 7, inputmode: "numeric", value: kept.days_per_week });
    const most = field("On how many days of a week, at most?", days);
    const since = make("input", { type: "date", value: kept.since });
    let tag = kept.aim ? tagOf(kept) : null;
    const chosen = (boxes) => boxes.map((box) => box.control).filter((box) => box.checked).map((box) => box.value);
    const moderate = () => {
      days.required = chosen(aims)[0] === "moderation";
      most.hidden = !days.required;
    };
    const form = formOf([
      make("p", {}, aimWords(kept)),
      make("fieldset", {}, make("legend", {}, "What do you want?"), aims),
      make("fieldset", {}, make("legend", {}, "Of what?"), substances), most,
      field("Since when does it count?", since, "If you like."),
    ], "Save", async () => {
      try {
        const now = await put("/sobriety", {
          aim: chosen(aims)[0], substances: chosen(substances),
          ...(days.required ? { days_per_week: Number(days.value) } : {}), ...(since.value ? { since: since.value } : {}),
        }, tag);
        tag = tagOf(now);
        form.firstChild.textContent = aimWords(now);
        return "Saved.";
      } catch (error) {
        if (error.status !== 412) throw error;
        const now = await get("/sobriety");
        tag = tagOf(now);
        form.firstChild.textContent = aimWords(now);
        return "It was changed elsewhere, and stands above. Save again if you want it as it is here.";
      }
    }, { places: { substances: "of what", days_per_week: "days of a week", since: "since when" } });
    form.addEventListener("change", moderate);
    moderate();
    return [make("h2", {}, "My aim"), make("p", { class: "small" }, "Yours alone to choose, and to change. Your coach sees it."), form,
      before(kept.history)];
  }
  return element;
}

export function aimWords({ aim: chosen, substances, days_per_week: days, since }) {
  if (!chosen) return "No aim yet.";
  const what = substances.map((one) => SUBSTANCES[one].toLowerCase()).join(", ");
  const most = days == null ? "" : `, on at most ${days} ${days === 1 ? "day" : "days"} of a week`;
  return `${AIMS[chosen]}: ${what}${most}${since ? `, since ${day(since)}` : ""}.`;
}

function before(earlier) {
  return earlier.length > 0 && make("details", {}, make("summary", {}, "Before"),
    make("ul", {}, earlier.map((one) => make("li", { class: "small" }, aimWords(one)))));
}
