// Before the first paint: the theme that was chosen. A script of its own, because the page's policy allows none inline.
// src/app/theme.ts writes what is read here.
try {
  const theme = localStorage.getItem("daybook:theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A privacy setting forbids storage: then the system's theme it is.
}
