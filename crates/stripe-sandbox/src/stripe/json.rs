//! JSON in the layout in which Stripe prints it.

/// Prints a value with line breaks, and with one at its end.
pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    let mut text =
        serde_json::to_string_pretty(value).expect("strings, numbers and maps of strings");
    text.push('\n');
    text
}
