// When to be reminded of the check-in: every day at a time on one's own clocks.

import { get, put } from "./api.js";
import { clock, field, folded, formOf, make, tick, zone } from "./page.js";

export const reminder = () => folded("Remind me", () => get("/me/reminder"), (kept) => {
  const time = make("input", { type: "time", required: true, value: kept.at ?? "20:00" });
  const on = tick("Remind me of my check-in every day", { checked: kept.on || kept.at === null });
  const elsewhere = kept.timezone && kept.timezone !== zone();
  return make("section", { class: "card" }, formOf([
    on, field("At what time?", time,
      elsewhere ? `Until now by the clocks of ${kept.timezone}; from now on by those of ${zone()}.` : `By the clocks of ${zone()}.`),
    make("p", { class: "small" }, "It says only “Reminder”, on a phone or browser that you have let us tell you."),
  ], "Save", async () => {
    const now = await put("/me/reminder", { at: time.value, timezone: zone(), on: on.control.checked });
    return now.on ? `Saved. The next one is at ${clock(now.due_at)}.` : "Saved. You will not be reminded.";
  }));
});
