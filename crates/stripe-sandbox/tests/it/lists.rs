//! The list of Customers: order, pages, filters.

use std::time::Duration;

use stripe_sandbox::Sandbox;

use crate::client::{create, delete, get};

/// `count` Customers an hour apart, oldest first; every second one has the same e-mail address.
async fn populate(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let email = if number % 2 == 0 { "even@example.com" } else { "Even@example.com" };
        ids.push(create(sandbox, &[("email", email)]).send().await.id());
        sandbox.advance(Duration::from_secs(3600));
    }
    ids
}

#[tokio::test]
async fn pages_go_both_ways_and_miss_nothing() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut ids = populate(&sandbox, 24).await;
    ids.reverse();
    let even: Vec<String> = ids.iter().skip(1).step_by(2).cloned().collect();

    for (email, expected) in [(None, &ids), (Some("even@example.com"), &even)] {
        for limit in [1, 5, 12, 24, 100] {
            for (direction, cursor) in
                [("starting_after", None), ("ending_before", expected.last())]
            {
                let mut cursor: Option<String> = cursor.cloned();
                let mut walked: Vec<String> = if direction == "ending_before" {
                    cursor.iter().cloned().collect()
                } else {
                    vec![]
                };
                loop {
                    let limit = limit.to_string();
                    let mut query = vec![("limit", limit.as_str())];
                    query.extend(email.map(|email| ("email", email)));
                    query.extend(cursor.as_deref().map(|cursor| (direction, cursor)));
                    let answer = get(&sandbox, "/v1/customers").query(&query).send().await;
                    let page = answer.ids();
                    if direction == "starting_after" {
                        cursor = page.last().cloned();
                        walked.extend(page);
                    } else {
                        cursor = page.first().cloned();
                        walked.splice(0..0, page);
                    }
                    if answer.json()["has_more"] == false {
                        break;
                    }
                }
                assert_eq!(&walked, expected, "{direction} by {limit}, {email:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_reads_what_was_written() {
    let sandbox = Sandbox::start().await.unwrap();
    let ids = populate(&sandbox, 12).await;
    let list = |query: &[(&str, &str)]| get(&sandbox, "/v1/customers").query(query);

    let first = list(&[]).send().await.json();
    assert_eq!(first["data"].as_array().unwrap().len(), 10);
    assert_eq!((&first["object"], &first["url"]), (&"list".into(), &"/v1/customers".into()));
    assert_eq!(first["has_more"], true);

    // The address counts as it is now, and to the letter.
    let new = [("email", "new@example.com")];
    assert!(sandbox.edit_email(&ids[3], "new@example.com"));
    assert!(sandbox.edit_email(&ids[9], "new@example.com"));
    assert!(sandbox.edit_email(&ids[6], "new@example.com"));
    let edited = [ids[9].clone(), ids[6].clone(), ids[3].clone()];
    assert_eq!(list(&new).send().await.ids(), edited);
    assert_eq!(list(&[("email", "New@example.com")]).send().await.ids(), [""; 0]);
    assert_eq!(list(&[("email", "even@example.com")]).send().await.ids().len(), 5);
    // The list is as it was before.
    assert!(sandbox.edit_email(&ids[6], "even@example.com"));
    assert_eq!(list(&[("email", "even@example.com")]).send().await.ids().len(), 6);

    delete(&sandbox, &format!("/v1/customers/{}", ids[9])).send().await.id();
    assert_eq!(list(&new).send().await.ids(), [ids[3].clone()]);
    // A deleted one still serves as a cursor.
    let after = list(&[("starting_after", &ids[9]), ("limit", "1")]).send().await;
    assert_eq!(after.ids(), [ids[8].clone()]);
}

#[tokio::test]
async fn created_is_bounded_to_the_second() {
    let sandbox = Sandbox::start().await.unwrap();
    let ids = populate(&sandbox, 5).await;
    let third = sandbox.customers()[2].created;
    let at = |offset: i64| (third + offset).to_string();
    // Bounds, and how many of the five lie within.
    let cases = [
        (vec![("created[gte]", at(0))], 3),
        (vec![("created[gt]", at(0))], 2),
        (vec![("created[gt]", at(-1))], 3),
        (vec![("created[lte]", at(0))], 3),
        (vec![("created[lt]", at(0))], 2),
        (vec![("created[lt]", at(1))], 3),
        (vec![("created", at(0))], 1),
        (vec![("created[gte]", at(-3660)), ("created[lt]", at(60))], 2),
        (vec![("created[gt]", at(0)), ("created[lt]", at(0))], 0),
        (vec![("created[gte]", i64::MAX.to_string())], 0),
    ];
    for (bounds, count) in cases {
        for email in [None, Some("even@example.com")] {
            let mut query: Vec<_> = bounds.iter().map(|(name, at)| (*name, at.as_str())).collect();
            query.extend(email.map(|email| ("email", email)));
            let found = get(&sandbox, "/v1/customers").query(&query).send().await.ids();
            if email.is_none() {
                assert_eq!(found.len(), count, "{bounds:?}");
            } else {
                let at = |id: &String| ids.iter().position(|known| known == id).unwrap();
                assert!(
                    found.len() <= count && found.iter().all(|id| at(id) % 2 == 0),
                    "{bounds:?}"
                );
            }
        }
    }
}
