"use strict";

const page = document.querySelector("main");
const written = document.querySelector("#answers");

function collected() {
  const answers = {};
  for (const chosen of page.querySelectorAll("input:checked")) {
    answers[chosen.name] = chosen.value;
  }
  return { page: page.dataset.page, answers };
}

function show() {
  const found = collected();
  written.value = JSON.stringify(found, null, 2) + "\n";
  document.querySelector("#count").textContent = Object.keys(found.answers).length;
}

page.addEventListener("change", show);

document.querySelector("#download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([written.value], { type: "application/json" }));
  link.download = "answers.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

document.querySelector("#copy").addEventListener("click", () => {
  // The newer navigator.clipboard is not there for pages opened from a file.
  written.select();
  document.execCommand("copy");
});

show(); // browsers keep what was chosen when a page is loaded again
