// What the page does more where JavaScript runs: it asks without loading anew, opens a passage in its document, asks a file
// that is dropped without keeping it, and adds one. All that is shown is made by the server; nothing here builds markup of texts.

const $ = (selector, within = document) => within.querySelector(selector);
const form = $("#ask");
const files = $("#files");
const state = { file: null, asking: null };

const place = (question, more = {}) => {
  const query = new URLSearchParams({ q: question, ...more });
  const collection = $("#collection");
  if (collection) query.set("collection", collection.value);
  if (state.file) query.set("name", state.file.name);
  return `/?${query}`;
};

// Takes these parts of a page of the server's, and puts them where they stand in this one.
async function show(address, options, ...parts) {
  const reply = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  for (const part of parts) {
    const fresh = $(part, page);
    if (fresh) $(part).replaceWith(document.adoptNode(fresh));
  }
  if (reply.status === 401 || reply.status === 403) $("#token").hidden = false;
  return page;
}

async function ask(question, { remember = true } = {}) {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  const button = $("button.main", form);
  button.disabled = true;
  $("#found").setAttribute("aria-busy", "true");
  try {
    const sent = state.file ? { method: "POST", body: state.file, headers: { "Content-Type": "application/octet-stream" } } : {};
    // What the fast reader says is shown at once, and what the careful one says of it when it is there.
    const first = state.file ? {} : { first: 1 };
    let page = await show(place(question, first), { ...sent, signal: asking.signal }, "#found");
    if ("again" in $("#found").dataset) {
      $("#found").setAttribute("aria-busy", "true");
      page = await show(place(question), { signal: asking.signal }, "#found");
    }
    document.title = page.title;
    if (remember && !state.file) history.pushState({}, "", place(question));
  } catch (error) {
    if (error.name !== "AbortError") say("The server does not answer. Is it still running?");
  } finally {
    if (state.asking === asking) {
      button.disabled = false;
      $("#found").removeAttribute("aria-busy");
    }
  }
}

function say(text) {
  const said = document.createElement("p");
  said.className = "problem";
  said.setAttribute("role", "alert");
  said.textContent = text;
  $("#found").replaceChildren(said);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("#q").value.trim();
  if (question) ask(question);
});

addEventListener("popstate", () => {
  const question = new URLSearchParams(location.search).get("q") ?? "";
  $("#q").value = question;
  if (question) ask(question, { remember: false });
  else $("#found").replaceChildren();
});

// A place in a document is a page of its own; here it is shown above this one.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.place");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const reply = await fetch(link.href).catch(() => null);
  if (!reply) return say("The server does not answer. Is it still running?");
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const viewer = $("#viewer");
  $("h2", viewer).textContent = $("#found h2", page)?.textContent ?? "";
  $("pre", viewer).replaceChildren(...($("#found pre", page)?.childNodes ?? [$("#found", page).textContent]));
  viewer.showModal();
  $("mark", viewer)?.scrollIntoView({ block: "center" });
});
$("#viewer button").addEventListener("click", () => $("#viewer").close());

// Files: asked as they are, or added.
function choose(file) {
  state.file = null;
  files.dataset.chosen = file ? file.name : "";
  $("#chosen").hidden = !file;
  if (!file) return;
  $("#chosen-name").textContent = file.name;
  $("#chosen-ask").onclick = () => {
    state.file = file;
    const question = $("#q").value.trim();
    $("#asked-file").hidden = false;
    $("#asked-file-name").textContent = file.name;
    if (question) ask(question);
    else $("#q").focus();
  };
  $("#chosen-add").onclick = () => add(file);
}

async function add(file) {
  const [bar, said] = [$("#adding progress"), $("#adding-said")];
  $("#adding").hidden = false;
  bar.removeAttribute("value");
  said.textContent = `Adding ${file.name}`;
  const query = $("#collection") ? `?collection=${encodeURIComponent($("#collection").value)}` : "";
  const began = performance.now();
  try {
    const reply = await fetch(`/v1/documents/${encodeURIComponent(file.name)}${query}`, {
      method: "PUT",
      body: file,
      headers: { Accept: "application/x-ndjson" },
    });
    let last = {};
    for await (const line of lines(reply)) {
      last = JSON.parse(line);
      if (!last.total) continue;
      bar.max = last.total;
      bar.value = last.done;
      const left = last.done ? ((performance.now() - began) / last.done) * (last.total - last.done) : NaN;
      said.textContent = `${file.name}: ${last.doing}${left > 2000 ? `, about ${Math.ceil(left / 1000)} seconds left` : ""}`;
    }
    if (reply.status === 401 || reply.status === 403) {
      $("#token").hidden = false;
      $("#token input").focus();
    }
    if (!reply.ok || last.status >= 400) {
      said.textContent = [last.detail ?? last.title, last.hint].filter(Boolean).join(". ");
      bar.value = 0;
      return;
    }
    bar.value = bar.max = 1;
    said.textContent = `${file.name} is added.`;
    choose(null);
    await show("/", {}, "#documents");
  } catch {
    said.textContent = `${file.name} could not be sent.`;
  }
}

async function* lines(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader(); // Safari has no `for await` of streams
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const found = (rest + part.value).split("\n");
    rest = found.pop();
    yield* found.filter(Boolean);
  }
  if (rest.trim()) yield rest;
}

files.hidden = false;
$("#file").addEventListener("change", (event) => choose(event.target.files[0]));
$("#asked-file button").addEventListener("click", () => {
  state.file = null;
  $("#asked-file").hidden = true;
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  files.classList.add("over");
});
addEventListener("dragleave", () => files.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  files.classList.remove("over");
  choose(event.dataTransfer.files[0]);
});

$("#token").addEventListener("submit", async (event) => {
  event.preventDefault();
  const lasting = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `edgeqa_token=${encodeURIComponent($("#token input").value.trim())}; Path=/; SameSite=Strict${lasting}`;
  $("#token input").value = "";
  $("#token").hidden = true;
  await show("/", {}, "#documents");
  $("#token").hidden = !$("#documents .problem"); // it is none that the server knows
});
