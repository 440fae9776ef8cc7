//! A small reader of OpenAPI 3.0 documents, which finds where a value is not as its schema says.

use serde_json::Value;

/// A document.
pub(crate) struct Document(Value);

impl Document {
    pub(crate) fn read(text: &str) -> Document {
        Document(serde_json::from_str(text).expect("a JSON document"))
    }

    /// All paths, with their methods.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            let methods = methods.filter(|(method, _)| *method != "parameters");
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
    }

    /// The operation of a path and method.
    pub(crate) fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "the document has no {method} {path}");
        operation
    }

    /// The schema of an answer with this status.
    pub(crate) fn answer<'a>(&'a self, operation: &'a Value, status: u16) -> &'a Value {
        let responses = &operation["responses"];
        let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "no schema for {status} in {responses}");
        schema
    }

    pub(crate) fn schema(&self, name: &str) -> &Value {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "the document has no schema {name}");
        schema
    }

    /// A schema, or the schema that it refers to.
    pub(crate) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => self.schema(name.trim_start_matches("#/components/schemas/")),
            None => schema,
        }
    }

    /// Where a value is not as its schema has it; `at` names the value.
    pub(crate) fn problems(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let schema = self.resolve(schema);
        if value.is_null() {
            let allowed = schema["nullable"] == true
                || schema.as_object().is_some_and(serde_json::Map::is_empty);
            return if allowed { vec![] } else { vec![format!("{at} is null")] };
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let tried = choices.iter().map(|choice| self.problems(choice, value, at));
                // The nearest miss tells most.
                return tried.min_by_key(Vec::len).unwrap_or_default();
            }
        }
        if let Some(values) = schema["enum"].as_array()
            && !values.contains(value)
        {
            return vec![format!("{at} is {value}, and not one of {values:?}")];
        }
        match (schema["type"].as_str(), value) {
            (Some("string"), Value::String(text)) => string(schema, text, at),
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                vec![]
            }
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {
                vec![]
            }
            (Some("array"), Value::Array(items)) => {
                let items = items.iter().enumerate();
                items
                    .flat_map(|(n, item)| {
                        self.problems(&schema["items"], item, &format!("{at}[{n}]"))
                    })
                    .collect()
            }
            (Some("object"), Value::Object(_)) => self.object(schema, value, at),
            (Some(kind), _) => vec![format!("{at} is {value}, and no {kind}")],
        }
    }

    fn object(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                problems.push(format!("{at}.{name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, field) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let additional = &schema["additionalProperties"];
            match known.and_then(|known| known.get(name)) {
                Some(schema) => problems.extend(self.problems(schema, field, &at)),
                None if additional.is_object() => {
                    problems.extend(self.problems(additional, field, &at));
                }
                None if known.is_none_or(serde_json::Map::is_empty) => {}
                None => problems.push(format!("{at} is not in the document")),
            }
        }
        problems
    }
}

fn string(schema: &Value, text: &str, at: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if schema["maxLength"].as_u64().is_some_and(|most| text.chars().count() as u64 > most) {
        problems.push(format!("{at} is too long"));
    }
    // The only patterns are beginnings.
    if let Some(start) = schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix('^'))
        && !text.starts_with(start)
    {
        problems.push(format!("{at} is {text:?}, which does not begin with {start}"));
    }
    problems
}

/// A reader that sees no problem anywhere would pass every test.
#[test]
fn it_sees_what_is_wrong() {
    let document = Document::read(include_str!("recorded.openapi.json"));
    let good =
        serde_json::json!({"id": "cus_1", "object": "customer", "created": 1, "livemode": false});
    let mut cases = vec![(good.clone(), None)];
    let mut wrong = |name: &str, value: Value, problem: &'static str| {
        let mut customer = good.clone();
        customer[name] = value;
        cases.push((customer, Some(problem)));
    };
    wrong("created", "1".into(), "it.created is \"1\", and no integer");
    wrong("created", Value::Null, "it.created is null");
    wrong(
        "object",
        "event".into(),
        "it.object is \"event\", and not one of [String(\"customer\")]",
    );
    wrong("colour", "red".into(), "it.colour is not in the document");
    wrong("address", serde_json::json!({"city": 1}), "it.address.city is 1, and no string");
    wrong("metadata", serde_json::json!({"k": 1}), "it.metadata.k is 1, and no string");
    wrong(
        "preferred_locales",
        serde_json::json!([1]),
        "it.preferred_locales[0] is 1, and no string",
    );
    wrong("business_name", "x".repeat(151).into(), "it.business_name is too long");
    cases.push((
        serde_json::json!({"id": "cus_1", "object": "customer", "created": 1}),
        Some("it.livemode is missing"),
    ));
    for (customer, problem) in cases {
        let found = document.problems(document.schema("customer"), &customer, "it");
        assert_eq!(found, problem.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{customer}");
    }
}
