// The form of a new job works without this file. It adds: only fitting fields.
"use strict";

// A row of an aggregate shows the fields that its function takes, and offers functions that fit its column.
function fit(row) {
  const chosen = row.querySelector("[data-function]");
  const takes = chosen.selectedOptions[0]?.dataset.takes;
  for (const part of row.querySelectorAll("[data-parameter]")) {
    const value = part.querySelector("select, input").value;
    part.hidden = takes !== undefined && !takes.split(" ").includes(part.dataset.parameter) && !value;
    if (takes === undefined) part.hidden = part.dataset.parameter !== "column" && !value;
  }
  const kind = row.querySelector("[data-column]").selectedOptions?.[0]?.dataset.kind;
  for (const option of chosen.options) {
    const fits = option.dataset.fits;
    option.disabled = Boolean(kind && fits && !fits.split(" ").includes(kind)) && !option.selected;
  }
}

// Only a time is cut into parts.
function fitKey(row) {
  const kind = row.querySelector("[data-column]").selectedOptions?.[0]?.dataset.kind;
  for (const part of row.querySelectorAll("[data-time]")) {
    const value = part.querySelector("select, input").value;
    part.hidden = Boolean(kind) && !["date", "timestamp", "timestamptz"].includes(kind) && !value;
  }
}

function fitAll() {
  document.querySelectorAll("[data-aggregate]").forEach(fit);
  document.querySelectorAll("[data-key]").forEach(fitKey);
}

document.addEventListener("change", (event) => {
  if (event.target.closest("[data-aggregate], [data-key]")) fitAll();
});
document.addEventListener("htmx:after:swap", fitAll);
document.addEventListener("htmx:before:response", (event) => {
  if (event.detail.ctx.response.raw.ok) document.getElementById("told").replaceChildren();
});
fitAll();
