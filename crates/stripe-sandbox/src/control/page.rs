//! The status page: one document, made on the server, with nothing to load and nothing to run.

use std::fmt::Write;

use super::view;
use crate::report::{CustomerRecord, RequestRecord};
use crate::world::World;

/// So many Customers of each account and mode, and so many requests, are shown.
const SHOWN: usize = 100;

const STYLE: &str = include_str!("page.css");

/// The page, for somebody who calls us `host`.
pub(super) fn render(world: &World, host: &str) -> String {
    let (customers, count) = world.last_customers(SHOWN as u32);
    let requests = world.log().last(SHOWN, world.base);
    let clock = view::clock(world);
    let ahead = clock["ahead_seconds"].as_i64().unwrap_or_default();
    let now = time(clock["now"].as_i64().unwrap_or_default());

    let mut page = String::new();
    page += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>stripe-sandbox</title>\n<style>\n";
    page += STYLE;
    page += "</style>\n</head>\n<body>\n<header>\n<h1>stripe-sandbox</h1>\n";
    put(&mut page, format_args!("<p>{}</p>\n", escaped(&format!("http://{host}"))));
    put(&mut page, format_args!("<p>Sandbox time <b>{now}</b>{}</p>\n", later(ahead)));
    page += "</header>\n<main>\n";
    figures(&mut page, world, count);
    faults(&mut page, world);
    request_table(&mut page, &requests);
    customer_table(&mut page, &customers, count);
    webhook_table(&mut page, world);
    page += "</main>\n<footer><p>Controls: <a href=\"/_sandbox/openapi.json\">openapi.json</a>. \
        Reload for news.</p></footer>\n</body>\n</html>\n";
    page
}

fn figures(page: &mut String, world: &World, customers: u64) {
    let counters = world.counters();
    let faults: u64 = counters.faults.values().sum();
    let lag = world.lag();
    *page += "<section class=\"figures\">\n";
    for (figure, what) in [
        (customers, "Customers"),
        (counters.requests, "requests"),
        (counters.replays, "replays"),
        (counters.conflicts, "conflicts"),
        (faults, "faults struck"),
        (counters.webhooks_delivered, "webhooks delivered"),
        (lag.search_seconds, "seconds of search lag"),
        (lag.events_seconds, "seconds of event lag"),
    ] {
        put(page, format_args!("<div><b>{figure}</b><span>{what}</span></div>\n"));
    }
    *page += "</section>\n";
}

fn faults(page: &mut String, world: &World) {
    let arsenal = world.arsenal();
    let none = arsenal.rules.is_empty() && arsenal.chaos().is_none();
    heading(page, "Faults armed", "");
    if none {
        return nothing(page, "None. Every request is answered as it should be.");
    }
    if let Some(chaos) = arsenal.chaos() {
        let kinds: Vec<String> = chaos
            .probabilities
            .iter()
            .map(|(kind, probability)| format!("{} {probability}", kind.name()))
            .collect();
        let methods = chaos.methods.join(", ");
        let text = format!("By chance, seed {}, on {methods}: {}", chaos.seed, kinds.join(", "));
        put(page, format_args!("<p class=\"chaos\">{}</p>\n", escaped(&text)));
    }
    if arsenal.rules.is_empty() {
        return;
    }
    table(page, &["Fault", "Which requests", "How often", "Matched", "Struck"], |page| {
        for armed in arsenal.rules.iter().rev() {
            let fault = serde_json::to_value(&armed.rule.fault).unwrap_or_default();
            let particulars =
                fault.as_object().into_iter().flatten().filter(|(name, _)| *name != "kind");
            let particulars: String =
                particulars.map(|(name, value)| format!(" {name} {value}")).collect();
            let spent = if armed.is_spent() { " class=\"spent\"" } else { "" };
            put(page, format_args!("<tr{spent}>"));
            badge(page, armed.rule.fault.kind().name(), "fault", &particulars);
            cell(page, &armed.rule.selection());
            cell(page, &armed.rule.frequency());
            number(page, armed.matched);
            number(page, armed.struck);
            *page += "</tr>\n";
        }
    });
}

fn request_table(page: &mut String, requests: &[RequestRecord]) {
    heading(page, "Requests", &format!("the last {}, newest first", requests.len()));
    if requests.is_empty() {
        return nothing(page, "None yet. Point a Stripe client at this address.");
    }
    table(
        page,
        &["When", "Request", "Idempotency key", "Status", "Outcome", "Request id"],
        |page| {
            for request in requests.iter().rev() {
                *page += "<tr>";
                cell(page, &time(request.at));
                let method = escaped(&request.method);
                let path = escaped(&request.path);
                put(page, format_args!("<td class=\"code\"><b>{method}</b> {path}</td>"));
                code(page, request.idempotency_key.as_deref());
                let status = request.status.map(|status| status.to_string());
                cell(page, status.as_deref().unwrap_or("none"));
                let class = match (&request.fault, request.outcome.as_str(), request.status) {
                    (Some(_), _, _) => "fault",
                    (None, "replayed", _) => "replay",
                    (None, "conflict" | "limited", _) => "refused",
                    (None, _, Some(400..)) => "refused",
                    _ => "good",
                };
                // The fault is the news; how the request ended despite it, a remark.
                let text = request.fault.as_deref().unwrap_or(&request.outcome);
                let note =
                    if text == request.outcome { "" } else { &*format!(" {}", request.outcome) };
                badge(page, text, class, note);
                put(page, format_args!("<td class=\"code id\">{}</td>", escaped(&request.id)));
                *page += "</tr>\n";
            }
        },
    );
}

