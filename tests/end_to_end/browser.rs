//! A browser, driven through chromedriver as a person would: real clicks, real keys, and what it
//! complains about.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The environment variable that makes a missing browser a failure: `required`.
const VARIABLE: &str = "TAILGUARD_BROWSER";
/// The key of an element in the driver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one empty page.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    // the profile, deleted with it
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium without a window, `width` pixels wide; nothing, with a word on standard
    /// error, if it is not installed.
    pub(crate) fn start((width, height): (u32, u32)) -> Option<Self> {
        let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
        let installed = |program: &&str| {
            Command::new(program)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let chromium =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find(installed);
        let (Some(chromium), true) = (chromium, installed(&"chromedriver")) else {
            let missing = "chromium and chromedriver are not installed (Debian: apt-get install \
                chromium chromium-driver)";
            assert!(!required, "{VARIABLE}=required, but {missing}");
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {missing}; {VARIABLE}=required makes this a failure"
            );
            return None;
        };
        let mut driver = Command::new("chromedriver")
            .args(["--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let port = line
                .split_once("started successfully on port ")?
                .1
                .trim_end_matches('.')
                .to_owned();
            Some(port)
        });
        let address =
            format!("http://127.0.0.1:{}/session", port.expect("chromedriver names its port"));
        // chromedriver goes on printing
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ];
        let binary = Command::new("which").arg(chromium).output().unwrap().stdout;
        let binary = String::from_utf8(binary).unwrap().trim().to_owned();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args, "binary": binary},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = call("POST", &address, Some(&wanted));
        let id = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        Some(Self { driver, session: format!("{address}/{id}"), _profile: profile })
    }

    /// Opens a file.
    pub(crate) fn open(&self, path: &Path) {
        self.post(
            "/url",
            &json!({"url": format!("file://{}", path.canonicalize().unwrap().display())}),
        );
    }

    /// Runs a script and gives what it returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that returns a text.
    #[track_caller]
    pub(crate) fn text(&self, script: &str) -> String {
        let found = self.script(script);
        found
            .as_str()
            .unwrap_or_else(|| panic!("{script}: expected a text, found {found}"))
            .to_owned()
    }

    /// Clicks the first element that a CSS selector finds; the browser refuses what cannot be
    /// clicked.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.find(selector)), &json!({}));
    }

    /// Types into the first element that a CSS selector finds.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.find(selector)), &json!({"text": text}));
    }

    /// Presses a key, whatever has the focus; `\u{e004}` is Tab, `\u{e007}` Enter.
    pub(crate) fn press(&self, key: &str) {
        let actions =
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        self.post(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}),
        );
    }

    /// Asks for dark or light colours, as the system of a reader does.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command =
            json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.post("/goog/cdp/execute", &command);
    }

    /// Makes the window so large, as a telephone's.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": params}),
        );
    }

    /// What the browser has written to its console since the last call: errors, warnings and all
    /// else.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        entries.as_array().unwrap().iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        call("POST", &format!("{}{path}", self.session), Some(body))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // a failed test ends the browser, too; what cannot be ended is chromedriver's
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// One call of the driver; its answer's value.
#[track_caller]
fn call(method: &str, address: &str, body: Option<&Value>) -> Value {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = match (method, body) {
        ("POST", Some(body)) => agent.post(address).send_json(body),
        _ => agent.get(address).call(),
    }
    .unwrap_or_else(|error| panic!("{address}: {error}"));
    let status = answer.status();
    let mut value: Value =
        answer.body_mut().read_json().unwrap_or_else(|error| panic!("{address}: {error}"));
    assert!(status.is_success(), "{address}: {status}: {}", value["value"]["message"]);
    value["value"].take()
}

/// Writes a file of a run anew.
pub(crate) fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}
