"use strict";
(() => {
  const box = document.getElementById("find");
  const input = box.querySelector("input");
  const told = box.querySelector("output");
  const all = Array.from(document.querySelectorAll("article"));
  box.hidden = false;
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLocaleLowerCase();
    let found = 0;
    for (const article of all) {
      const here = wanted === "" || article.textContent.toLocaleLowerCase().includes(wanted);
      article.hidden = !here;
      found += here ? 1 : 0;
    }
    told.textContent = wanted === "" ? "" : `${found} of ${all.length}`;
  });
})();
