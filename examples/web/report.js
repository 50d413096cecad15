// Uploads a file to Gristmill, shows the job's progress, then its rows. The backend keeps the strong key.
const show = (id) => document.getElementById(id);
const csrf = document.querySelector("[name=csrfmiddlewaretoken]")?.value; // of a Django page

async function ask(url, key, options = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : csrf ? { "X-CSRFToken": csrf } : {};
  const answer = await fetch(url, { ...options, headers });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

async function events(url, key, seen) {
  const reader = (await ask(url, key)).body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) seen(JSON.parse(data.slice(6)));
    }
  }
}

async function report(file) {
  const { gateway, key } = await (await ask("uploads", null, { method: "POST" })).json();
  const named = `${gateway}/v1/uploads?filename=${encodeURIComponent(file.name)}`;
  const { uri } = await (await ask(named, key, { method: "POST", body: file })).json();
  const made = await (await ask(`reports?upload=${uri}`, null, { method: "POST" })).json();
  const job = `${gateway}/v1/jobs/${made.job}`;
  await events(`${job}/events`, made.key, ({ progress, state }) => {
    if (progress) show("progress").value = progress.fraction;
    if (state) show("state").value = state;
  });
  const { error } = await (await ask(job, made.key)).json();
  if (error) throw new Error(error.detail);
  if (show("form").dataset.next) return location.assign(show("form").dataset.next);
  const { items, columns } = await (await ask(`${job}/rows?order_by=country`, made.key)).json();
  for (const row of items) {
    const line = show("rows").insertRow();
    for (const { name } of columns) line.insertCell().textContent = row[name];
  }
}

show("form").addEventListener("submit", (event) => {
  event.preventDefault();
  report(event.target.file.files[0]).catch((error) => (show("state").value = error.message));
});
