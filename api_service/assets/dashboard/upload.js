// The page for choosing data works without this file. It adds: uploads that show their progress and outlive a broken connection.
"use strict";

const upload = document.getElementById("upload");

// Uploads go one after another by tus (docs/http.md), so that one goes on from its stored bytes when its connection broke.
const LOST = [400, 409, 423]; // of an upload that has begun: cut off, another offset, locked (as gristmill/client/uploads.py)
const LONGEST_PAUSE = 10_000;
let turn = Promise.resolve();

// The answer to one request, of status 0 when there is none.
function ask(method, url, signal, headers = {}, body = null, progress = null) {
  const token = document.querySelector("meta[name=csrf]").content;
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries({ "Tus-Resumable": "1.0.0", "X-CSRF-Token": token, ...headers })) {
      request.setRequestHeader(name, value);
    }
    if (progress) request.upload.onprogress = progress;
    request.onloadend = () => resolve(request);
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function pause(failures, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.min(500 * 2 ** failures, LONGEST_PAUSE));
    signal.addEventListener("abort", resolve);
    addEventListener("online", resolve, { once: true });
  });
}

const readable = (file, offset) => file.slice(offset, offset + 1).arrayBuffer().then(() => true, () => false);

function problem(answer) {
  try { return JSON.parse(answer.responseText) ?? {}; } catch { return {}; } // HEAD has no body
}

const taken = ({ status }) => status >= 200 && status < 300;

// Whether the same upload may go on after an answer without the stored bytes. Some limits pass, others last until a deletion.
function passes(answer, begun) {
  const { code, retryable } = problem(answer);
  if (answer.status === 429) return !code || Boolean(retryable);
  return answer.status === 0 || taken(answer) || answer.status >= 500 || (begun && LOST.includes(answer.status));
}

function cause(answer) {
  if (!answer.status) return "No connection";
  if (taken(answer)) return `Status ${answer.status} without the stored bytes: a proxy may ask for a login`;
  return problem(answer).detail || `Status ${answer.status}`;
}

// One line for a file, with its progress and what there is to tell.
function line(file) {
  const stop = new AbortController();
  const item = document.createElement("li");
  const [name, percent, told] = [1, 2, 3].map(() => document.createElement("span"));
  const bar = document.createElement("progress");
  const cancel = document.createElement("button");
  name.textContent = file.name;
  bar.max = file.size || 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  percent.className = "small";
  percent.setAttribute("aria-hidden", "true");
  percent.textContent = "waits";
  told.className = "small";
  cancel.type = "button";
  cancel.textContent = "Cancel";
  cancel.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
  cancel.onclick = () => { stop.abort(); item.remove(); };
  item.className = "row";
  item.append(name, bar, percent, told, cancel);
  document.getElementById("uploading").append(item);
  return {
    signal: stop.signal,
    remove: () => item.remove(),
    tell: (text) => { told.textContent = text; },
    sent: (bytes) => {
      bar.value = bytes;
      percent.textContent = `${Math.floor((100 * bytes) / bar.max)} %`;
    },
    fail: (why) => {
      bar.remove();
      percent.remove();
      told.className = "notice bad";
      told.textContent = why;
      cancel.textContent = "Dismiss";
    },
  };
}

async function send(file, shown) {
  const { signal } = shown;
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
  let [url, offset, failures, lost, since] = [null, 0, 0, false, ""];
  while (!signal.aborted) {
    const sending = (event) => { shown.tell(""); shown.sent(offset + event.loaded); };
    const begin = { "Upload-Length": file.size, "Upload-Metadata": `filename ${name}` };
    const append = { "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
    const answer = await (
      !url ? ask("POST", upload.dataset.uploads, null, begin) // not to be cut off: its answer alone says what to delete
      : lost ? ask("HEAD", url, signal)
      : ask("PATCH", url, signal, append, file.slice(offset), sending));
    if (taken(answer)) url ??= answer.getResponseHeader("Location");
    if (signal.aborted) break;
    const told = answer.getResponseHeader("Upload-Offset");
    lost = !taken(answer) || !url || told === null;
    if (!lost) {
      const stored = Number(told);
      if (stored > offset) [failures, since] = [0, ""];
      offset = stored;
      shown.sent(offset);
      if (offset === file.size) {
        shown.remove();
        choose(`upload:${url.split("/").pop()}`, file.name);
        return;
      }
    } else if (!passes(answer, url)) {
      shown.fail(problem(answer).detail || `The service answered with status ${answer.status}. Choose the file again.`);
      break;
    } else if (!(await readable(file, offset))) {
      shown.fail("This cannot be read: it has changed, is gone, or is a folder. Choose the file again.");
      break;
    } else {
      since ||= new Date().toISOString().slice(11, 19);
      shown.tell(`${cause(answer)}. Trying again since ${since} UTC; bytes that arrived are kept.`);
      await pause(failures, signal);
      failures += 1;
    }
  }
  if (url) ask("DELETE", url);
}

function add(file) {
  const shown = line(file);
  if (file.size > Number(upload.dataset.largest)) {
    shown.fail("This file is larger than this service accepts. Compress it, or name it by a URI.");
  } else {
    turn = turn.then(() => send(file, shown)).catch((error) => shown.fail(`${error} Choose the file again.`));
  }
}

// A finished upload is chosen already.
function choose(uri, name) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.name = "upload";
  box.value = uri;
  box.checked = true;
  label.className = "check";
  label.append(box, ` ${name} `);
  item.append(label);
  document.getElementById("uploads").prepend(item);
  document.getElementById("no-uploads")?.remove();
  document.querySelector("#choose button[value=look]").focus();
}

if (upload) {
  const input = document.getElementById("file");
  input.multiple = true;
  input.required = false;
  const begin = (files) => { for (const file of files) add(file); };
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
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("#uploading progress")) event.preventDefault();
  });
}
