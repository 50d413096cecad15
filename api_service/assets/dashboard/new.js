// The page of a new job works without this file. It adds: uploads with their progress, and only fitting fields.
"use strict";

const upload = document.getElementById("upload");

// One request a file, to the API, so that its progress is known and it can be cancelled.
function send(file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const bar = document.createElement("progress");
  const told = document.createElement("span");
  const cancel = document.createElement("button");
  name.textContent = file.name;
  bar.max = file.size || 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  told.className = "small";
  told.textContent = "0 %";
  cancel.type = "button";
  cancel.textContent = "Cancel";
  cancel.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
  item.className = "row";
  item.append(name, bar, told, cancel);
  document.getElementById("uploading").append(item);

  const request = new XMLHttpRequest();
  const fail = (why) => {
    bar.remove();
    told.className = "notice bad";
    told.textContent = why;
    cancel.textContent = "Dismiss";
    cancel.onclick = () => item.remove();
  };
  if (file.size > Number(upload.dataset.largest)) {
    fail("This file is larger than this service accepts. Compress it, or name it by a URI.");
    return;
  }
  request.open("POST", `${upload.dataset.uploads}?filename=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("X-CSRF-Token", document.querySelector("meta[name=csrf]").content);
  request.upload.onprogress = (event) => {
    bar.value = event.loaded;
    told.textContent = `${Math.floor((100 * event.loaded) / (event.total || 1))} %`;
  };
  request.onload = () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* told below, with the status */ }
    if (request.status !== 201) {
      fail(answer.detail || `The service answered with status ${request.status}. Choose the file again.`);
      return;
    }
    item.remove();
    choose(answer);
  };
  request.onerror = () => fail("The connection broke. Choose the file again.");
  request.onabort = () => item.remove();
  cancel.onclick = () => request.abort();
  request.send(file);
}

// A finished upload is chosen already.
function choose(stored) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.name = "upload";
  box.value = stored.uri;
  box.checked = true;
  label.className = "check";
  label.append(box, ` ${stored.filename || stored.id} `);
  item.append(label);
  document.getElementById("uploads").prepend(item);
  document.getElementById("no-uploads")?.remove();
  document.querySelector("#choose button[value=look]").focus();
}

if (upload) {
  const input = document.getElementById("file");
  input.multiple = true;
  input.required = false;
  const begin = (files) => { for (const file of files) send(file); };
  input.addEventListener("change", () => { begin(input.files); input.value = ""; });
  upload.addEventListener("submit", (event) => { event.preventDefault(); input.click(); });
  upload.addEventListener("dragover", (event) => { event.preventDefault(); upload.classList.add("over"); });
  upload.addEventListener("dragleave", () => upload.classList.remove("over"));
  upload.addEventListener("drop", (event) => {
    event.preventDefault();
    upload.classList.remove("over");
    begin(event.dataTransfer.files);
  });
  upload.querySelector(".hint").append(" You can drop files here.");
}

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
