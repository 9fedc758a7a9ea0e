// The service worker of the phone app: shows that something is there, in neutral words, and opens the app.
// Whatever is behind it is asked for by REST; a push says only what kind of thing it is.

const WORDS = {
  en: { message: "New message", alert: "Reminder", session: "Reminder", goal: "Update", notice: "Update", event: "Update" },
  es: {
    message: "Mensaje nuevo", alert: "Recordatorio", session: "Recordatorio",
    goal: "Novedades", notice: "Novedades", event: "Novedades",
  },
};

self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open());
});

function read(data) {
  try {
    return data.json();
  } catch {
    return {};
  }
}

async function show({ kind, ref, badge }) {
  const language = self.navigator.language?.startsWith("es") ? "es" : "en";
  // The same thing replaces what was shown of it before.
  const shown = { tag: ref, renotify: Boolean(ref), icon: "icon.svg", lang: language };
  if (typeof badge === "number") await self.navigator.setAppBadge?.(badge).catch(() => {});
  await self.registration.showNotification(WORDS[language][kind] ?? WORDS[language].notice, shown);
}

async function open() {
  const [app] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  await (app ? app.focus() : self.clients.openWindow("./"));
}
