use parser_inputs::{LETTERS, check, letters, of_words, spoiled, text, texts};
use proptest::{collection::vec, prelude::Strategy, prelude::any, prop_oneof, sample::select};

use super::{Clause, MOST, Query, Test, parse};

const WORDS: &[&str] = &[
    "email",
    "name",
    "phone",
    "created",
    "metadata",
    "['tenantId']",
    ":",
    "~",
    ">",
    "<=",
    "'a'",
    "\"b c\"",
    "\\'",
    " ",
    " AND ",
    " or ",
    "-",
    "null",
    "1700000000",
    "it's",
];

/// A value in quotes.
fn quoted() -> impl Strategy<Value = String> {
    (prop_oneof![letters(LETTERS, 1..=12), text_with_quotes()], any::<bool>()).prop_map(
        |(value, double)| {
            let quote = if double { '"' } else { '\'' };
            format!("{quote}{}{quote}", escaped(&value))
        },
    )
}

fn text_with_quotes() -> impl Strategy<Value = String> {
    letters("ab'\"\\] ", 1..=6)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'")
}

/// A query as people write it.
fn queries() -> impl Strategy<Value = String> {
    let fields =
        ["email", "name", "phone", "metadata['tenantId']", "metadata[\"plan b\"]", "-email"];
    let textual = (select(fields.to_vec()), select(&[":", ":", "~"][..]), quoted())
        .prop_map(|(field, operator, value)| format!("{field}{operator}{value}"));
    let numeric = (select(&[":", ">", "<", ">=", "<="][..]), any::<i64>())
        .prop_map(|(operator, number)| format!("created{operator}{number}"));
    let clause = prop_oneof![4 => textual, 2 => numeric, 1 => select(&["phone:null", "-name:null"][..]).prop_map(str::to_owned)];
    let joint = select(&[" AND ", " ", " OR ", " and  "][..]);
    (vec(clause, 1..=3), joint).prop_map(|(clauses, joint)| clauses.join(joint))
}

/// The query that says the same.
fn printed(query: &Query) -> String {
    let clauses: Vec<String> = query.clauses.iter().map(Clause::print).collect();
    clauses.join(if query.any { " OR " } else { " AND " })
}

impl Clause {
    fn print(&self) -> String {
        let inner = self.field.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
        let field =
            inner.map_or(self.field.clone(), |key| format!("metadata[\"{}\"]", escaped(key)));
        let test = match &self.test {
            Test::Is(value) => format!(":\"{}\"", escaped(value)),
            Test::Contains(part) => format!("~'{}'", escaped(part)),
            Test::Null => ":null".to_owned(),
            Test::Within(from, until) if from == until => format!(":{from}"),
            Test::Within(from, i64::MAX) => format!(">={from}"),
            Test::Within(_, until) => format!("<='{until}'"),
        };
        format!("{}{field}{test}", if self.negated { "-" } else { "" })
    }
}

#[test]
fn a_query_printed_reads_as_before() {
    check("search query", texts(queries(), WORDS), |query| match parse(&query) {
        Ok(read) => {
            assert!((1..=MOST).contains(&read.clauses.len()));
            assert_eq!(parse(&printed(&read)).as_ref(), Ok(&read), "{query:?}");
            true
        }
        Err(refusal) => {
            assert_eq!(refusal.status, 400);
            false
        }
    });
}

/// Many clauses are counted, not misread.
#[test]
fn long_queries() {
    check(
        "search query, long",
        spoiled(of_words(&["name:'a' ", "-phone:null "], 1..20)),
        |query| {
            let query = text(query);
            let read = parse(&query);
            if let Ok(read) = &read {
                assert!(read.clauses.len() <= MOST);
            }
            read.is_ok()
        },
    );
}
