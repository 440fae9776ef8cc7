//! The details of a Customer or endpoint: the sum of the forms that were sent for it.
//!
//! A create and every later update are kept as they were sent, and applied one after the other when
//! somebody asks. An empty value unsets a field, a list replaces the list before it, and everything
//! else is merged, field by field and metadata key by metadata key.

use std::collections::BTreeMap;

use crate::form::{Form, inside};

/// The lists, which are replaced as a whole.
const LISTS: [&str; 4] =
    ["preferred_locales", "tax_id_data", "invoice_settings[custom_fields]", "enabled_events"];

/// The parameters that concern the request alone, and are not kept.
const PASSING: [&str; 4] = ["expand", "validate", "payment_method", "tax[validate_location]"];

impl Form {
    pub(crate) fn apply(&mut self, form: &Form) {
        for list in LISTS.iter().filter(|list| form.get(list).is_some() || form.has(list)) {
            self.unset(list);
        }
        for (name, value) in form.iter().filter(|(name, _)| !is_passing(name)) {
            // In a form's order a whole comes before its parts: `metadata` before `metadata[k]`.
            if value.is_empty() {
                self.unset(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(source) = self.0.remove("source") {
            self.0.insert("default_source".to_owned(), source);
        }
    }

    fn unset(&mut self, name: &str) {
        let parts: Vec<String> =
            self.below(name).map(|(rest, _)| format!("{name}{rest}")).collect();
        for part in parts {
            self.0.remove(&part);
        }
        self.0.remove(name);
    }

    /// A value, if it is a whole number.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// The values of a list of plain values.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        (0..).map_while(|at| self.get(&format!("{name}[{at}]"))).collect()
    }

    /// The values of a list of objects, field by field.
    pub(crate) fn objects<const N: usize>(&self, name: &str, fields: [&str; N]) -> Vec<[&str; N]> {
        let object = |at: usize| {
            let values = fields.map(|field| self.get(&format!("{name}[{at}][{field}]")));
            values.iter().any(Option::is_some).then(|| values.map(Option::unwrap_or_default))
        };
        (0..).map_while(object).collect()
    }

    pub(crate) fn metadata(&self) -> BTreeMap<&str, &str> {
        let entries = self.below("metadata");
        entries.filter_map(|(rest, value)| Some((inside(rest)?, value))).collect()
    }
}

fn is_passing(name: &str) -> bool {
    PASSING.iter().any(|passing| {
        name.strip_prefix(passing).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
    })
}
