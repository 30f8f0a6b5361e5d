"use strict";

const page = document.querySelector("main");
const area = document.querySelector("#answers");

function collectAnswers() {
  const answers = {};
  for (const chosen of page.querySelectorAll("input:checked")) {
    answers[chosen.name] = chosen.value;
  }
  return { page: page.dataset.page, answers };
}

function show() {
  const collected = collectAnswers();
  area.value = JSON.stringify(collected, null, 2) + "\n";
  document.querySelector("#count").textContent = Object.keys(collected.answers).length;
}

page.addEventListener("change", show);

document.querySelector("#download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([area.value], { type: "application/json" }));
  link.download = "answers.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

document.querySelector("#copy").addEventListener("click", () => {
  // The newer navigator.clipboard is not there for pages opened from a file.
  area.select();
  document.execCommand("copy");
});

show(); // browsers keep what was chosen when a page is loaded again
