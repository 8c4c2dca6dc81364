// Keeps what is being typed and locks the page when nobody is there. Everything
// else works without this file.
(function () {
  "use strict";
  // All tabs of a browser have one user: the page of the last one says who, and a tab that
  // belongs to somebody else goes to the sign-in. Without a store the next sending finds out.
  var user = document.body.dataset.user || "";
  try { localStorage.setItem("user", user); } catch (e) { /* no store */ }
  if (!user) { return; }
  var idle = Number(document.body.dataset.idle) * 1000;
  var form = document.querySelector("form[data-draft]");
  var said = document.getElementById("draft-said");
  var lock = document.getElementById("lock-form");
  var active = Date.now(), told = Date.now(), dirty = false, leaving = false;

  // Printing is offered where there is something to print with.
  var print = document.querySelector("button[data-print]");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", function () { window.print(); });
  }

  function send() {
    var body = new URLSearchParams();
    if (form && dirty) {
      body = new URLSearchParams(new FormData(form));
      body.set("draft_path", location.pathname);
    }
    body.set("form_user", user);
    var typed = dirty;
    dirty = false;
    told = Date.now();
    return fetch("/draft", { method: "POST", body: body, keepalive: true }).then(function (r) {
      if (r.status === 401 || r.status === 409) { // nobody, or somebody else; what is typed goes along
        leaving = true;
        if (typed) { form.submit(); } else { location.href = "/signin"; }
      } else if (!r.ok) { dirty = typed || dirty; }
      else if (typed && said) { said.textContent = said.dataset.text; }
      return r;
    }).catch(function () { dirty = typed || dirty; });
  }

  ["keydown", "pointerdown", "pointermove", "wheel"].forEach(function (e) {
    document.addEventListener(e, function () { active = Date.now(); }, { passive: true });
  });
  document.querySelectorAll("form[data-draft]").forEach(function (f) {
    f.addEventListener("input", function () { form = f; dirty = true; });
    f.addEventListener("submit", function () { leaving = true; });
  });
  window.addEventListener("storage", function (e) {
    if (leaving || e.key !== "user" || e.newValue === user) { return; }
    if (dirty) { send(); } else { leaving = true; location.href = "/signin"; }
  });
  // Who works in another tab is here too; without a store every tab counts for itself.
  function meet() {
    try {
      var there = Number(localStorage.getItem("active")) || 0;
      if (active > there) { localStorage.setItem("active", active); }
      else if (there <= Date.now()) { active = there; }
    } catch (e) { /* no store */ }
  }
  setInterval(function () {
    if (leaving) { return; }
    meet();
    var now = Date.now();
    if (now - active > idle - 4000) {
      leaving = true;
      (dirty ? send() : Promise.resolve()).then(function (r) { if (!r || r.status !== 401) { lock.submit(); } });
    } else if (dirty && now - told > 8000 || active > told && now - told > 60000) {
      send();
    }
  }, 2000);
})();
