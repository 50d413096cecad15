// An element with data-every is asked for anew by htmx every so many seconds, while the page can be seen.
"use strict";

for (const live of document.querySelectorAll("[data-every]")) {
  const refresh = () => { if (!document.hidden) htmx.trigger(`#${live.id}`, "refresh"); };
  setInterval(refresh, 1000 * live.dataset.every);
  document.addEventListener("visibilitychange", refresh);
}
