// The drawings of a page as files: an SVG takes the colour of the page's text with it.
for (const button of document.querySelectorAll("[data-svg]")) {
  button.addEventListener("click", () => {
    const svg = document.querySelector(`#${button.dataset.svg} svg`).cloneNode(true);
    svg.style.color = "#111";
    const text = new XMLSerializer().serializeToString(svg);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    link.download = `${button.dataset.svg}.svg`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
