// Runs before the page is drawn, so that the chosen theme does not flash. Without a choice the
// system's preference counts, in CSS.
(() => {
  const chosen = localStorage.getItem("semtf-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
