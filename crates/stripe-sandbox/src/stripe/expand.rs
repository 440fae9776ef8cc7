//! `expand[]`: the fields that a request wants to see beyond the usual.

use crate::form::Form;

/// The fields that a request wants to see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expand(Vec<String>);

impl Expand {
    /// Reads `expand[]`. Fields that cannot be expanded here are ignored.
    pub(crate) fn read(form: &Form) -> Expand {
        let wanted = form.array("expand");
        let plain = |name: &str| name.strip_prefix("data.").unwrap_or(name).to_owned();
        Expand(wanted.into_iter().map(plain).collect())
    }

    /// Whether a field, or a part of it, is wanted.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.iter().any(|wanted| {
            wanted.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
