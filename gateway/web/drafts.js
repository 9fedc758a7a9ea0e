// What was answered in a questionnaire and not sent yet. It stays in this tab, goes with it, and with the sign-out.

import { me } from "./api.js";
import { newId } from "./page.js";

const PLACE = "answers.";

export function draftOf(key) {
  const place = `${PLACE}${me().id}.${key}`;
  const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
  const draft = {
    // Under the same id the same answers are taken once, however often they are sent; other answers are others.
    id: kept?.id ?? newId(),
    answers: kept?.answers ?? {},
    answer(item, value) {
      draft.id = newId();
      if (value === null) delete draft.answers[item];
      else draft.answers[item] = value;
      sessionStorage.setItem(place, JSON.stringify({ id: draft.id, answers: draft.answers }));
    },
    forget: () => sessionStorage.removeItem(place),
  };
  return draft;
}

export function forgetDrafts() {
  Object.keys(sessionStorage).filter((place) => place.startsWith(PLACE)).forEach((place) => sessionStorage.removeItem(place));
}
