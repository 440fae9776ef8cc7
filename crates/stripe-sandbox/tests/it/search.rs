//! Search: its language, its pages, and how far it is behind.

use std::time::Duration;

use stripe_sandbox::{Lag, Sandbox};

use crate::client::{Answer, create, delete, get};

async fn search(sandbox: &Sandbox, query: &str) -> Answer {
    get(sandbox, "/v1/customers/search").query(&[("query", query)]).send().await
}

#[tokio::test]
async fn a_query_finds_what_it_says() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ids = Vec::new();
    for (email, name, tenant) in [
        ("anna@example.com", "Anna", "t1"),
        ("bob@example.com", "it's \\ \"Bob\" AND co", "t2"),
        ("bob@example.com", "Bob", "it's\\t3"),
        ("bob@example.com", "Bob", "t2"),
    ] {
        let fields = [("email", email), ("name", name), ("metadata[tenantId]", tenant)];
        ids.push(create(&sandbox, &fields).send().await.id());
    }
    // A query, and which of the four it finds, newest first.
    let cases = [
        ("metadata['tenantId']:'t1'", vec![0]),
        ("metadata[\"tenantId\"]:\"t1\"", vec![0]),
        ("metadata['tenantId']:'t2'", vec![3, 1]),
        ("metadata['tenantId']:'T2'", vec![3, 1]),
        ("metadata['tenantid']:'t2'", vec![]),
        ("metadata['tenantId']:'t'", vec![]),
        (r"metadata['tenantId']:'it\'s\\t3'", vec![2]),
        ("email:'bob@example.com'", vec![3, 2, 1]),
        ("email:'BOB@example.com'", vec![3, 2, 1]),
        ("email:'bob@example.com' AND name:'Bob'", vec![3, 2]),
        ("  email:'bob@example.com' and metadata['tenantId']:'t2' name:'bob'  ", vec![3]),
        (r#"name:'it\'s \\ "Bob" AND co'"#, vec![1]),
        (r#"name:"it's \\ \"Bob\" AND co""#, vec![1]),
        ("email:'bob@example.com' AND name:'Anna'", vec![]),
    ];
    for (query, expected) in cases {
        let expected: Vec<&String> = expected.into_iter().map(|at: usize| &ids[at]).collect();
        assert_eq!(
            search(&sandbox, query).await.ids().iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn clauses_can_be_negated_partial_numeric_and_alternative() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ids = Vec::new();
    for fields in [
        vec![("email", "anna@example.com"), ("name", "Anna Smith"), ("metadata[tenantId]", "t1")],
        vec![("email", "bob@example.org"), ("name", "Bob Smith"), ("phone", "+49 30 1")],
        vec![("name", "anna"), ("metadata[tenantId]", "t2")],
        vec![],
    ] {
        ids.push(create(&sandbox, &fields).send().await.id());
        sandbox.advance(Duration::from_secs(100));
    }
    let third = sandbox.customers()[2].created;
    // A query, and which of the four it finds, newest first.
    let cases = [
        ("name~'SMITH'".to_owned(), vec![1, 0]),
        ("email~\"example\" AND name~'ann'".to_owned(), vec![0]),
        ("-name~'smith'".to_owned(), vec![3, 2]),
        ("-email:'anna@example.com'".to_owned(), vec![3, 2, 1]),
        ("-metadata['tenantId']:'t1' AND -metadata['tenantId']:null".to_owned(), vec![2]),
        ("phone:null".to_owned(), vec![3, 2, 0]),
        ("-phone:null".to_owned(), vec![1]),
        ("metadata['tenantId']:'t1' OR phone:'+49 30 1'".to_owned(), vec![1, 0]),
        ("name:'anna' or name:'Anna Smith' OR -email~'exa'".to_owned(), vec![3, 2, 0]),
        (format!("created:{third}"), vec![2]),
        (format!("created>{third}"), vec![3]),
        (format!("created>='{third}'"), vec![3, 2]),
        (format!("created<{third} name~'bob'"), vec![1]),
        (format!("-created<={third}"), vec![3]),
        (format!("created>{} AND created<{}", third - 101, third + 1), vec![2, 1]),
    ];
    for (query, expected) in cases {
        let expected: Vec<&String> = expected.into_iter().map(|at: usize| &ids[at]).collect();
        let found = search(&sandbox, &query).await.ids();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let many = ["name:'x'"; 11].join(" AND ");
    assert_eq!(search(&sandbox, &many).await.status, 400, "eleven clauses");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    for query in [
        "",
        "  ",
        "email",
        "email:",
        "email:bob",
        "email:'bob",
        "email:'bob'x",
        "email~'bo'",
        "metadata['k']~'value'",
        r"email:'bob\'",
        r"email:'b\ob'",
        "metadata:'t1'",
        "metadata['k':'v'",
        "metadata[k]:'v'",
        "--email:'bob'",
        "- email:'bob'",
        "email>'bob'",
        "created:soon",
        "created~5",
        "created",
        "email:'a' AND",
        "AND email:'a'",
        "email:'a' AND AND name:'b'",
        "email:'a' OR",
        "email:'a' OR name:'b' AND phone:'c'",
        "email:'a' name:'b' OR phone:'c'",
        "colour:'red'",
    ] {
        let answer = search(&sandbox, query).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, error["param"].as_str()), (400, Some("query")), "{query}");
    }
    let none = get(&sandbox, "/v1/customers/search").send().await.json();
    assert_eq!(none["error"]["code"], "parameter_missing");
}

#[tokio::test]
async fn results_come_in_pages() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(create(&sandbox, &[("name", "Bob")]).send().await.id());
    }
    ids.reverse();
    let mut walked = Vec::new();
    let mut page: Option<String> = None;
    loop {
        let mut query = vec![("query", "name:'Bob'"), ("limit", "3")];
        query.extend(page.as_deref().map(|page| ("page", page)));
        let answer = get(&sandbox, "/v1/customers/search").query(&query).send().await;
        walked.push(answer.ids());
        let answer = answer.json();
        assert_eq!(answer["object"], "search_result");
        assert_eq!(answer["url"], "/v1/customers/search");
        page = answer["next_page"].as_str().map(str::to_owned);
        assert_eq!(answer["has_more"], page.is_some());
        if page.is_none() {
            break;
        }
    }
    assert_eq!(walked, [ids[0..3].to_vec(), ids[3..6].to_vec(), ids[6..].to_vec()]);
    let bad = [("query", "name:'Bob'"), ("page", "3")];
    assert_eq!(get(&sandbox, "/v1/customers/search").query(&bad).send().await.status, 400);
}

