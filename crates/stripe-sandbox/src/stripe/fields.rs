//! The parameters that Stripe documents for a Customer, and the values that each may have.
//!
//! The sandbox is as strict as Stripe and not stricter. A value that Stripe was seen to refuse is
//! refused in Stripe's words. The id of an object that the sandbox does not have, such as a payment
//! method or a test clock, only has to look like one.

use super::error::ApiError;
use crate::form::{Form, inside};

/// The values that a parameter may have.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    Email,
    Integer,
    Flag,
    OneOf(&'static [&'static str]),
    /// The id of an object, with the object's name and the prefixes of its ids.
    Id(&'static str, &'static [&'static str]),
    InvoicePrefix,
    /// Two letters.
    Country,
    /// An object or a list, which an empty value unsets.
    Whole,
}

/// The only kind of request that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Create,
    Update,
}

use Kind::{Country, Email, Flag, Id, Integer, InvoicePrefix, OneOf, Text, Whole};

const BOTH: Option<When> = None;
const CREATE: Option<When> = Some(When::Create);
const UPDATE: Option<When> = Some(When::Update);

const RECONCILIATION: &[&str] = &["automatic", "manual", "merchant_default"];
const TAX_DISPLAY: &[&str] = &["exclude_tax", "include_inclusive_tax"];
const LOCATION: &[&str] = &["auto", "deferred", "immediately"];
const EXEMPT: &[&str] = &["exempt", "none", "reverse"];
const SOURCES: &[&str] = &["tok_", "src_", "card_", "ba_", "btok_", "pm_"];

/// The parameters. `#` stands for a place in a list.
const FIELDS: [(&str, Kind, Option<When>); 40] = [
    ("address", Whole, BOTH),
    ("address[city]", Text(5000), BOTH),
    ("address[country]", Country, BOTH),
    ("address[line1]", Text(5000), BOTH),
    ("address[line2]", Text(5000), BOTH),
    ("address[postal_code]", Text(5000), BOTH),
    ("address[state]", Text(5000), BOTH),
    ("balance", Integer, BOTH),
    ("business_name", Text(150), BOTH),
    ("cash_balance[settings][reconciliation_mode]", OneOf(RECONCILIATION), BOTH),
    ("default_source", Id("source", SOURCES), UPDATE),
    ("description", Text(5000), BOTH),
    ("email", Email, BOTH),
    ("individual_name", Text(150), BOTH),
    ("invoice_prefix", InvoicePrefix, BOTH),
    ("invoice_settings[custom_fields]", Whole, BOTH),
    ("invoice_settings[custom_fields][#][name]", Text(40), BOTH),
    ("invoice_settings[custom_fields][#][value]", Text(140), BOTH),
    (
        "invoice_settings[default_payment_method]",
        Id("PaymentMethod", &["pm_", "card_", "src_"]),
        BOTH,
    ),
    ("invoice_settings[footer]", Text(5000), BOTH),
    ("invoice_settings[rendering_options]", Whole, BOTH),
    ("invoice_settings[rendering_options][amount_tax_display]", OneOf(TAX_DISPLAY), BOTH),
    (
        "invoice_settings[rendering_options][template]",
        Id("invoice rendering template", &["inrtem_"]),
        BOTH,
    ),
    ("name", Text(256), BOTH),
    ("next_invoice_sequence", Integer, BOTH),
    ("payment_method", Id("PaymentMethod", &["pm_", "card_", "src_"]), CREATE),
    ("phone", Text(20), BOTH),
    ("preferred_locales", Whole, BOTH),
    ("preferred_locales[#]", Text(5000), BOTH),
    ("shipping", Whole, BOTH),
    ("shipping[name]", Text(5000), BOTH),
    ("shipping[phone]", Text(20), BOTH),
    ("source", Id("token", SOURCES), BOTH),
    ("tax[ip_address]", Text(5000), BOTH),
    ("tax[validate_location]", OneOf(LOCATION), BOTH),
    ("tax_exempt", OneOf(EXEMPT), BOTH),
    ("tax_id_data[#][type]", Text(64), CREATE),
    ("tax_id_data[#][value]", Text(5000), CREATE),
    ("test_clock", Id("test clock", &["clock_"]), CREATE),
    ("validate", Flag, BOTH),
];

/// Groups of parameters of which none can be given without the others.
const TOGETHER: [(&str, &[&str]); 3] = [
    ("shipping", &["[name]", "[address]"]),
    ("tax_id_data", &["[type]", "[value]"]),
    ("invoice_settings[custom_fields]", &["[name]", "[value]"]),
];

/// Checks the form of a create or an update.
pub(super) fn check(form: &Form, when: When) -> Result<(), ApiError> {
    let known = |name: &str| {
        // The address below `shipping` has the same parts as the address.
        let address = name.strip_prefix("shipping[address]").map(|part| format!("address{part}"));
        let general = general(address.as_deref().filter(|name| *name != "address").unwrap_or(name));
        FIELDS
            .into_iter()
            .find(|(field, _, only)| *field == general && only.is_none_or(|only| only == when))
    };
    let passed = |name: &str| is_metadata(name) || is_expand(name) || known(name).is_some();
    allow(form, passed)?;
    for (name, value) in form.iter() {
        if let Some(error) = known(name).and_then(|(_, kind, _)| kind.refusal(name, value)) {
            return Err(error);
        }
    }
    together(form)?;
    metadata(form)
}

