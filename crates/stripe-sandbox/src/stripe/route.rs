//! The endpoints, and the permission that a restricted key needs for each.

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Its method and path, which are its name in the counters and the limits.
    pub(crate) name: &'static str,
    /// Stripe's name for the permission that a restricted key needs.
    pub(super) permission: &'static str,
    /// The word in the text of a key that lacks the permission.
    pub(super) lacking: &'static str,
}

/// The route of everything else. No key lacks a permission for it.
pub(super) const UNKNOWN: &Route = &route("unrecognized", "", " ");

const ROUTES: [Route; 15] = [
    route("POST /v1/customers", "rak_customer_write", "nocustomerwrite"),
    route("GET /v1/customers", "rak_customer_read", "nocustomerread"),
    route("GET /v1/customers/search", "rak_customer_read", "nocustomerread"),
    route("GET /v1/customers/{id}", "rak_customer_read", "nocustomerread"),
    route("POST /v1/customers/{id}", "rak_customer_write", "nocustomerwrite"),
    route("DELETE /v1/customers/{id}", "rak_customer_write", "nocustomerwrite"),
    route("GET /v1/account", "rak_accounts_kyc_basic_read", "noaccount"),
    route("GET /v1/accounts/{id}", "rak_accounts_kyc_basic_read", "noaccount"),
    route("GET /v1/events", "rak_event_read", "noevents"),
    route("GET /v1/events/{id}", "rak_event_read", "noevents"),
    route("POST /v1/webhook_endpoints", "rak_webhook_write", "nowebhooks"),
    route("GET /v1/webhook_endpoints", "rak_webhook_read", "nowebhooks"),
    route("GET /v1/webhook_endpoints/{id}", "rak_webhook_read", "nowebhooks"),
    route("POST /v1/webhook_endpoints/{id}", "rak_webhook_write", "nowebhooks"),
    route("DELETE /v1/webhook_endpoints/{id}", "rak_webhook_write", "nowebhooks"),
];

const fn route(name: &'static str, permission: &'static str, lacking: &'static str) -> Route {
    Route { name, permission, lacking }
}

/// The endpoint that a request is for, and the id in its path, which is empty if there is none.
pub(super) fn find<'a>(method: &str, path: &'a str) -> (&'static Route, &'a str) {
    let found = ROUTES.iter().find_map(|route| {
        let (own, pattern) = route.name.split_once(' ')?;
        Some((route, matched(pattern, path).filter(|_| own == method)?))
    });
    found.unwrap_or((UNKNOWN, ""))
}

/// The id in a path, which is empty where the pattern has none. There is nothing if the path does
/// not fit the pattern.
pub(crate) fn matched<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.strip_suffix("{id}") {
        None => (pattern == path).then_some(""),
        Some(before) => path.strip_prefix(before).filter(|id| !id.is_empty() && !id.contains('/')),
    }
}
