// An element with data-every is asked for anew by htmx every so many seconds, while the page can be seen.
"use strict";

for (const live of document.querySelectorAll("[data-every]")) {
  const refresh = () => { if (!document.hidden) htmx.trigger(`#${live.id}`, "refresh"); };
  setInterval(refresh, 1000 * live.dataset.every);
  document.addEventListener("visibilitychange", refresh);
}

const stale = (yes) => { document.querySelector(".stale").hidden = !yes; };
document.addEventListener("htmx:error", () => stale(true));
document.addEventListener("htmx:before:response", (event) => {
  const answer = event.detail.ctx.response.raw;
  stale(answer.status >= 500);
  if (answer.redirected) location.reload(); // the session has ended: to the form
});