#[tokio::test]
async fn search_sees_the_past() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.set_lag(Lag { search_seconds: 60, events_seconds: 0 });
    let lag = || sandbox.advance(Duration::from_secs(60));
    let id = create(&sandbox, &[("email", "old@example.com")]).send().await.id();
    let found = async |email: &str| {
        search(&sandbox, &format!("email:'{email}'")).await.json()["data"].clone()
    };

    assert_eq!(found("old@example.com").await, serde_json::json!([]));
    assert_eq!(get(&sandbox, "/v1/customers").send().await.ids(), std::slice::from_ref(&id));
    lag();
    assert_eq!(found("old@example.com").await[0]["id"], id.as_str());

    assert!(sandbox.edit_email(&id, "new@example.com"));
    assert_eq!(found("old@example.com").await[0]["email"], "old@example.com");
    assert_eq!(found("new@example.com").await, serde_json::json!([]));
    lag();
    assert_eq!(found("old@example.com").await, serde_json::json!([]));
    assert_eq!(found("new@example.com").await[0]["email"], "new@example.com");

    delete(&sandbox, &format!("/v1/customers/{id}")).send().await.id();
    let ghost = &found("new@example.com").await[0];
    assert_eq!((&ghost["object"], ghost.get("deleted")), (&"customer".into(), None));
    lag();
    assert_eq!(found("new@example.com").await, serde_json::json!([]));
}
