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
  var forms = document.querySelectorAll("form[data-draft]");
  var form = forms[0];
  var said = document.getElementById("draft-said");
  var lock = document.getElementById("lock-form");
  var active = Date.now(), told = Date.now(), leaving = false;
  // What was sent and not saved stands in the page alone.
  var dirty = forms.length === 1 && document.body.dataset.unsaved === "1";

  // Printing is offered where there is something to print with.
  var print = document.querySelector("button[data-print]");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", function () { window.print(); });
  }

  function say(what) {
    if (!said) { return; }
    said.textContent = what ? said.dataset[what] : "";
    said.className = !what || what === "kept" ? "hint" : "fault";
  }

  // The answer tells whether what is typed is kept; none is that nobody answers.
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
    // A browser refuses to carry more than 64 KiB past the end of a page.
    return fetch("/draft", { method: "POST", body: body, keepalive: String(body).length < 60000 }).then(function (r) {
      if (r.status === 401 || r.status === 409) { // nobody, or somebody else; what is typed goes along
        leaving = true;
        if (typed) { form.submit(); } else { location.href = "/signin"; }
      } else if (!r.ok) { dirty = typed || dirty; if (typed) { say("refused"); } }
      else if (typed && !dirty) { say("kept"); }
      return r;
    }).catch(function () { dirty = typed || dirty; if (typed) { say("dead"); } });
  }

  // What is typed stands in the page alone: nobody answered, or nothing was kept.
  function alone(r) { return !r || !r.ok && r.status !== 401 && r.status !== 409; }

  // The screen is locked and the page covered, until its user has signed in again in another
  // tab: then what is typed stands there as before.
  function cover() {
    var over = document.createElement("p");
    leaving = true;
    over.className = "fault cover";
    over.textContent = document.body.dataset.covered;
    document.body.appendChild(over);
    document.body.classList.add("covered");
    function back() {
      fetch("/draft", { method: "POST", body: new URLSearchParams({ form_user: user }) }).then(function (r) {
        if (r.status !== 204 || !over.parentNode) { return; }
        window.removeEventListener("focus", back);
        document.body.classList.remove("covered");
        over.remove();
        active = told = Date.now();
        leaving = false;
      }).catch(function () { /* stays covered */ });
    }
    (function shut() {
      fetch("/lock", { method: "POST", body: new URLSearchParams() }).then(function (r) {
        if (!r.ok) { throw r; }
        window.addEventListener("focus", back);
      }).catch(function () { setTimeout(shut, 5000); });
    })();
  }

  ["keydown", "pointerdown", "pointermove", "wheel"].forEach(function (e) {
    document.addEventListener(e, function () { active = Date.now(); }, { passive: true });
  });
  forms.forEach(function (f) {
    f.addEventListener("input", function () { form = f; dirty = true; if (said && said.className === "hint") { say(""); } });
    f.addEventListener("submit", function () { if (f === form || !dirty) { leaving = true; } });
  });
  // Another form, as that of the lock, of the language or of another conflict, waits until
  // what is typed is kept.
  document.addEventListener("submit", function (e) {
    if (leaving || !dirty || !e.target.requestSubmit) { return; }
    e.preventDefault();
    send().then(function (r) {
      if (leaving) { return; }
      if (alone(r)) { if (r && e.target === lock) { cover(); } return; }
      leaving = true;
      e.target.requestSubmit(e.submitter);
    });
  });
  window.addEventListener("pagehide", function () { if (dirty && !leaving) { send(); } });
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
      var typed = dirty;
      (typed ? send() : Promise.resolve()).then(function (r) {
        if (typed && !r) { leaving = false; }
        else if (typed && alone(r)) { cover(); }
        else if (!r || r.status !== 401 && r.status !== 409) { lock.submit(); }
      });
    } else if (dirty && now - told > 8000 || active > told && now - told > 60000) {
      send();
    }
  }, 2000);
})();
