//! A Customer as Stripe shows it.

use serde_json::{Value, json};

use super::expand::Expand;
use super::object::Object;
use crate::form::Form;
use crate::ids;
use crate::state::book::Book;
use crate::state::customers::Version;

/// The parts of an address.
const ADDRESS: [&str; 6] = ["city", "country", "line1", "line2", "postal_code", "state"];

/// A version of a Customer, whether or not the Customer was deleted since.
pub(crate) fn object(book: &Book, version: &Version, livemode: bool, expand: &Expand) -> Object {
    let Version { position, created_ms, details } = version;
    let id = book.customer_id(*position);
    let text = |name| details.get(name);
    let created = created_ms.div_euclid(1000);
    let shipping = details.has("shipping").then(|| {
        json!({
            "address": group(details, "shipping[address]", &ADDRESS),
            "name": text("shipping[name]"),
            "phone": text("shipping[phone]"),
        })
    });
    let fields = json!({
        "address": group(details, "address", &ADDRESS),
        "balance": details.integer("balance").unwrap_or(0),
        "created": created,
        "currency": null,
        "customer_account": null,
        "default_source": text("default_source"),
        "delinquent": false,
        "description": text("description"),
        "discount": null,
        "email": text("email"),
        "invoice_prefix": text("invoice_prefix").map_or_else(|| prefix(&id), str::to_owned),
        "invoice_settings": invoice_settings(details),
        "livemode": livemode,
        "metadata": details.metadata(),
        "name": text("name"),
        "next_invoice_sequence": details.integer("next_invoice_sequence").unwrap_or(1),
        "phone": text("phone"),
        "preferred_locales": details.list("preferred_locales"),
        "shipping": shipping,
        "tax_exempt": text("tax_exempt").unwrap_or("none"),
        "test_clock": text("test_clock"),
    });
    let shown = EXPANDABLE.iter().filter(|(name, _)| expand.has(name));
    let shown = shown.map(|(name, show)| (*name, show(details, &id, created, livemode)));
    let shown: Vec<_> = shown.collect();
    let object = Object::new("customer", id, fields)
        .with("business_name", text("business_name"))
        .with("individual_name", text("individual_name"));
    shown.into_iter().fold(object, |object, (name, value)| object.with(name, Some(value)))
}

/// Makes the value of an expandable field from the details, the id, the time of creation and the
/// mode.
type Show = fn(&Form, &str, i64, bool) -> Value;

/// The fields that are only shown to a request that expands them.
const EXPANDABLE: [(&str, Show); 6] = [
    ("cash_balance", cash_balance),
    ("invoice_credit_balance", |_, _, _, _| json!({})),
    ("sources", |_, id, _, _| below(id, "sources", json!([]))),
    ("subscriptions", |_, id, _, _| below(id, "subscriptions", json!([]))),
    ("tax", tax),
    ("tax_ids", tax_ids),
];

/// A list below a Customer.
fn below(id: &str, what: &str, data: Value) -> Value {
    let url = format!("/v1/customers/{id}/{what}");
    json!({"object": "list", "data": data, "has_more": false, "url": url})
}

/// The named parts of a group of parameters, such as an address. `null` if none of them is set.
fn group(details: &Form, name: &str, parts: &[&str]) -> Value {
    let part = |part: &&str| ((*part).to_owned(), details.get(&format!("{name}[{part}]")).into());
    if details.has(name) { Value::Object(parts.iter().map(part).collect()) } else { Value::Null }
}

fn invoice_settings(details: &Form) -> Value {
    let text = |name: &str| details.get(&format!("invoice_settings[{name}]"));
    let fields = details.objects("invoice_settings[custom_fields]", ["name", "value"]);
    let fields: Vec<Value> =
        fields.into_iter().map(|[name, value]| json!({"name": name, "value": value})).collect();
    let options = ["amount_tax_display", "template"];
    json!({
        "custom_fields": (!fields.is_empty()).then_some(fields),
        "default_payment_method": text("default_payment_method"),
        "footer": text("footer"),
        "rendering_options": group(details, "invoice_settings[rendering_options]", &options),
    })
}

fn cash_balance(details: &Form, customer: &str, _: i64, livemode: bool) -> Value {
    let mode = details.get("cash_balance[settings][reconciliation_mode]");
    let own = mode.filter(|mode| *mode != "merchant_default");
    json!({
        "object": "cash_balance",
        "available": null,
        "customer": customer,
        "customer_account": null,
        "livemode": livemode,
        "settings": {
            "reconciliation_mode": own.unwrap_or("automatic"),
            "using_merchant_default": own.is_none(),
        },
    })
}

/// The place where a Customer is taxed, as far as its billing address tells.
fn tax(details: &Form, _: &str, _: i64, _: bool) -> Value {
    let country = details.get("address[country]");
    let state = details.get("address[state]");
    let location = country
        .map(|country| json!({"country": country, "source": "billing_address", "state": state}));
    json!({
        "automatic_tax": if country.is_some() { "supported" } else { "unrecognized_location" },
        "ip_address": details.get("tax[ip_address]"),
        "location": location,
        "provider": "stripe",
    })
}

fn tax_ids(details: &Form, customer: &str, created: i64, livemode: bool) -> Value {
    let ids = details.objects("tax_id_data", ["type", "value"]);
    let objects = ids.into_iter().enumerate().map(|(at, [kind, value])| {
        let start = ids::hash(format!("txi {customer} {at}").as_bytes());
        let id: String = "txi_".chars().chain(ids::letters(start).take(24)).collect();
        // The country of an EU's id is in the id itself, which may hold any characters.
        let country = match kind.split('_').next().unwrap_or_default().to_uppercase() {
            eu if eu == "EU" => value.chars().take(2).collect(),
            country => country,
        };
        json!({
            "id": id,
            "object": "tax_id",
            "country": country,
            "created": created,
            "customer": customer,
            "customer_account": null,
            "livemode": livemode,
            "owner": {"type": "customer", "customer": customer},
            "type": kind,
            "value": value,
            "verification": {"status": "pending", "verified_address": null, "verified_name": null},
        })
    });
    below(customer, "tax_ids", objects.collect())
}

/// The invoice prefix of a Customer that was not given any.
fn prefix(id: &str) -> String {
    let start = ids::hash(id.as_bytes());
    ids::letters(start).take(8).map(|letter| letter.to_ascii_uppercase()).collect()
}
