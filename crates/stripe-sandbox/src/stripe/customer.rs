//! A Customer as Stripe shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::form::Form;
use crate::ids;
use crate::state::book::Book;
use crate::state::details::Details;

/// A field that is always `null`, since nothing here can set it.
type Null = ();

/// A Customer, field by field in Stripe's order.
#[derive(Debug, Serialize)]
pub(crate) struct CustomerObject<'a> {
    id: String,
    object: &'static str,
    address: Option<Address<'a>>,
    balance: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cash_balance: Option<Value>,
    created: i64,
    currency: Null,
    customer_account: Null,
    default_source: Option<&'a str>,
    delinquent: bool,
    description: Option<&'a str>,
    discount: Null,
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    individual_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_credit_balance: Option<Value>,
    invoice_prefix: String,
    invoice_settings: InvoiceSettings<'a>,
    livemode: bool,
    metadata: BTreeMap<&'a str, &'a str>,
    name: Option<&'a str>,
    next_invoice_sequence: i64,
    phone: Option<&'a str>,
    preferred_locales: Vec<&'a str>,
    shipping: Option<Shipping<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<Value>,
    tax_exempt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_ids: Option<Value>,
    test_clock: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Address<'a> {
    city: Option<&'a str>,
    country: Option<&'a str>,
    line1: Option<&'a str>,
    line2: Option<&'a str>,
    postal_code: Option<&'a str>,
    state: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Shipping<'a> {
    address: Option<Address<'a>>,
    name: Option<&'a str>,
    phone: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct InvoiceSettings<'a> {
    custom_fields: Option<Vec<CustomField<'a>>>,
    default_payment_method: Option<&'a str>,
    footer: Option<&'a str>,
    rendering_options: Option<RenderingOptions<'a>>,
}

#[derive(Debug, Serialize)]
struct CustomField<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct RenderingOptions<'a> {
    amount_tax_display: Option<&'a str>,
    template: Option<&'a str>,
}

/// What is left of a deleted object.
#[derive(Debug, Serialize)]
pub(crate) struct DeletedObject {
    pub(crate) id: String,
    pub(crate) object: &'static str,
    pub(crate) deleted: bool,
}

/// What a request wants to see of a Customer beyond the usual.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expand(Vec<String>);

impl Expand {
    /// Reads `expand[]`. What cannot be expanded here is passed over.
    pub(crate) fn read(form: &Form) -> Expand {
        let wanted = form.array("expand");
        let plain = |name: &str| name.strip_prefix("data.").unwrap_or(name).to_owned();
        Expand(wanted.into_iter().map(plain).collect())
    }

    fn has(&self, field: &str) -> bool {
        self.0.iter().any(|wanted| {
            wanted.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// The Customer at a position with these details, whether or not it was deleted since.
pub(crate) fn object<'a>(
    book: &Book,
    at: u32,
    details: &'a Details,
    livemode: bool,
    expand: &Expand,
) -> CustomerObject<'a> {
    let id = book.customer_id(at);
    let text = |name| details.get(name);
    let created = book.customers.created_ms(at).div_euclid(1000);
    let show = |field: &str, value: &dyn Fn() -> Value| expand.has(field).then(value);
    let below = |what: &str, data: Value| {
        let url = format!("/v1/customers/{id}/{what}");
        json!({"object": "list", "data": data, "has_more": false, "url": url})
    };
    CustomerObject {
        object: "customer",
        address: address(details, "address"),
        balance: details.integer("balance").unwrap_or(0),
        business_name: text("business_name"),
        cash_balance: show("cash_balance", &|| cash_balance(details, &id, livemode)),
        created,
        currency: (),
        customer_account: (),
        default_source: text("default_source"),
        delinquent: false,
        description: text("description"),
        discount: (),
        email: text("email"),
        individual_name: text("individual_name"),
        invoice_credit_balance: show("invoice_credit_balance", &|| json!({})),
        invoice_prefix: text("invoice_prefix").map_or_else(|| prefix(&id), str::to_owned),
        invoice_settings: invoice_settings(details),
        livemode,
        metadata: details.metadata(),
        name: text("name"),
        next_invoice_sequence: details.integer("next_invoice_sequence").unwrap_or(1),
        phone: text("phone"),
        preferred_locales: details.list("preferred_locales"),
        shipping: details.has("shipping").then(|| Shipping {
            address: address(details, "shipping[address]"),
            name: text("shipping[name]"),
            phone: text("shipping[phone]"),
        }),
        sources: show("sources", &|| below("sources", json!([]))),
        subscriptions: show("subscriptions", &|| below("subscriptions", json!([]))),
        tax: show("tax", &|| tax(details)),
        tax_exempt: text("tax_exempt").unwrap_or("none"),
        tax_ids: show("tax_ids", &|| below("tax_ids", tax_ids(details, &id, created, livemode))),
        test_clock: text("test_clock"),
        id,
    }
}

fn address<'a>(details: &'a Details, name: &str) -> Option<Address<'a>> {
    let part = |field: &str| details.get(&format!("{name}[{field}]"));
    details.has(name).then(|| Address {
        city: part("city"),
        country: part("country"),
        line1: part("line1"),
        line2: part("line2"),
        postal_code: part("postal_code"),
        state: part("state"),
    })
}

fn invoice_settings(details: &Details) -> InvoiceSettings<'_> {
    let text = |name: &str| details.get(&format!("invoice_settings[{name}]"));
    let fields = details.objects("invoice_settings[custom_fields]", ["name", "value"]);
    let options = "invoice_settings[rendering_options]";
    InvoiceSettings {
        custom_fields: (!fields.is_empty())
            .then(|| fields.into_iter().map(|[name, value]| CustomField { name, value }).collect()),
        default_payment_method: text("default_payment_method"),
        footer: text("footer"),
        rendering_options: details.has(options).then(|| RenderingOptions {
            amount_tax_display: text("rendering_options][amount_tax_display"),
            template: text("rendering_options][template"),
        }),
    }
}

fn cash_balance(details: &Details, customer: &str, livemode: bool) -> Value {
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

/// Where the customer is taxed, as far as its billing address tells.
fn tax(details: &Details) -> Value {
    let country = details.get("address[country]");
    let location = country.map(|country| {
        json!({
            "country": country,
            "source": "billing_address",
            "state": details.get("address[state]"),
        })
    });
    json!({
        "automatic_tax": if country.is_some() { "supported" } else { "unrecognized_location" },
        "ip_address": details.get("tax[ip_address]"),
        "location": location,
        "provider": "stripe",
    })
}

fn tax_ids(details: &Details, customer: &str, created: i64, livemode: bool) -> Value {
    let ids = details.objects("tax_id_data", ["type", "value"]);
    let objects = ids.into_iter().enumerate().map(|(at, [kind, value])| {
        let start = ids::hash(format!("txi {customer} {at}").as_bytes());
        let id: String = "txi_".chars().chain(ids::letters(start).take(24)).collect();
        // That of an EU's id is in the id itself, which may hold any characters.
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
    objects.collect()
}

fn prefix(id: &str) -> String {
    let start = ids::hash(id.as_bytes());
    ids::letters(start).take(8).map(|letter| letter.to_ascii_uppercase()).collect()
}
