// How a day was found: a band in words and the reasons for it, and never a number.

import { bullets, make } from "./page.js";

export const TO_CLIENT = {
  steady: ["A steady day", "Thank you for checking in. Keep doing what helps."],
  watch: ["A bit harder today", "Thank you for saying so. What helped you on a day like this before?"],
  high: ["A hard day", "It is good that you said so. You do not have to do this alone."],
  urgent: ["A very hard day", "Thank you for telling us. Please let somebody be with you, or call one of these now."],
};
export const AT_THE_DESK = { steady: "Steady", watch: "A bit harder", high: "A hard day", urgent: "Urgent" };

export const bandWord = (band, words) => make("span", { class: `band-word ${band}` }, words);

// Why, and how it is beside the person's own last week.
export function because({ reasons, compared = [] }) {
  return [bullets(reasons), compared.length > 0 && make("p", { class: "small" }, `${compared.join(". ")}.`)];
}