fn customer_table(page: &mut String, customers: &[CustomerRecord], count: u64) {
    let note = match customers.len() as u64 {
        shown if shown < count => format!("{shown} of {count}, newest first"),
        _ => format!("{count}, newest first"),
    };
    heading(page, "Customers", &note);
    if customers.is_empty() {
        return nothing(page, "None yet.");
    }
    table(
        page,
        &["Created", "Customer", "E-mail", "Metadata", "Idempotency key", "Account"],
        |page| {
            for customer in customers {
                *page += if customer.deleted { "<tr class=\"spent\">" } else { "<tr>" };
                cell(page, &time(customer.created));
                let id = escaped(&customer.id);
                let deleted =
                    if customer.deleted { " <i class=\"badge refused\">deleted</i>" } else { "" };
                put(page, format_args!("<td class=\"code id\">{id}{deleted}</td>"));
                cell(page, customer.email.as_deref().unwrap_or("–"));
                let pairs = customer.metadata.iter().map(|(key, value)| format!("{key}={value}"));
                code(page, Some(&pairs.collect::<Vec<_>>().join("\n")));
                code(page, customer.idempotency_key.as_deref());
                let mode = if customer.livemode { "live" } else { "test" };
                cell(page, &format!("{} ({mode})", customer.account));
                *page += "</tr>\n";
            }
        },
    );
}

fn webhook_table(page: &mut String, world: &World) {
    let webhooks = view::webhooks(world);
    let all = |name: &str| webhooks[name].as_array().cloned().unwrap_or_default();
    let endpoints = all("endpoints");
    if endpoints.is_empty() {
        return;
    }
    let held = if webhooks["held"] == true { "held back" } else { "" };
    heading(page, "Webhooks", held);
    let deliveries = all("deliveries");
    table(page, &["Endpoint", "URL", "Events", "State", "Waiting", "Given up"], |page| {
        for endpoint in endpoints {
            let text = |name: &str| endpoint[name].as_str().unwrap_or_default().to_owned();
            let own = || deliveries.iter().filter(|d| d["endpoint"] == endpoint["id"]);
            let waiting = own().filter(|d| !d["due"].is_null()).count();
            let events = endpoint["enabled_events"].as_array().into_iter().flatten();
            let events: Vec<&str> = events.filter_map(serde_json::Value::as_str).collect();
            let enabled = endpoint["enabled"] == true;
            *page += "<tr>";
            code(page, Some(&text("id")));
            cell(page, &text("url"));
            code(page, Some(&events.join("\n")));
            let (state, class) =
                if enabled { ("enabled", "good") } else { ("disabled", "refused") };
            badge(page, state, class, "");
            number(page, waiting as u64);
            number(page, (own().count() - waiting) as u64);
            *page += "</tr>\n";
        }
    });
}

fn heading(page: &mut String, title: &str, note: &str) {
    put(page, format_args!("<h2>{title} <small>{}</small></h2>\n", escaped(note)));
}

fn nothing(page: &mut String, text: &str) {
    put(page, format_args!("<p class=\"nothing\">{text}</p>\n"));
}

fn table(page: &mut String, names: &[&str], rows: impl FnOnce(&mut String)) {
    *page += "<div class=\"table\"><table>\n<thead><tr>";
    for name in names {
        put(page, format_args!("<th>{name}</th>"));
    }
    *page += "</tr></thead>\n<tbody>\n";
    rows(page);
    *page += "</tbody>\n</table></div>\n";
}

fn cell(page: &mut String, text: &str) {
    put(page, format_args!("<td>{}</td>", escaped(text)));
}

fn number(page: &mut String, number: u64) {
    put(page, format_args!("<td class=\"number\">{number}</td>"));
}

fn code(page: &mut String, text: Option<&str>) {
    let text = text.filter(|text| !text.is_empty()).map_or("–".to_owned(), escaped);
    put(page, format_args!("<td class=\"code\">{text}</td>"));
}

fn badge(page: &mut String, text: &str, class: &str, note: &str) {
    let (text, note) = (escaped(text), escaped(note));
    put(page, format_args!("<td><i class=\"badge {class}\">{text}</i>{note}</td>"));
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes everything");
}

/// What comes from outside, fit to stand in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            _ => safe.push(letter),
        }
    }
    safe
}

fn later(ahead: i64) -> String {
    match ahead {
        0 => String::new(),
        _ => {
            let (days, hours) = (ahead / 86_400, ahead % 86_400 / 3600);
            let (minutes, seconds) = (ahead % 3600 / 60, ahead % 60);
            format!(", {days} d {hours:02}:{minutes:02}:{seconds:02} ahead of real time")
        }
    }
}

/// A time in UTC, such as `2026-11-24 21:45:20`.
fn time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second % 3600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_as_date_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(super::time(seconds), text);
        }
    }
}
