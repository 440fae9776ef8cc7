//! The status page: one document that is made on the server, loads nothing and runs nothing.

use jiff::{Timestamp, tz::TimeZone};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::view;
use crate::arsenal::{Armed, Arsenal};
use crate::report::{CustomerRecord, RequestRecord};
use crate::world::World;

/// The number of Customers of each account, and of requests, that are shown.
const SHOWN: usize = 100;

const STYLE: &str = include_str!("page.css");

/// Makes the page for a caller who reaches the sandbox under the name `host`.
pub(super) fn render(world: &World, host: &str) -> String {
    let mut customers = world.customers(SHOWN as u32);
    customers.reverse();
    customers.sort_by_key(|customer| std::cmp::Reverse(customer.created));
    let count = world.state().books.values().map(|book| u64::from(book.customers.len())).sum();
    let requests = world.log().last(SHOWN);
    let clock = view::clock(world);
    let ahead = clock["ahead_seconds"].as_i64().unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "stripe-sandbox" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "stripe-sandbox" }
                    p { "http://" (host) }
                    p {
                        "Sandbox time " b { (time(clock["now"].as_i64().unwrap_or_default())) }
                        @if ahead != 0 { ", " (span(ahead)) " ahead of real time" }
                    }
                }
                main {
                    (figures(world, count))
                    (faults(&world.arsenal()))
                    (request_table(&requests))
                    (customer_table(&customers, count))
                }
                footer {
                    p {
                        "The controls are described in "
                        a href="/_sandbox/openapi.json" { "openapi.json" }
                        ". Reload this page to see what is new."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn figures(world: &World, customers: u64) -> Markup {
    let counters = world.counters();
    let lag = world.lag();
    let figures = [
        (customers, "Customers"),
        (counters.requests, "requests"),
        (counters.replays, "replays"),
        (counters.conflicts, "conflicts"),
        (counters.faults.values().sum(), "faults struck"),
        (counters.webhooks_delivered, "webhooks delivered"),
        (lag.search_seconds, "seconds of search lag"),
        (lag.events_seconds, "seconds of event lag"),
    ];
    html! {
        section class="figures" {
            @for (figure, of) in figures {
                div { b { (figure) } span { (of) } }
            }
        }
    }
}

fn faults(arsenal: &Arsenal) -> Markup {
    let names = ["Fault", "Which requests", "How often", "Matched", "Struck"];
    html! {
        (heading("Faults armed", ""))
        @if arsenal.rules.is_empty() && arsenal.chaos().is_none() {
            (nothing("None. Every request is answered as it should be."))
        }
        @if let Some(chaos) = arsenal.chaos() {
            p class="chaos" {
                "By chance, seed " (chaos.seed) ", on " (chaos.methods.join(", ")) ": "
                @for (at, (kind, probability)) in chaos.probabilities.iter().enumerate() {
                    @if at > 0 { ", " }
                    (kind.name()) " " (probability)
                }
            }
        }
        @if !arsenal.rules.is_empty() {
            (table(&names, arsenal.rules.iter().rev().map(rule)))
        }
    }
}

fn rule(armed: &Armed) -> Markup {
    let fault = serde_json::to_value(&armed.rule.fault).unwrap_or_default();
    let particulars = fault.as_object().into_iter().flatten().filter(|(name, _)| *name != "kind");
    html! {
        tr class=[armed.is_spent().then_some("spent")] {
            td {
                (badge(armed.rule.fault.kind().name(), "fault"))
                @for (name, value) in particulars { " " (name) " " (value) }
            }
            td { (armed.rule.selection()) }
            td { (armed.rule.frequency()) }
            td class="number" { (armed.matched) }
            td class="number" { (armed.struck) }
        }
    }
}

fn request_table(requests: &[RequestRecord]) -> Markup {
    let names = ["When", "Request", "Idempotency key", "Status", "Outcome", "Request id"];
    html! {
        (heading("Requests", &format!("the last {}, newest first", requests.len())))
        @if requests.is_empty() {
            (nothing("None yet. Point a Stripe client at this address."))
        } @else {
            (table(&names, requests.iter().rev().map(request)))
        }
    }
}

fn request(request: &RequestRecord) -> Markup {
    let class = match (&request.fault, request.outcome.as_str(), request.status) {
        (Some(_), _, _) => "fault",
        (None, "replayed", _) => "replay",
        (None, "conflict" | "limited", _) => "refused",
        (None, _, Some(400..)) => "refused",
        _ => "good",
    };
    // The badge names the fault. How the request ended despite the fault stands beside it.
    let text = request.fault.as_deref().unwrap_or(&request.outcome);
    html! {
        tr {
            td { (time(request.at)) }
            td class="code" { b { (request.method) } " " (request.path) }
            (code(request.idempotency_key.as_deref()))
            td {
                @if let Some(status) = request.status { (status) } @else { "none" }
            }
            td {
                (badge(text, class))
                @if text != request.outcome { " " (request.outcome) }
            }
            td class="code id" { (request.id) }
        }
    }
}

fn customer_table(customers: &[CustomerRecord], count: u64) -> Markup {
    let names = ["Created", "Customer", "E-mail", "Metadata", "Idempotency key", "Account"];
    let note = match customers.len() as u64 {
        shown if shown < count => format!("{shown} of {count}, newest first"),
        _ => format!("{count}, newest first"),
    };
    html! {
        (heading("Customers", &note))
        @if customers.is_empty() {
            (nothing("None yet."))
        } @else {
            (table(&names, customers.iter().map(customer)))
        }
    }
}

fn customer(customer: &CustomerRecord) -> Markup {
    let pairs = customer.metadata.iter().map(|(key, value)| format!("{key}={value}"));
    let pairs = pairs.collect::<Vec<_>>().join("\n");
    html! {
        tr class=[customer.deleted.then_some("spent")] {
            td { (time(customer.created)) }
            td class="code id" {
                (customer.id)
                @if customer.deleted { " " (badge("deleted", "refused")) }
            }
            td { (customer.email.as_deref().unwrap_or("–")) }
            (code(Some(&pairs)))
            (code(customer.idempotency_key.as_deref()))
            td { (customer.account) @if customer.livemode { " (live)" } @else { " (test)" } }
        }
    }
}

fn heading(title: &str, note: &str) -> Markup {
    html! { h2 { (title) " " small { (note) } } }
}

fn nothing(text: &str) -> Markup {
    html! { p class="nothing" { (text) } }
}

fn table(names: &[&str], rows: impl Iterator<Item = Markup>) -> Markup {
    html! {
        div class="table" {
            table {
                thead { tr { @for name in names { th { (name) } } } }
                tbody { @for row in rows { (row) } }
            }
        }
    }
}

fn code(text: Option<&str>) -> Markup {
    html! { td class="code" { (text.filter(|text| !text.is_empty()).unwrap_or("–")) } }
}

fn badge(text: &str, class: &str) -> Markup {
    html! { i class={ "badge " (class) } { (text) } }
}

/// A span of seconds, such as `1 d 01:01:01`.
fn span(seconds: i64) -> String {
    let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3600);
    format!("{days} d {hours:02}:{:02}:{:02}", seconds % 3600 / 60, seconds % 60)
}

/// A time in UTC, such as `2026-11-24 21:45:20`. A time that no calendar has is shown in seconds.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
