"""Self-contained HTML pages: one stylesheet, light and dark, figures as SVG."""
