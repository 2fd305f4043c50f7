"use strict";
/* What HTML and htmx do not do by themselves: copying a command, dropping a file, the progress of an upload, and
   sending a token in the header, so that it is never part of a form's data. */

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const command of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.append(button);
  }
}

function takeDrops(form) {
  const area = form.querySelector(".drop");
  const input = form.querySelector("input[type=file]");
  for (const name of ["dragenter", "dragover"]) {
    area.addEventListener(name, (event) => { event.preventDefault(); area.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    area.addEventListener(name, () => area.classList.remove("over"));
  }
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change"));
  });
}

function showUpload(form) {
  const box = form.querySelector(".upload");
  const bar = box.querySelector("progress");
  const said = box.querySelector("[data-sent]");
  form.addEventListener("htmx:beforeRequest", () => { box.hidden = false; bar.value = 0; said.textContent = ""; });
  form.addEventListener("htmx:xhr:progress", (event) => {
    const { loaded, total, lengthComputable } = event.detail;
    if (!lengthComputable || !total) return;
    const percent = Math.floor((100 * loaded) / total);
    bar.value = percent;
    said.textContent = percent < 100 ? `${percent} %` : "sent; the images are being checked";
  });
  form.addEventListener("htmx:afterRequest", () => { box.hidden = true; });
}

function boundSize(form) {
  const input = form.querySelector("input[type=file]");
  const limit = Number(form.dataset.limit);
  input.addEventListener("change", () => {
    const size = input.files.length ? input.files[0].size : 0;
    input.setCustomValidity(size > limit ? `This file has ${size} bytes; at most ${limit} are taken.` : "");
    input.reportValidity();
  });
}

function say(title, detail) {
  const answer = document.querySelector("#answer");
  if (!answer) return;
  const box = document.createElement("div");
  const heading = document.createElement("h2");
  const text = document.createElement("p");
  box.className = "fault";
  box.setAttribute("role", "alert");
  heading.textContent = title;
  text.textContent = detail;
  box.append(heading, text);
  answer.replaceChildren(box);
}

/* The door answers in JSON where it lets nobody in; people get it as a sentence. */
function sayProblem(event) {
  const { xhr } = event.detail;
  if (!(xhr.getResponseHeader("content-type") || "").includes("problem+json")) return;
  event.detail.shouldSwap = false;
  const problem = JSON.parse(xhr.responseText);
  say(problem.title, problem.detail);
}

document.addEventListener("htmx:configRequest", (event) => {
  const field = event.target.querySelector("[data-token]");
  if (field) event.detail.headers.Authorization = `Bearer ${field.value}`;
});
document.addEventListener("htmx:beforeSwap", sayProblem);
document.addEventListener("htmx:sendError", () => {
  say("The zoo did not answer", "Check that it is running, then try again.");
});
document.addEventListener("DOMContentLoaded", () => {
  addCopyButtons();
  for (const form of document.querySelectorAll("form[data-upload]")) {
    takeDrops(form);
    boundSize(form);
    showUpload(form);
  }
});
