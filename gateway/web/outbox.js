// Messages that are typed and not yet safe. They outlive the page, and are sent in their order until acknowledged.

import { me } from "./api.js";

const place = () => `outbox.${me().id}`;

export function unsent(conversationId) {
  const everything = JSON.parse(localStorage.getItem(place()) ?? "[]");
  return conversationId ? everything.filter((draft) => draft.conversation_id === conversationId) : everything;
}

export function put(draft) {
  localStorage.setItem(place(), JSON.stringify([...unsent(), draft]));
}

export function drop(clientMessageId) {
  const left = unsent().filter((draft) => draft.client_message_id !== clientMessageId);
  if (left.length) localStorage.setItem(place(), JSON.stringify(left));
  else localStorage.removeItem(place());
}
