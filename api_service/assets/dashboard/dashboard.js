// Without this file every page can be read and every form works. It adds: copying, the token of changes, rest for a hidden page, and word of a gateway that is away.
"use strict";

document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
});

document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text.textContent);
  } else { // without HTTPS
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});

// The element #live follows the gateway, by a stream or by asking. Without an answer the page says since when.
let since = null;

function answered(status) { // 0: not at all
  const told = document.getElementById("away");
  if (status && status < 400) {
    since = null;
    told.replaceChildren();
    return;
  }
  since ??= new Date().toISOString().slice(11, 19);
  const what = status ? `The gateway answers with status ${status}` : "No connection to the gateway";
  const refused = status && status < 500 && status !== 429;
  const then = refused ? "Load the page anew." : "The page is as it was then, and tries again by itself.";
  const text = `${what} since ${since} UTC. ${then}`;
  if (told.textContent !== text) told.textContent = text;
}

function firstAnswer(live, status) { // the stream connects again by itself only once it was connected
  answered(status);
  const failed = !status || status >= 400;
  if (failed && live.hasAttribute("hx-sse:connect")) setTimeout(() => htmx.trigger("#live", "again"), 3000);
}

document.addEventListener("htmx:before:response", ({ target, detail }) => {
  if (target.id === "live") firstAnswer(target, detail.ctx.response.raw.status);
});
document.addEventListener("htmx:error", ({ target }) => { if (target.id === "live") firstAnswer(target, 0); });
document.addEventListener("htmx:sse:error", ({ detail }) => answered(detail.status ?? 0));
document.addEventListener("htmx:sse:after:connection", () => answered(200));
