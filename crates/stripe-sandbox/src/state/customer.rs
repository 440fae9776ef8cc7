//! A Customer as the sandbox keeps it, and as Stripe shows it.
//!
//! What was said at its creation is kept apart from every later edit, because three answers need the
//! past: the replay of a create, the snapshot inside an event, and a search that lags.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// What a caller can say about a Customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<String>,
    /// In the order given, each key once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metadata: Vec<(String, String)>,
}

impl Details {
    /// The value of a metadata key.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// [`Details`] in one allocation: at a million Customers the difference is hundreds of megabytes.
#[derive(Debug)]
pub(crate) struct Packed(Box<str>);

impl Packed {
    pub(crate) fn new(details: &Details) -> Packed {
        Packed(serde_json::to_string(details).expect("strings always encode").into())
    }

    pub(crate) fn unpack(&self) -> Details {
        serde_json::from_str(&self.0).expect("packed by `Packed::new`")
    }
}

/// Which request made something.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The `Request-Id`; none for what was done in the dashboard.
    pub(crate) request: Option<Box<str>>,
    /// The idempotency key it was sent with.
    pub(crate) key: Option<Arc<str>>,
}

/// One Customer, live or deleted.
#[derive(Debug)]
pub(crate) struct Customer {
    pub(crate) id: Box<str>,
    pub(crate) created_ms: i64,
    pub(crate) deleted_ms: Option<i64>,
    pub(crate) born: Packed,
    /// Later versions and when they were made, oldest first.
    pub(crate) edits: Vec<(i64, Packed)>,
    pub(crate) origin: Origin,
}

impl Customer {
    /// As it is now, or was when it was deleted.
    pub(crate) fn current(&self) -> Details {
        self.edits.last().map_or(&self.born, |(_, edit)| edit).unpack()
    }

    /// As it was after `edits` edits; 0 is as it was created.
    pub(crate) fn version(&self, edits: usize) -> Details {
        match edits.checked_sub(1).and_then(|last| self.edits.get(last)) {
            Some((_, edit)) => edit.unpack(),
            None => self.born.unpack(),
        }
    }

    /// As something that is behind until `horizon_ms` sees it: not yet, live, or gone (`None`).
    pub(crate) fn seen_at(&self, horizon_ms: i64) -> Option<Details> {
        let gone = self.deleted_ms.is_some_and(|at| at <= horizon_ms);
        if gone || self.created_ms > horizon_ms {
            return None;
        }
        Some(self.version(self.edits.iter().take_while(|(at, _)| *at <= horizon_ms).count()))
    }

    /// The Customer object with `details`, whether or not it was deleted since.
    pub(crate) fn object(&self, details: Details, livemode: bool) -> CustomerObject<'_> {
        CustomerObject {
            id: &self.id,
            object: "customer",
            address: (),
            balance: 0,
            created: self.created_ms.div_euclid(1000),
            currency: (),
            default_source: (),
            delinquent: false,
            description: details.description,
            discount: (),
            email: details.email,
            invoice_prefix: self.invoice_prefix(),
            invoice_settings: InvoiceSettings::default(),
            livemode,
            metadata: details.metadata,
            name: details.name,
            next_invoice_sequence: 1,
            phone: details.phone,
            preferred_locales: [],
            shipping: (),
            tax_exempt: "none",
            test_clock: (),
        }
    }

    /// What retrieving or deleting a deleted Customer answers.
    pub(crate) fn stub(&self) -> DeletedObject {
        DeletedObject { id: self.id.to_string(), object: "customer", deleted: true }
    }

    fn invoice_prefix(&self) -> String {
        let start = crate::ids::hash(self.id.as_bytes());
        crate::ids::letters(start).take(8).map(|letter| letter.to_ascii_uppercase()).collect()
    }
}

/// A field that is always `null`, since nothing here can set it.
type Null = ();

/// A Customer as Stripe shows it, field by field in Stripe's order.
#[derive(Debug, Serialize)]
pub(crate) struct CustomerObject<'a> {
    id: &'a str,
    object: &'static str,
    address: Null,
    balance: i64,
    created: i64,
    currency: Null,
    default_source: Null,
    delinquent: bool,
    description: Option<String>,
    discount: Null,
    email: Option<String>,
    invoice_prefix: String,
    invoice_settings: InvoiceSettings,
    livemode: bool,
    #[serde(serialize_with = "as_map")]
    metadata: Vec<(String, String)>,
    name: Option<String>,
    next_invoice_sequence: i64,
    phone: Option<String>,
    preferred_locales: [Null; 0],
    shipping: Null,
    tax_exempt: &'static str,
    test_clock: Null,
}

#[derive(Debug, Default, Serialize)]
struct InvoiceSettings {
    custom_fields: Null,
    default_payment_method: Null,
    footer: Null,
    rendering_options: Null,
}

/// What is left of a deleted Customer.
#[derive(Debug, Serialize)]
pub(crate) struct DeletedObject {
    id: String,
    object: &'static str,
    deleted: bool,
}

fn as_map<S: Serializer>(pairs: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}
