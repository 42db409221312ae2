//! What the service tells about itself: its document, and its page for callers.

use std::process::Command;

use serde_json::json;

use crate::support::*;

#[test]
fn everybody_can_read_what_the_routes_ask_for() {
    let (_directory, service, _) = started();
    let answer = service.get("/openapi.json", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let asked = &answer.body["paths"]["/v1/orders"]["get"]["security"][0]["bearer_key"];
    assert_eq!(asked, &json!(["orders:read"]));
}

#[test]
fn a_refusal_leads_to_its_section_of_the_page_for_callers() {
    let (_directory, service, _) = started();
    for (path, kind) in [
        ("/docs/keys", "text/html"),
        ("/docs/keys.md", "text/markdown"),
    ] {
        let page = service.get(path, "");
        let served = page.headers["content-type"].to_str().unwrap();
        assert_eq!(
            (page.status, served.starts_with(kind)),
            (200, true),
            "{served}"
        );
        assert!(page.body.as_str().unwrap().contains("orders:admin"));
    }
    let refusal = service.get("/v1/orders", "junk");
    let (page, section) = refusal.body["type"]
        .as_str()
        .unwrap()
        .split_once('#')
        .unwrap();
    assert_eq!((page, section), ("/docs/keys", "key_invalid"));
    let html = service.get(page, "").body;
    assert!(
        html.as_str()
            .unwrap()
            .contains(&format!("id=\"{section}\""))
    );
}

#[test]
fn the_lines_on_the_page_for_callers_work_when_they_are_pasted() {
    let (_directory, service, admin) = started();
    let (_, key) = service.issue(&admin, json!({ "owner": "org_42" }));
    let lines = lines_for_curl(&service);
    assert_eq!(lines.len(), 5, "{lines:?}");
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not tried: there is no curl here");
        return;
    }
    let paste = |line: &str| {
        let mut shell = Command::new("bash");
        let output = shell.args(["-c", line]).env("KEY", &key).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.starts_with("HTTP/1.1 200"), "{line}: {output}");
        let (_, body) = output.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    };
    let (rotate, calls) = lines.split_last().unwrap();
    for line in calls {
        assert_eq!(paste(line)["owner"], "org_42");
    }
    let new = paste(rotate)["key"].as_str().unwrap().to_owned();
    assert_ne!(new, key);
    assert_eq!(service.get("/v1/whoami", &new).status, 200);
}

#[test]
fn the_page_for_callers_shows_the_url_that_they_are_to_call() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    let url = "https://api.acme.example/eu/";
    let service = Service::spawn(
        command
            .env("KEYGATE_PEPPER", PEPPER)
            .env("KEYGATE_URL", url),
    );
    let lines = lines_for_curl(&service);
    assert!(!lines.is_empty());
    for line in lines {
        assert!(line.contains(" 'https://api.acme.example/eu/v1/"), "{line}");
    }
}

fn lines_for_curl(service: &Service) -> Vec<String> {
    let page = service.get("/docs/keys.md", "").body;
    let lines = page.as_str().unwrap().lines();
    let lines = lines.filter(|line| line.starts_with("curl "));
    lines.map(str::to_owned).collect()
}
