// The page's only script: puts news in place, and sends what a person asks for. Without it the page shows the same.
"use strict";

if (document.body.dataset.live) {
  const away = document.getElementById("away");
  const news = new EventSource(document.body.dataset.live);
  news.onopen = () => { away.hidden = true; };
  news.onerror = () => { away.hidden = false; };
  news.onmessage = (event) => {
    const { id, html } = JSON.parse(event.data);
    put(id, html);
  };
}

// An element by its id: replaced, added to the list in its order, or taken away. The server has escaped its text.
function put(id, html) {
  const old = document.getElementById(id);
  const focused = old && old.contains(document.activeElement) ? document.activeElement.dataset.verb : undefined;
  if (html === null) { old?.remove(); return; }
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  const list = document.getElementById("cards");
  if (old && (!list || old.dataset.order === fresh.dataset.order)) {
    old.replaceWith(fresh);
  } else {
    old?.remove();
    const after = [...list.children].find((card) => card.dataset.order > fresh.dataset.order);
    list.insertBefore(fresh, after ?? null);
  }
  if (focused) fresh.querySelector(`[data-verb="${focused}"]`)?.focus();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-verb]");
  if (!button) return;
  const effect = document.getElementById(button.getAttribute("aria-describedby")).textContent;
  const token = document.getElementById("token").value.trim();
  if (!token) { say("Enter a token first: it says who you are.", true); document.getElementById("token").focus(); return; }
  if (!window.confirm(`${button.textContent}? ${effect}`)) return;
  say("Asking …", false);
  try {
    const response = await fetch(`${document.querySelector("main").dataset.path}/actions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify({ action: button.dataset.verb }),
    });
    const text = await response.text();
    if (response.ok) say(`Asked as ${JSON.parse(text).by}. What became of it shows above.`, false);
    else say(text, true);
  } catch {
    say("The controller did not answer.", true);
  }
});

document.getElementById("token-form")?.addEventListener("submit", (event) => event.preventDefault());

function say(text, refused) {
  const answer = document.getElementById("answer");
  answer.textContent = text;
  answer.className = refused ? "refused" : "";
}
