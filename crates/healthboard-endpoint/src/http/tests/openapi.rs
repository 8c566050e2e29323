//! Compares `docs/openapi.yaml` with the running endpoint: every answer is documented, and everything documented is
//! answered.

use crate::connection::Limits;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, body, code, report, traced};
use healthboard::{PROGRESS, Report, Status};
use serde_json::Value;
use std::collections::BTreeSet;

/// It answers every method, and is checked by itself.
const HEALTHCHECK: &str = "/healthcheck";

/// Headers that every answer may have besides the documented ones.
const HTTP_ITSELF: [&str; 4] = ["allow", "connection", "content-length", "content-type"];

struct Document(Value);

impl Document {
    fn read() -> Document {
        Document(serde_saphyr::from_str(include_str!("../../../../../docs/openapi.yaml")).unwrap())
    }

    /// The value at `key`, with references resolved.
    fn get<'a>(&'a self, value: &'a Value, key: &str) -> Option<&'a Value> {
        value.get(key).map(|value| self.resolve(value))
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(target) => self.resolve(self.0.pointer(target.strip_prefix('#').unwrap()).expect(target)),
            None => value,
        }
    }

    fn paths(&self) -> Vec<&str> {
        self.0["paths"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn responses(&self, path: &str) -> &serde_json::Map<String, Value> {
        let path = self.get(&self.0["paths"], path).unwrap();
        self.get(path, "get").unwrap()["responses"].as_object().unwrap()
    }

    /// Panics unless the answer is as documented; returns path, status and media type.
    fn check(&self, path: &str, answer: &str) -> (String, String, String) {
        let status = code(answer).to_string();
        let response =
            self.resolve(self.responses(path).get(&status).unwrap_or_else(|| panic!("{path}: {answer}")));
        let headers: Vec<(&str, &str)> = answer
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let header = |name: &str| {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
        };
        let documented = response["headers"].as_object().unwrap();
        for (name, value) in
            headers.iter().filter(|(name, _)| !HTTP_ITSELF.contains(&&*name.to_ascii_lowercase()))
        {
            let header =
                documented.get(*name).unwrap_or_else(|| panic!("{name} is not documented: {answer}"));
            self.validate(&self.resolve(header)["schema"], &Value::from(*value));
        }
        for (name, documented) in documented {
            let required = self.resolve(documented).get("required") == Some(&Value::Bool(true));
            assert!(!required || header(name).is_some(), "{name} is missing: {answer}");
        }
        let media = header("content-type").unwrap();
        let content =
            response["content"].get(media).unwrap_or_else(|| panic!("{media} is not documented: {answer}"));
        let body = body(answer);
        let value =
            if media.ends_with("json") { serde_json::from_str(body).unwrap() } else { Value::from(body) };
        self.validate(&content["schema"], &value);
        (path.to_owned(), status, media.to_owned())
    }

    /// Validates the part of JSON Schema that the document uses, and panics at unknown keywords.
    fn validate(&self, schema: &Value, value: &Value) {
        let schema = self.resolve(schema);
        for (keyword, argument) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "description" => true,
                "type" => match argument.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    other => panic!("type {other}"),
                },
                "const" => value == argument,
                "enum" => argument.as_array().unwrap().contains(value),
                "format" => value.as_str().is_some_and(|time| time.len() == 20 && time.ends_with('Z')),
                "required" => argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some()),
                "items" => value.as_array().unwrap().iter().all(|item| {
                    self.validate(argument, item);
                    true
                }),
                "properties" | "additionalProperties" => true,
                other => panic!("keyword {other}"),
            };
            assert!(holds, "{keyword} {argument}: {value}");
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            match schema
                .get("properties")
                .and_then(|known| known.get(name))
                .or(schema.get("additionalProperties"))
            {
                None | Some(Value::Bool(false)) => panic!("`{name}` is not documented"),
                Some(schema) => self.validate(schema, member),
            }
        }
    }
}

/// A report of every kind.
fn reports() -> Vec<Report> {
    let mut hung = report(Status::Fault);
    let mut progress = hung.details["database"].clone();
    progress.status = Status::Fault;
    hung.details.insert(PROGRESS.to_owned(), progress);
    hung.refused = 2;
    hung.refused_name = Some("queue-31".to_owned());
    hung.draining = true;
    hung.stacks = vec![traced()];
    vec![report(Status::Ok), report(Status::Degraded), report(Status::Fault), hung]
}

/// Without what it cost to answer, which no two answers have in common.
fn steady(answer: &str) -> String {
    let costs = ["healthboard_cpu_seconds_total ", "healthboard_requests_total ", "content-length: "];
    let is_steady =
        |line: &&str| path_is_of_no_cost(answer) || !costs.iter().any(|cost| line.starts_with(cost));
    answer.split_inclusive('\n').filter(is_steady).collect()
}

fn path_is_of_no_cost(answer: &str) -> bool {
    !answer.contains("version=")
}

#[test]
fn everything_answered_is_documented_and_everything_documented_is_answered() {
    let document = Document::read();
    let good = [
        "",
        "Accept: application/json\r\n",
        "Accept: application/health+json\r\n",
        "Accept: text/plain\r\n",
        "Accept: text/html\r\n",
        "Accept: application/openmetrics-text\r\n",
    ];
    let bad = ["Origin: http://example.org\r\n", "Sec-Fetch-Site: cross-site\r\n", "Host: localhost\r\n"];
    let mut seen = BTreeSet::new();
    for report in reports() {
        let endpoint = Endpoint::of(report);
        for path in document.paths().into_iter().filter(|path| *path != HEALTHCHECK) {
            for headers in good.iter().chain(&bad) {
                for query in ["", "?verbose", "?verbose&exclude=database&exclude=nothing"] {
                    let ask = |method| {
                        endpoint.ask(format!(
                            "{method} {path}{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
                        ))
                    };
                    let get = ask("GET");
                    seen.insert(document.check(path, &get));
                    let options = ask("OPTIONS");
                    assert_eq!(steady(&options.replace("allow: GET, HEAD, OPTIONS\r\n", "")), steady(&get));
                    assert_eq!(steady(&ask("HEAD")), steady(&get[..get.len() - body(&get).len()]));
                }
            }
            let post = endpoint.ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!((code(&post), post.contains("\r\nallow: GET, HEAD, OPTIONS\r\n")), (405, true));
        }
        assert_eq!(code(&endpoint.get("/undocumented")), 404);
        for accept in ["", "text/html", "application/json"] {
            let request =
                format!("GET {HEALTHCHECK} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
            seen.insert(document.check(HEALTHCHECK, &endpoint.ask(request)));
        }
        let page = format!("GET {HEALTHCHECK} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", bad[0]);
        seen.insert(document.check(HEALTHCHECK, &endpoint.ask(page)));
    }
    let mut options = HttpOptions::default();
    options.healthcheck.ignore_proxied_requests = true;
    let endpoint = Endpoint::with(options, Limits::DEFAULT, report(Status::Ok));
    let forwarded = format!("GET {HEALTHCHECK} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ::1\r\n\r\n");
    seen.insert(document.check(HEALTHCHECK, &endpoint.ask(forwarded)));
    for path in document.paths() {
        for (status, response) in document.responses(path) {
            for media in document.resolve(response)["content"].as_object().unwrap().keys() {
                let documented = (path.to_owned(), status.clone(), media.clone());
                assert!(seen.contains(&documented), "never seen: {documented:?}");
            }
        }
    }
}