pub(super) fn allow(form: &Form, known: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    let unknown: Vec<&str> =
        form.iter().map(|(name, _)| name).filter(|name| !known(name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(ApiError::unknown(&unknown)) }
}

/// Whether a parameter is `expand[…]`, which every request may have.
pub(super) fn is_expand(name: &str) -> bool {
    name.strip_prefix("expand").is_some_and(|rest| rest.is_empty() || inside(rest).is_some())
}

pub(super) fn is_metadata(name: &str) -> bool {
    name.strip_prefix("metadata").is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// A name with `#` for every place in a list.
fn general(name: &str) -> String {
    let mut parts = name.split('[');
    let mut general = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.strip_suffix(']').is_some_and(|place| place.parse::<u32>().is_ok());
        general.push('[');
        general.push_str(if number { "#]" } else { part });
    }
    general
}

impl Kind {
    /// The error for a value that the parameter may not have. An empty value unsets a parameter,
    /// and only a number cannot be unset.
    fn refusal(self, name: &str, value: &str) -> Option<ApiError> {
        let good = match self {
            Integer => value.parse::<i64>().is_ok(),
            _ if value.is_empty() => true,
            Text(longest) => value.chars().count() <= longest,
            Email => is_email(value),
            Flag => ["true", "false"].contains(&value),
            OneOf(values) => values.contains(&value),
            Id(_, prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix)),
            InvoicePrefix => {
                (3..=12).contains(&value.len())
                    && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            }
            Country => value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic()),
            Whole => false,
        };
        let message = match self {
            _ if good => return None,
            Integer => return Some(ApiError::integer(name, format!("Invalid integer: {value}"))),
            Email => return Some(ApiError::email(value)),
            Id(what, _) => return Some(ApiError::no_such(what, value, name)),
            Text(longest) => {
                format!("Invalid string: {}; must be at most {longest} characters", short(value))
            }
            Flag => format!("Invalid boolean: {value}"),
            OneOf(values) => format!("Invalid {name}: must be one of {}", values.join(", ")),
            InvoicePrefix => {
                "Invoice prefix must be 3 to 12 uppercase letters or numbers.".to_owned()
            }
            Country => format!(
                "Country '{value}' is unknown. Try using a 2-character alphanumeric country code \
                 instead, such as 'US', 'EG', or 'GB'. A full list of country codes is available at \
                 https://stripe.com/global"
            ),
            Whole => "Invalid object".to_owned(),
        };
        let error = ApiError::invalid(name, message);
        Some(if let Country = self { error.code("country_code_invalid") } else { error })
    }
}

/// Refuses a group that is not whole.
fn together(form: &Form) -> Result<(), ApiError> {
    for (outer, parts) in TOGETHER {
        let elements: Vec<String> = if outer == "shipping" {
            form.below(outer).next().map(|_| outer.to_owned()).into_iter().collect()
        } else {
            let place = |rest: &str| Some(format!("{outer}{}", rest.get(..=rest.find(']')?)?));
            form.below(outer).filter_map(|(rest, _)| place(rest)).collect()
        };
        for element in elements {
            for part in parts {
                let name = format!("{element}{part}");
                if form.get(&name).is_none() && !form.has(&name) {
                    return Err(ApiError::missing(&name));
                }
            }
        }
    }
    Ok(())
}

/// Whether an e-mail address has none of the faults that Stripe was seen to refuse.
fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else {
        return false;
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '＠';
    email.chars().count() <= 512
        && !email.contains(odd)
        && !local.is_empty()
        && !domain.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
}

/// Checks the keys and values of a form's metadata. [`most_metadata`] checks their number.
pub(super) fn metadata(form: &Form) -> Result<(), ApiError> {
    if form.get("metadata").is_some_and(|text| !text.is_empty()) {
        return Err(ApiError::invalid("metadata", "Invalid object".to_owned()));
    }
    for (rest, value) in form.below("metadata") {
        let name = &format!("metadata{rest}");
        let key = inside(rest).filter(|key| !key.is_empty() && !key.contains(['[', ']']));
        let Some(key) = key else {
            let message = "Metadata keys cannot be empty or contain square brackets.";
            return Err(ApiError::invalid(name, message.to_owned()));
        };
        let too_long = |what: &str, text: &str, most: usize| {
            let length = text.chars().count();
            let message = format!(
                "Metadata {what}s can have up to {most} characters, but you passed in a {what} that is \
                 {length} characters. Invalid {what}: {text}"
            );
            if length > most { Err(ApiError::invalid(name, message)) } else { Ok(()) }
        };
        too_long("key", key, 40)?;
        too_long("value", value, 500)?;
    }
    Ok(())
}

/// Refuses more metadata keys than Stripe keeps.
pub(super) fn most_metadata(count: usize) -> Result<(), ApiError> {
    if count <= 50 {
        return Ok(());
    }
    let message = format!("Metadata can have up to 50 keys, but you passed in {count}.");
    Err(ApiError::invalid("metadata", message))
}

/// The beginning and the end of a long text.
fn short(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= 20 {
        return text.to_owned();
    }
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}...{}", part(&letters[..10]), part(&letters[letters.len() - 10..]))
}
